"""Is the package as easy to use from Python as from the command line?"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import accel_sim
from accel_sim import Activations, Report, Workload, load_machine, read_masks, simulate
from accel_sim.inputs.activations import Layer
from sparse_formats.errors import InputError
from tests.accel_sim.workloads import random_matrix, roomy

MATRIX = random_matrix((24, 40), 0.3, name="q")


def test_is_every_public_name_there() -> None:
    assert {"load_machine", "simulate", "read_masks", "Workload", "Activations", "Report"} <= set(
        accel_sim.__all__
    )
    assert all(getattr(accel_sim, name) is not None for name in accel_sim.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'simulated'"):
        _ = accel_sim.simulated  # type: ignore[attr-defined]


def test_bears_no_submodule_the_name_of_an_export() -> None:
    folder = Path(accel_sim.__file__).parent
    submodules = {path.stem for path in folder.iterdir() if path.name != "__init__.py"}
    assert not submodules & set(accel_sim.__all__)


def test_do_masks_of_every_kind_give_the_same_report(tmp_path: Path) -> None:
    assert MATRIX.weight is not None
    weight, untouched = MATRIX.weight, MATRIX.weight.copy()
    file = tmp_path / "q.npz"
    np.savez(file, q=weight)
    machine = load_machine("eie")
    given = ({"q": weight}, str(file), file, read_masks(file), [MATRIX], Workload.of([MATRIX]))
    totals = [simulate(masks, machine).total for masks in given]
    assert all(total == totals[0] for total in totals)
    assert totals[0].tokens == 128
    assert (weight == untouched).all()


def test_are_matrices_chosen_by_name() -> None:
    arrays = {name: np.eye(4) for name in ("a.q", "a.k", "b.q")}
    workload = Workload.of(arrays, Activations(2), include=["q$"], exclude=["^b"])
    assert workload.names == ("a.q",)
    left_out = workload.origin["read"]["left_out"]
    assert [item["name"] for item in left_out] == ["a.k", "b.q"]


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        (5, "masks are int"),
        (None, "masks are NoneType"),
        ([1, 2], "masks are list"),
        ({"q": np.zeros(3)}, "matrix q is 1-D float64; give a 2-D array"),
        ({}, "there are no masks; give at least one"),
        ("missing.npz", "missing.npz does not exist"),
    ],
)
def test_are_masks_of_another_kind_refused_in_words(masks: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        simulate(masks, load_machine("eie"))  # type: ignore[arg-type]


def test_is_a_machine_of_another_kind_refused_in_words() -> None:
    with pytest.raises(InputError, match=r"machine is str; give what load_machine"):
        simulate([MATRIX], "eie")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="named by text, found int"):
        load_machine(5)  # type: ignore[arg-type]


@pytest.mark.slow
def test_is_the_frame_the_table_of_layers_csv(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    report = simulate([MATRIX, random_matrix((8, 8), 0.5, name="k")], roomy())
    frame = report.frame()
    assert list(frame["name"]) == ["q", "k"]
    assert sum(frame["cycles"].tolist()) == report.total.cycles
    report.save(tmp_path / "out")
    read = pandas.read_csv(tmp_path / "out" / "layers.csv")
    assert list(read.columns) == list(frame.columns)
    assert list(read["cycles_by_cause.compute"]) == list(frame["cycles_by_cause.compute"])


def test_is_what_save_writes_what_the_command_writes(tmp_path: Path) -> None:
    report = simulate([MATRIX], roomy())
    report.save(tmp_path / "out")
    data = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert data["total"]["cycles"] == report.total.cycles
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"report.html", "layers.csv"}
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "report.html").write_text("not ours")
    with pytest.raises(InputError, match="not part of an earlier report"):
        report.save(tmp_path / "theirs")
    assert (tmp_path / "theirs" / "report.html").read_text() == "not ours"


def test_shows_a_notebook_the_layers() -> None:
    report: Report = simulate([MATRIX], roomy())
    shown = report._repr_html_()
    assert shown.count("<tr>") >= 2
    assert f"{report.total.cycles:,}" in shown


def test_is_the_total_worked_out_once() -> None:
    report = simulate([MATRIX], roomy())
    assert report.total is report.total


def test_can_one_layer_be_run_alone() -> None:
    machine = roomy()
    layer = Layer(0, MATRIX)
    inputs = Activations(3).inputs(layer, machine.numbers, is_multiplied=True)
    run = machine.run(layer, inputs, is_checked=True)
    assert run.outputs is not None and run.outputs.shape == (24, 3)
    assert run.product is not None and run.product.is_equal


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("", "given as an empty text"),
        (3, "given as int"),
        ("a\0b", "embedded null byte"),
        ("n" * 300, "File name too long"),
        (".mvpsim-a.new", "names that begin with .mvpsim-"),
    ],
)
def test_is_a_folder_that_cannot_be_one_refused(folder: Any, said: str) -> None:
    report = simulate([MATRIX], roomy())
    with pytest.raises(InputError, match=re.escape(said)):
        report.save(folder)
