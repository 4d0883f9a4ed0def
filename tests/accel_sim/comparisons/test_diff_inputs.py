"""Does diff name every input that differs, and refuse what cannot be subtracted?"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_sim.commands import model, run
from accel_sim.comparisons.diff import Input, diff
from sparse_formats.errors import InputError
from sparse_formats.terminal.application import emit_json
from tests.accel_sim.models.test_command import CONFIG, mask_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("one", "other"):
        np.savez(tmp_path / f"{name}.npz", a=rng.random((24, 40)) < 0.3)
    np.savez(tmp_path / "wide.npz", a=np.ones((24, 41)))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


def report(folder: Path, **settings: Any) -> Path:
    """The report of a run, in a file of its own."""
    from accel_sim.reports.report import as_json

    path = folder / f"report{len(list(folder.iterdir()))}.json"
    asked = run.Settings(**{"mask": folder / "one.npz", "tokens": 4, "check": False, **settings})
    emit_json(as_json(run.run(asked).report), path)
    return path


def whole(folder: Path, **settings: Any) -> Path:
    """The report of a whole model, in a file of its own."""
    from accel_sim.models.report import as_json

    path = folder / f"model{len(list(folder.iterdir()))}.json"
    asked = model.Settings(**{"model": str(folder), "prefill": 4, "generate": 3, **settings})
    (found,) = model.run(asked)
    emit_json(as_json(found), path)
    return path


def names(before: Path, after: Path) -> list[tuple[str, str]]:
    return [(each.part, each.what) for each in diff(before, after).inputs]


@pytest.mark.parametrize(
    ("settings", "inputs"),
    [
        ({}, []),
        ({"tokens": 5}, [("layers", "tokens of a")]),
        ({"seed": 1}, [("activations", "seed")]),
        ({"activation_density": 0.5}, [("activations", "density")]),
        ({"memory": "ddr4_3200"}, None),
        ({"set": ("array.datatype=int8",)}, [("machine", "array.datatype")]),
        ({"calibrated": True}, None),
    ],
)
def test_is_an_input_that_differs_named(
    folder: Path, settings: dict[str, Any], inputs: list[tuple[str, str]] | None
) -> None:
    found = names(report(folder), report(folder, **settings))
    if inputs is not None:
        assert found == inputs
    elif "memory" in settings:
        assert ("machine", "dram.memory") in found and {part for part, _ in found} == {"machine"}
    else:
        assert ("calibration", "factor") in found


def test_is_another_mask_told_by_its_hash(folder: Path) -> None:
    one = report(folder)
    changes = diff(one, report(folder, mask=folder / "other.npz"))
    assert changes.inputs[0].what == "sha256"
    assert not changes.notes
    # A copy under another name is the same mask.
    (folder / "copy.npz").write_bytes((folder / "one.npz").read_bytes())
    assert diff(one, report(folder, mask=folder / "copy.npz")).is_same


def test_are_generated_masks_told_by_how_they_were_made(folder: Path) -> None:
    made = {"mask": None, "shapes": "16x16"}
    other = report(folder, **made, density=0.25, pattern="block:4")
    assert names(report(folder, **made), other) == [
        ("mask", "density"), ("mask", "pattern"), ("layers", "kept weights of matrix0")
    ]  # fmt: skip


def test_says_a_report_without_a_hash_so(folder: Path) -> None:
    path = report(folder)
    data = json.loads(path.read_text())
    data["mask"]["sha256"] = None
    data["layers"][0]["nnz"] += 1
    other = folder / "changed.json"
    other.write_text(json.dumps(data))
    changes = diff(path, other)
    assert "no hash of its mask" in changes.notes[0]
    assert Input("layers", "kept weights of a", str(data["layers"][0]["nnz"] - 1),
                 str(data["layers"][0]["nnz"])) in changes.inputs  # fmt: skip


def test_are_reports_of_other_matrices_refused(folder: Path) -> None:
    one, wide = report(folder), report(folder, mask=folder / "wide.npz")
    with pytest.raises(InputError, match=r"other matrices: a \(24×40 and 24×41\)"):
        diff(one, wide)
    assert diff(one, wide, is_other_allowed=True).parts[0].name == "a"


@pytest.mark.parametrize(
    ("settings", "inputs"),
    [
        ({}, []),
        ({"prefill": 6}, [("request", "prefill")]),
        ({"batch": (2,), "context": (3,)}, [("request", "batch"), ("request", "context")]),
        ({"cache_bits": 8}, [("request", "cache_bits")]),
    ],
)
def test_are_requests_of_whole_models_compared(
    folder: Path, settings: dict[str, Any], inputs: list[tuple[str, str]]
) -> None:
    before, after = whole(folder), whole(folder, **settings)
    changes = diff(before, after)
    assert [(each.part, each.what) for each in changes.inputs] == inputs
    assert changes.is_same == (not inputs)
    one, other = (json.loads(path.read_text()) for path in (before, after))
    for phase in ("prefill", "decode"):
        parts = [part for part in changes.parts if part.name.startswith(f"{phase}: ")]
        for index, data in enumerate((one, other)):
            cycles = [(part.cycles.before, part.cycles.after)[index] for part in parts]
            assert sum(each or 0 for each in cycles) == data["phases"][phase]["cycles"]
    answers = {change.what: change for change in changes.answers}
    assert answers["time_to_first_token_s"].after == other["answer"]["time_to_first_token_s"]
    assert answers["memory_bytes"].before == one["answer"]["memory_bytes"]["total"]


def test_are_masks_of_whole_models_compared(folder: Path) -> None:
    mask = mask_of(folder)
    dense, pruned = whole(folder), whole(folder, mask=mask)
    assert ("mask", "sha256") in names(dense, pruned)
    fewer = whole(folder, mask=mask, exclude=("c_proj",))
    assert names(pruned, fewer) == [("mask", "include"), ("mask", "exclude")]


def test_are_other_kinds_and_models_refused(folder: Path, tmp_path: Path) -> None:
    one = whole(folder)
    with pytest.raises(InputError, match=r"one is a report of single matrices, the other of a who"):
        diff(report(folder), one)
    other = tmp_path / "narrow"
    other.mkdir()
    (other / "config.json").write_text(json.dumps({**CONFIG, "n_layer": CONFIG["n_layer"] + 1}))
    two = whole(other)
    with pytest.raises(InputError, match=r"other matrices: layers \(\d and \d\), layer_weights"):
        diff(one, two)
    assert diff(one, two, is_other_allowed=True).parts
    sweep = tmp_path / "sweep.json"
    sweep.write_text(json.dumps({"accelerator": {}, "runs": []}))
    with pytest.raises(InputError, match="a sweep or a comparison cannot be subtracted"):
        diff(sweep, one)
