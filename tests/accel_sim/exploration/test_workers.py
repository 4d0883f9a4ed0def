"""Do all kinds of workers give the same results in the same order, and lose none?"""

import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from accel_sim.exploration.workers import open_workers
from sparse_formats.errors import InputError, SettingError

ITEMS = list(range(40))
SQUARES = [item * item for item in ITEMS]


def slow_square(item: int) -> int:
    time.sleep(0.002 * (item % 3))  # so that they end in another order than they began
    return item * item


def square_or_die(item: int, *, folder: Path, deaths: int) -> int:
    """Process 17's worker is killed so many times, one time for each file that it leaves."""
    if item == 17 and len(list(folder.iterdir())) < deaths:
        (folder / str(time.monotonic_ns())).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item


def refuse(item: int) -> int:
    raise SettingError("density", f"is {item}; give another")


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_results_come_in_the_order_of_the_items(jobs: int) -> None:
    with open_workers(jobs) as workers:
        assert list(workers.map(slow_square, ITEMS)) == SQUARES
        assert list(workers.map(slow_square, ITEMS[:1])) == [0]
        assert list(workers.map(slow_square, [])) == []


def test_the_first_item_is_done_here_and_the_others_are_not() -> None:
    with open_workers(2) as workers:
        first, *others = workers.map(process_of, ITEMS)
    assert first == os.getpid()
    assert os.getpid() not in others


def process_of(item: int) -> int:
    return os.getpid()


def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    with open_workers(2) as workers:
        work = partial(square_or_die, folder=tmp_path, deaths=2)
        assert list(workers.map(work, ITEMS)) == SQUARES
    assert len(list(tmp_path.iterdir())) == 2


def test_work_that_kills_every_process_is_given_up(tmp_path: Path) -> None:
    with (
        open_workers(2) as workers,
        pytest.raises(InputError, match="3 processes were killed"),
    ):
        list(workers.map(partial(square_or_die, folder=tmp_path, deaths=100), ITEMS))


def test_an_error_of_an_item_comes_from_another_process_as_it_is() -> None:
    with open_workers(2) as workers:
        list(workers.map(slow_square, ITEMS[:1]))
        with pytest.raises(SettingError, match="density is 0; give another") as error:
            list(workers.map(refuse, ITEMS))
    assert error.value.setting == "density"


def test_workers_that_cannot_be_are_refused() -> None:
    with pytest.raises(SettingError, match="jobs belongs to this machine"), open_workers(2, "x"):
        pass


def test_a_cluster_without_workers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    made: Any = LocalCluster(n_workers=0, dashboard_address=":0")
    with made as cluster:
        address = cluster.scheduler_address
        # Not before: the cluster itself must have time to start.
        monkeypatch.setattr("accel_sim.exploration.workers._PATIENCE_S", 2.0)
        refused = pytest.raises(SettingError, match="no worker; start one: dask worker tcp://")
        with refused, open_workers(cluster=address):
            pass
