"""Does a comparison have every row that was asked for, and say what a run of its own says?"""

import csv
import hashlib
import io
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from accel_sim.commands import compare, model
from accel_sim.comparisons.compare_terminal import MOST_ROWS, print_comparison
from accel_sim.comparisons.data import as_csv
from accel_sim.comparisons.page import comparison_page
from accel_sim.comparisons.picture import draw_pairs
from accel_sim.comparisons.variants import variants
from accel_sim.machines.builtin import builtin_accelerators
from accel_sim.machines.load import load_machine
from sparse_formats.errors import InputError
from sparse_formats.terminal.tables import SafeConsole
from tests.accel_sim.models.test_command import CONFIG, mask_of


def data_of(**settings: Any) -> dict[str, Any]:
    return dict(compare.run(compare.Settings(**settings)).data)


def printed(data: dict[str, Any], width: int = 80) -> list[str]:
    """The lines that a terminal of so many columns shows."""
    text = io.StringIO()
    console: Console = SafeConsole(file=text, width=width, highlight=False, markup=False)
    print_comparison(data, console)
    return [
        line[i : i + width]
        for line in text.getvalue().splitlines()
        for i in range(0, max(len(line), 1), width)
    ]


def test_has_a_machine_a_variant_for_each_memory_and_value() -> None:
    found = variants(
        ["systolic_ws", "optimus"],
        ["ddr4_3200", "hbm2_2000"],
        ["clock.clock_hz=1e8,2e8"],
    )
    assert list(found) == [
        f"{name} {memory} clock_hz={clock}"
        for name in ("systolic_ws", "optimus")
        for memory in ("ddr4_3200", "hbm2_2000")
        for clock in ("1e8", "2e8")
    ]
    one = found["optimus hbm2_2000 clock_hz=2e8"]
    assert one.machine() == load_machine("optimus", ["dram.memory=hbm2_2000", "clock.clock_hz=2e8"])
    # What is the same for all is in no name, and a list in brackets is one value.
    assert list(variants(["tf_mvp"], ["hbm2_2000"], ["array.lane_groups=[1,2]"])) == ["tf_mvp"]
    assert list(variants(["tf_mvp"], [], ["array.lane_groups=[1,2],[1]"])) == [
        "tf_mvp lane_groups=[1,2]",
        "tf_mvp lane_groups=[1]",
    ]


def test_is_a_value_that_one_machine_lacks_named() -> None:
    with pytest.raises(InputError, match=r"unknown key 'array\.lanes'"):
        variants(["tf_mvp", "systolic_ws"], [], ["array.lanes=8"])


def test_has_each_number_of_tokens_its_dense_run() -> None:
    data = data_of(
        shapes="64x48,48x64",
        pattern=("2:4",),
        accelerator=("tensor_core_2_4", "systolic_os"),
        tokens=(16, 256),
    )
    rows = [(p["mask"], p["tokens"], p["accelerator"]) for p in data["pairs"]]
    assert rows == [
        (mask, tokens, machine)
        for mask in ("2:4", "dense")
        for tokens in (16, 256)
        for machine in ("tensor_core_2_4", "systolic_os")
    ]
    by_row = dict(zip(rows, data["pairs"], strict=True))
    for (mask, tokens, machine), pair in by_row.items():
        dense = by_row["dense", tokens, machine]
        assert pair["over_dense"]["latency_s"] == pair["latency_s"] / dense["latency_s"]
        assert pair["over_dense"]["energy_j"] == pair["energy_j"] / dense["energy_j"]
        assert pair["density"] == (0.5 if mask == "2:4" else 1)
        assert pair["is_dense"] == (mask == "dense")
    # An array of its own dense shape takes a mask for dense; the sparse one halves its work, and
    # moves as many activations.
    assert by_row["2:4", 256, "systolic_os"]["over_dense"]["latency_s"] == 1
    assert by_row["2:4", 256, "tensor_core_2_4"]["over_dense"]["latency_s"] < 0.8


def test_have_masks_of_other_shapes_a_dense_run_of_their_own(tmp_path: Path) -> None:
    paths = tuple(tmp_path / f"{name}.npz" for name in "ab")
    for path, size in zip(paths, (16, 24), strict=True):
        np.savez(path, m=np.eye(size))
    pairs = data_of(mask=paths, tokens=(2,))["pairs"]
    assert [pair["mask"] for pair in pairs] == ["a.npz", "b.npz", "dense", "dense b.npz"]
    assert [pair["dense"] for pair in pairs[:2]] == ["dense", "dense b.npz"]


