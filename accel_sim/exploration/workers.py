"""Many items of work on one process, on several of this machine, or on a Dask cluster.

Results come in the order of the items, so nothing that is made of them depends on who computed
which. The first item of all is done here, before any process is forked: what it compiles and reads
is then there for all of them. Loading Numba's code anew would take each process many seconds.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, Protocol, TypeVar

from sparse_formats.errors import InputError, SettingError

Item = TypeVar("Item")
Result = TypeVar("Result")

_BATCHES_A_PROCESS = 4
_MOST_ITEMS = 8
"""Of a batch: what is lost, at most, when its process is killed."""
_MOST_DEATHS = 3
"""Of processes in a row without one more result, until the work is given up."""


_PATIENCE_S = 10.0
"""How long a scheduler may take to answer, and its first worker to come."""


class Workers(Protocol):
    """Whoever does the work."""

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """`work` of each item, in the items' order.

        work: a function of a module, or a `functools.partial` of one, that other processes can
            import; what it is given and returns is pickled, so it is small: a path, no matrix.

        Raises:
            InputError: processes are killed again and again, or the cluster is gone.
        """
        ...


@contextlib.contextmanager
def open_workers(jobs: int = 1, cluster: str | None = None) -> Iterator[Workers]:
    """Workers: this process, `jobs` forked ones, or those of the Dask scheduler at `cluster`.

    Raises:
        SettingError: both are asked for; no scheduler answers there; this system cannot fork, or
            Dask is not installed.
    """
    if cluster is not None:
        if jobs > 1:
            raise SettingError("jobs", "belongs to this machine; leave it out with a cluster")
        with _connected(cluster) as client:
            yield _Cluster(client)
    elif jobs > 1:
        if "fork" not in multiprocessing.get_all_start_methods():
            raise SettingError("jobs", f"is {jobs}, but this system cannot fork; give 1")
        with contextlib.closing(_Forked(jobs)) as workers:
            yield workers
    else:
        yield _Here()


class _Here:
    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        return map(work, items)


class _Forked:
    """Processes that are forked when the first item has been done here."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._pool: ProcessPoolExecutor | None = None

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        if self._pool is None and items:
            yield work(items[0])
            items = items[1:]
        deaths = 0
        while items:
            done = 0
            try:
                for results in self._results(work, items):
                    deaths = 0
                    for result in results:
                        done += 1
                        yield result
            except BrokenProcessPool as error:
                self.close()
                deaths += 1
                if deaths == _MOST_DEATHS:
                    raise InputError(
                        f"{deaths} processes were killed one after the other, perhaps because "
                        "memory ran out; run fewer jobs"
                    ) from error
            items = items[done:]

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _results(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[list[Result]]:
        """The results of one batch after the other."""
        if self._pool is None:
            context = multiprocessing.get_context("fork")
            self._pool = ProcessPoolExecutor(self._jobs, context, _begin)
        futures: list[Future[list[Result]]] = [
            self._pool.submit(_each, work, batch) for batch in _batches(items, self._jobs)
        ]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def _begin() -> None:
    """In a new process: leave Ctrl-C to the parent, and end when the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


@dataclass(frozen=True)
class _Cluster:
    """client: a `distributed.Client`; the cluster does what a worker that it lost had to do."""

    client: Any

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        from distributed import CancelledError
        from distributed.scheduler import KilledWorker

        processes = max(1, len(self.client.scheduler_info()["workers"]))
        futures = [
            self.client.submit(_each, work, batch, pure=False)
            for batch in _batches(items, processes)
        ]
        try:
            for future in futures:
                yield from future.result()
        except (KilledWorker, CancelledError, OSError) as error:
            raise InputError(
                f"the cluster could not do the work: {error}; look at its workers, then start "
                "again: what is done is kept"
            ) from error
        finally:
            self.client.cancel(futures)


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError:
        raise SettingError(
            "cluster", "needs Dask; install it with: pip install 'mvpsim[explore]'"
        ) from None
    try:
        client = Client(address, timeout=_PATIENCE_S)
    except (OSError, ValueError) as error:
        raise SettingError(
            "cluster",
            f"is {address}, where no Dask scheduler answers ({error}); start one with "
            "`dask scheduler`, or give the address that it prints",
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE_S)
        except TimeoutError:
            raise SettingError(
                "cluster", f"is {address}, which has no worker; start one: dask worker {address}"
            ) from None
        yield client


def _batches(items: Sequence[Item], processes: int) -> list[Sequence[Item]]:
    """Neighbours together: enough batches that all processes end at about the same time."""
    size = max(1, min(_MOST_ITEMS, len(items) // (_BATCHES_A_PROCESS * processes)))
    return [items[start : start + size] for start in range(0, len(items), size)]


def _each(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [work(item) for item in items]