def test_says_a_whole_model_what_the_command_model_says(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    mask, name = mask_of(tmp_path), "tensor_core_2_4"
    load = {"model": str(tmp_path), "prefill": 8, "generate": 3, "batch": (1, 2)}
    data = data_of(mask=(mask,), accelerator=(name,), **load)
    reports = model.run(model.Settings(mask=mask, accelerator=name, **load))
    assert [(p["mask"], p["batch"]) for p in data["pairs"]] == [
        (mask.name, 1), (mask.name, 2), ("dense", 1), ("dense", 2)
    ]  # fmt: skip
    for pair, report in zip(data["pairs"], reports, strict=False):
        answer = report.answer
        assert pair["time_to_first_token_s"] == answer["time_to_first_token_s"]
        assert pair["time_per_output_token_s"] == answer["time_per_output_token_s"]["mean"]
        assert pair["tokens_per_second"] == answer["tokens_per_second"]
        assert pair["energy_per_output_token_j"] == answer["energy_per_output_token_j"]
        assert pair["memory_bytes"] == answer["memory_bytes"]["total"]
        # The dense row is the twin of the report.
        gained = answer["speedup_vs_dense"]
        assert 1 / pair["over_dense"]["time_to_first_token_s"] == pytest.approx(gained["prefill"])
        ratio = 1 / pair["over_dense"]["time_per_output_token_s"]
        assert ratio == pytest.approx(gained["output_token"])
    assert "TPOT: time per output token" in " ".join(printed(data))
    assert f"{tmp_path}: prompts of 8, 3 generated" in comparison_page(data)


def test_are_all_machines_on_one_mask_a_screen() -> None:
    for equal in ("as-is", "macs", "area"):
        data = data_of(shapes="64x48", accelerator=("all",), equal=equal, tokens=(4,))
        own = [pair for pair in data["pairs"] if not pair["is_dense"]]
        assert {pair["accelerator"] for pair in own} == set(builtin_accelerators())
        lines = printed(data)
        assert len(lines) <= 40
        assert all(any(name in line for line in lines) for name in builtin_accelerators())
        if equal == "macs":
            # Some machines grow by many MACs at once.
            assert all(0.95 * 4096 < pair["macs"] <= 4096 for pair in own)


def test_are_rows_that_are_left_out_counted() -> None:
    pairs = data_of(shapes="16x16", tokens=(1,))["pairs"]
    whole = data_of(shapes="16x16", tokens=tuple(range(1, MOST_ROWS // 2 + 2)))
    assert len(pairs) == 2
    lines = " ".join(printed(whole))
    assert f"{MOST_ROWS // 2 + 1} rows of dense runs are in the JSON" in lines


def test_is_the_table_the_same_in_csv_and_page() -> None:
    data = data_of(shapes="16x16", pattern=("fine", "row"), tokens=(1,))
    rows = list(csv.DictReader(io.StringIO(as_csv(data))))
    assert [row["mask"] for row in rows] == ["fine", "row", "dense"]
    for row, pair in zip(rows, data["pairs"], strict=True):
        assert float(row["latency_s"]) == pair["latency_s"]
        assert float(row["over_dense.energy_j"]) == pair["over_dense"]["energy_j"]
    page = comparison_page(data)
    assert page.count("<tr>") == 4
    assert "cannot keep 20 % exactly" in page  # three of 16 rows are 18.75 %


def test_is_a_machine_that_cannot_run_a_mask_left_out_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # EIE's pointers to the columns of one output alone take more than 256 bytes.
    path = tmp_path / "m.npz"
    np.savez(path, m=np.ones((2, 600)))
    small = tmp_path / "small.toml"
    small.write_text(
        'extends = "eie"\nname = "small"\ndescription = "small"\nsource = "a test"\n'
        "[weight_buffer]\nbytes = 256\n"
    )
    given: dict[str, Any] = {"mask": (path,), "tokens": (1,)}
    monkeypatch.setattr(compare, "builtin_accelerators", lambda: [str(small), "scnn"])
    data = data_of(**given, accelerator=("all",))
    assert {pair["accelerator"] for pair in data["pairs"]} == {"tf_mvp", "scnn"}
    assert list(data["accelerators"]) == ["tf_mvp", "scnn"]
    (left_out,) = data["notes"]["left_out"]
    assert left_out["of"] == ["small"] and "matrix m" in left_out["note"]
    assert any(line.startswith("left out small: matrix m") for line in printed(data, 200))
    assert "small: matrix m: a tile" in comparison_page(data)
    # Who names it is refused, as ever.
    with pytest.raises(InputError, match="matrix m"):
        data_of(**given, accelerator=("tf_mvp", str(small)))


def test_does_a_table_say_how_a_machine_ran(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    np.savez(path, a=np.tile([1.0, 1.0, 0, 0], (16, 8)), b=np.eye(32), c=np.ones((4, 4)))
    machines = ("tf_mvp", "tensor_core_2_4", "eie")
    lines = printed(data_of(mask=(path,), tokens=(1,), accelerator=machines), 100)
    said = {name: next(line for line in lines if f" {name} " in line) for name in machines}
    assert "2:4 (2), dense (1)" in said["tensor_core_2_4"]
    assert "relative_csc, on chip" in said["eie"]
    assert "sub_streams" in said["tf_mvp"] and "on chip" not in said["tf_mvp"]


def test_is_a_name_no_markup(tmp_path: Path) -> None:
    path = tmp_path / "<b>[red]x.npz"
    np.savez(path, m=np.eye(4))
    data = data_of(mask=(path,), tokens=(1,))
    assert "<b>" not in comparison_page(data)
    assert any("<b>[red]x.npz" in line for line in printed(data))
    json.dumps(data)


STUDY = """
[quality]
measure = "perplexity"
better = "lower"
[masks]
"mvp 0.8" = { file = "points/a.npz", quality = 31.5 }
"fine 0.8" = { file = "points/b.npz", quality = 29.25 }
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "points").mkdir()
    for name in "ab":
        np.savez(tmp_path / "points" / f"{name}.npz", m=np.eye(16))
    (tmp_path / "masks.toml").write_text(STUDY)
    return tmp_path


def test_stands_the_quality_of_a_study_beside_its_masks(study: Path, tmp_path: Path) -> None:
    data = data_of(study=study, tokens=(1,))
    found = {pair["mask"]: pair["quality"] for pair in data["pairs"]}
    assert found == {"mvp 0.8": 31.5, "fine 0.8": 29.25, "dense": None}
    assert [mask["sha256"] for mask in data["masks"]] == [
        hashlib.sha256((study / "points" / f"{name}.npz").read_bytes()).hexdigest() for name in "ab"
    ]
    text = " ".join(printed(data))
    assert "31.50" in text and "quality: perplexity, lower is better." in text
    assert '<td class="number">31.50</td>' in comparison_page(data)
    assert as_csv(data).count(",29.25,") == 1
    # The file itself will do.
    assert data_of(study=study / "masks.toml", tokens=(1,))["pairs"] == data["pairs"]
    draw_pairs(data, tmp_path / "a.png")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[masks]\n", "names no mask"),
        ("[space]\n", "unknown table 'space'"),
        ('[masks]\na = { file = "none.npz" }\n', "there is no"),
        ('[masks]\na = { file = "points/a.npz", quality = 1 }\n', "say what it is by a table"),
    ],
)
def test_is_a_study_that_cannot_be_refused(study: Path, text: str, reason: str) -> None:
    (study / "masks.toml").write_text(text)
    with pytest.raises(InputError, match=reason):
        data_of(study=study, tokens=(1,))


def test_is_a_folder_without_masks_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no masks\.toml; give the folder of a study"):
        data_of(study=tmp_path, tokens=(1,))
    with pytest.raises(InputError, match=r"none does not exist; give the folder of a study"):
        data_of(study=tmp_path / "none", tokens=(1,))


def test_are_two_masks_of_one_name_refused(study: Path) -> None:
    (study / "masks.toml").write_text(STUDY.replace("mvp 0.8", "a.npz"))
    with pytest.raises(InputError, match=r"both have a mask called a\.npz"):
        data_of(study=study, mask=(study / "points" / "a.npz",))


def test_the_command_of_a_pair_gives_that_pair_alone() -> None:
    both = ("fine", "2:4")
    widths = ("dram.bytes_per_cycle=32,64",)
    data = data_of(shapes="64x48", density=0.3, pattern=both, set=widths, tokens=(2, 8))
    pair = next(p for p in data["pairs"] if (p["mask"], p["tokens"]) == ("2:4", 8))
    words = shlex.split(pair["command"])
    assert words[:4] == ["python", "-m", "accel_sim", "compare"]
    given = {key.removeprefix("--"): value for key, value in batched(words[4:])}
    assert given["set"] == "dram.bytes_per_cycle=32"
    again = data_of(
        shapes=given["shapes"],
        density=float(given["density"]),
        pattern=(given["pattern"],),
        set=(given["set"],),
        tokens=(int(given["tokens"]),),
    )
    assert [p["cycles"] for p in again["pairs"] if not p["is_dense"]] == [pair["cycles"]]
    assert all(p["command"] == "" for p in data["pairs"] if p["is_dense"])


def batched(words: list[str]) -> list[tuple[str, str]]:
    return list(zip(words[::2], words[1::2], strict=True))
