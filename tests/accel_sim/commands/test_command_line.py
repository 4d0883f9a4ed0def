"""Does the command line do what it says, and does bad input end in one line and status 2?"""

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparse_formats.files.output_folder import MANIFEST
from tests.accel_sim.command_line import call


@pytest.fixture
def mask_file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "mask.npz"
    keep = rng.random((24, 40)) < 0.3
    np.savez(path, a=keep * rng.standard_normal((24, 40)), b=keep.T * 1.0)
    return path


def test_does_run_print_the_table_and_write_the_json(
    mask_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = mask_file.parent / "report.json"
    words = ("run", "--mask", str(mask_file), "--tokens", "5", "--json", str(target))
    assert call(monkeypatch, *words) == 0
    text = capsys.readouterr().out
    for word in ("cycles", "24×40", "× dense", "GOPS/W", "reconstruction", "equals the dense"):
        assert word in text
    data = json.loads(target.read_text())
    assert [layer["name"] for layer in data["layers"]] == ["a", "b"]
    assert data["mask"]["source"] == str(mask_file)
    assert len(data["mask"]["sha256"]) == 64


def test_is_standard_output_only_json_on_request(
    mask_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "run", "--mask", str(mask_file), "--json", "-") == 0
    streams = capsys.readouterr()
    assert json.loads(streams.out)["total"]["tokens"] == 128
    assert "GOPS/W" in streams.err


def test_is_the_json_the_same_but_for_the_time_stamp(
    mask_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = []
    for threads in ("1", "3"):
        target = mask_file.parent / f"{threads}.json"
        words = ("--json", str(target), "--threads", threads, "--activation-density", "0.5")
        assert call(monkeypatch, "run", "--mask", str(mask_file), *words) == 0
        lines = target.read_text().splitlines()
        texts.append([line for line in lines if '"timestamp"' not in line])
    assert texts[0] == texts[1]


def test_does_out_hold_report_table_pictures_and_page(
    mask_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = mask_file.parent / "deep" / "report"
    assert call(monkeypatch, "run", "--mask", str(mask_file), "--out", str(folder)) == 0
    assert {path.name for path in folder.iterdir()} == {
        MANIFEST,
        "report.json",
        "report.html",
        "layers.csv",
        "cycles_by_cause.png",
        "energy_by_component.png",
        "pe_load.png",
        "roofline.png",
    }


def test_can_shapes_be_run_without_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("run", "--shapes", "64x48,48x64", "--density", "0.25", "--pattern", "fine")
    assert call(monkeypatch, *words, "--json", "-") == 0
    data = json.loads(capsys.readouterr().out)
    assert [(x["rows"], x["cols"]) for x in data["layers"]] == [(64, 48), (48, 64)]
    assert data["total"]["nnz"] == 2 * 64 * 48 // 4
    assert any("generated" in note for note in data["notes"])


def test_are_the_machines_listed_and_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "accelerators") == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("tf_mvp", "ddr4_3200", "lpddr4_2400", "hbm2_2000"))
    assert call(monkeypatch, "accelerators", "--show", "ddr4_3200") == 0
    assert "25600000000" in capsys.readouterr().out
    assert call(monkeypatch, "accelerators", "--show", "tf_mvp") == 0
    text = capsys.readouterr().out
    assert "array.lanes" in text and "inferred" in text


@pytest.fixture
def recorded(mask_file: Path) -> Path:
    """Inputs of both matrices for six tokens, about half of them zero."""
    rng = np.random.default_rng(1)
    path = mask_file.parent / "acts.npz"
    drawn = [rng.standard_normal((6, inputs)) for inputs in (40, 24)]
    a, b = (np.where(x > 0, x, 0) for x in drawn)
    np.savez(path, a=a, b=b)
    return path


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--activation-density", "0.3", "--seed", "4", "--tokens", "5"),
        ("--memory", "ddr4_3200", "--set", "queue.depth_entries=3", "--include", "a|b"),
        ("--activations", "{recorded}", "--no-check", "--advice"),
        ("--calibrated", "--no-advice", "--exclude", "b"),
    ],
)
def test_does_the_command_in_the_report_give_the_report_again(
    words: tuple[str, ...], mask_file: Path, recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = mask_file.parent / "first.json", mask_file.parent / "second.json"
    given = [word.format(recorded=recorded) for word in words]
    assert call(monkeypatch, "run", "--mask", str(mask_file), *given, "--json", str(first)) == 0
    data = json.loads(first.read_text())
    python, module, package, *again = shlex.split(data["command"])
    assert (python, module, package) == ("python", "-m", "accel_sim")
    assert call(monkeypatch, *again, "--json", str(second)) == 0
    same = json.loads(second.read_text())
    assert {**data, "timestamp": ""} == {**same, "timestamp": ""}


def test_does_a_file_of_settings_give_what_the_flags_give(
    mask_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = mask_file.parent / "run.toml"
    config.write_text(
        f'mask = "{mask_file}"\ntokens = 5\nset = ["queue.depth_entries=3"]\ninclude = ["a"]\n'
    )
    words = ("--mask", str(mask_file), "--set", "queue.depth_entries=3", "--include", "a")
    reports = []
    for given in (("--config", str(config)), (*words, "--tokens", "5")):
        assert call(monkeypatch, "run", *given, "--json", "-") == 0
        reports.append({**json.loads(capsys.readouterr().out), "timestamp": ""})
    assert reports[0] == reports[1]
    config.write_text('accelerator = "tf_mvp"\npattern = "mpv"\nshapes = "8x8"\n')
    assert call(monkeypatch, "run", "--config", str(config)) == 2
    assert f"{config}: pattern is 'mpv'; did you mean 'mvp'?" in capsys.readouterr().err


def test_do_recorded_activations_decide_what_is_skipped(
    mask_file: Path, recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = mask_file.parent / "report.json"
    words = ("--mask", str(mask_file), "--activations", str(recorded), "--json", str(target))
    assert call(monkeypatch, "run", *words) == 0
    data = json.loads(target.read_text())
    assert data["activations"]["source"] == str(recorded)
    assert len(data["activations"]["sha256"]) == 64
    for layer in data["layers"]:
        kept = np.count_nonzero(np.load(mask_file)[layer["name"]], axis=0)
        used = np.count_nonzero(np.load(recorded)[layer["name"]], axis=0)
        assert layer["tokens"] == 6
        assert layer["macs_effectual"] == kept @ used
        assert layer["product"]["is_equal"]


@pytest.mark.slow
def test_is_advice_ranked_and_told_where_it_is_not_given(
    mask_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = mask_file.parent / "report.json"
    words = ("run", "--mask", str(mask_file), "--json", str(target))
    folder = str(mask_file.parent / "report")
    assert call(monkeypatch, *words, "--out", folder) == 0
    data = json.loads(target.read_text())
    assert "--advice" in data["command"]
    advice = data["advice"]
    cycles = [item["cycles"] for item in advice]
    assert cycles == sorted(cycles)
    text = capsys.readouterr().out
    for item in advice:
        assert item["change"] in text
    assert call(monkeypatch, *words, "--no-advice") == 0
    assert json.loads(target.read_text())["advice"] is None
    assert "--advice" not in capsys.readouterr().out
    # Unasked it takes no time: not in a run without a report, not where it is long.
    assert call(monkeypatch, *words) == 0
    assert json.loads(target.read_text())["advice"] is None
    assert "--advice simulates" in capsys.readouterr().out
    monkeypatch.setattr("accel_sim.comparisons.advice.QUICK_WEIGHTS", 10)
    assert call(monkeypatch, *words, "--out", folder) == 0
    assert json.loads(target.read_text())["advice"] is None
    assert call(monkeypatch, *words, "--advice") == 0
    assert json.loads(target.read_text())["advice"] == advice


def test_is_a_calibrated_run_called_so_and_no_other(
    mask_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("run", "--mask", str(mask_file), "--no-advice")
    assert call(monkeypatch, *words) == 0
    assert "alibrated" not in capsys.readouterr().out
    target = mask_file.parent / "report.json"
    assert call(monkeypatch, *words, "--calibrated", "--json", str(target)) == 0
    text = capsys.readouterr().out
    data = json.loads(target.read_text())
    assert f"CALIBRATED: core energy × {data['calibration']['factor']:.2f}" in text
    assert f"{data['calibration']['uncalibrated_gops_per_watt']:,.0f}" in text
    assert data["total"]["gops_per_watt"]["dense_equivalent_core"] == pytest.approx(377)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--mask FILE or --shapes NAME"),
        (("--mask", "{mask}", "--shapes", "8x8"), "but not both"),
        (
            ("--mask", "{mask}", "--density", "0.2", "--pattern", "mvp"),
            "--density and --pattern belong to masks generated with --shapes",
        ),
        (("--mask", "{mask}", "--density", "0.1"), "says its own, leave it out"),
        (("--mask", "{folder}/none.npz"), "none.npz"),
        (("--mask", "{mask}", "--tokens", "0"), "--tokens is 0"),
        (("--mask", "{mask}", "--tokens", "1.5"), "--tokens"),
        (("--mask", "{mask}", "--frobnicate"), "--frobnicate"),
        (("--mask", "{mask}", "--json", "{mask}"), "it is the input"),
        (("--mask", "{folder}", "--json", "{mask}"), "it is the input"),
        (("--mask", "{mask}", "--json", "{folder}/" + "x" * 300), "too long"),
        (("--mask", "{mask}", "--accelerator", "{folder}/x/y"), "does not end in .toml"),
        (("--mask", "{mask}", "--tokens", "-3"), "--tokens is -3"),
        (("--mask", "{mask}", "--threads", "0"), "--threads is 0"),
        (("--mask", "{mask}", "--activation-density", "1.5"), "from 0 to 1"),
        (("--mask", "{mask}", "--activation-density", "nan"), "from 0 to 1"),
        (("--mask", "{mask}", "--seed", "-1"), "--seed is -1"),
        (("--mask", "{mask}", "--accelerator", "tf_mpv"), "did you mean 'tf_mvp'"),
        (("--mask", "{mask}", "--set", "lane=3"), "did you mean 'array.lanes'"),
        (("--mask", "{mask}", "--include", "("), "("),
        (("--mask", "{mask}", "--include", "nothing"), "nothing"),
        (("--mask", "{mask}", "--out", "{mask}"), "is a file"),
        (("--mask", "{mask}", "--json", "{folder}/no/where.json"), "does not exist"),
        (("--shapes", "8by8"), "8by8"),
        (("--shapes", "gpt2-smal"), "gpt2-small"),
        (("--shapes", "8x8", "--density", "2"), "2"),
        (("--shapes", "8x8", "--pattern", "mpv"), "mvp"),
        (("--mask", "{mask}", "--set", "weight_buffer.bytes=16"), "weight_buffer.bytes"),
        (("--mask", "{mask}", "--memory", "ddr4"), "--memory is 'ddr4'; did you mean 'ddr4_3200'?"),
        (("--mask", "{mask}", "--activations", "{folder}/none.npz"), "none.npz"),
        (
            ("--mask", "{mask}", "--activations", "{mask}", "--activation-density", "0.5"),
            "either --activations FILE or --activation-density",
        ),
        (
            ("--mask", "{mask}", "--calibrated", "--set", "energy.scale=2"),
            "energy.scale is already 2",
        ),
    ],
)
def test_does_bad_input_end_in_one_line_and_status_2(
    words: tuple[str, ...],
    message: str,
    mask_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = mask_file.parent
    before = {path: path.read_bytes() for path in folder.iterdir()}
    filled = [word.format(mask=mask_file, folder=folder) for word in words]
    assert call(monkeypatch, "run", *filled) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_is_a_foreign_file_in_the_folder_left_alone(
    mask_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = mask_file.parent / "mine"
    folder.mkdir()
    (folder / "layers.csv").write_text("precious")
    assert call(monkeypatch, "run", "--mask", str(mask_file), "--out", str(folder)) == 2
    assert "not part of an earlier report" in capsys.readouterr().err
    assert (folder / "layers.csv").read_text() == "precious"


def test_is_no_output_a_file_that_the_run_reads(
    mask_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parent, child = mask_file.parent / "parent.toml", mask_file.parent / "child.toml"
    config = mask_file.parent / "run.toml"
    parent.write_text('extends = "tf_mvp"\nname = "parent"\n')
    child.write_text('extends = "parent.toml"\nname = "child"\n')
    config.write_text(f'mask = "{mask_file}"\n')
    before = {path: path.read_bytes() for path in (parent, child, config)}
    words = ("run", "--config", str(config), "--accelerator", str(child), "--json")
    for target in before:
        assert call(monkeypatch, *words, str(target)) == 2
        assert f"cannot write {target}" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.slow
def test_can_a_name_steer_neither_terminal_nor_page_nor_spreadsheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mask, machine, folder = (tmp_path / name for name in ("m.npz", "m.toml", "out"))
    names = ("=cmd|' /C calc'!A0", "\x1b[2Jred", "[/bold]")
    arrays: dict[str, Any] = {name: np.eye(8) for name in names}
    np.savez(mask, **arrays)
    machine.write_text('extends = "tf_mvp"\nname = "m"\nnote = "\\u001b[2J"\n')
    words = ("--accelerator", str(machine))
    assert call(monkeypatch, "run", "--mask", str(mask), *words, "--out", str(folder)) == 0
    assert call(monkeypatch, "compare", "--mask", str(mask), *words) == 0
    assert call(monkeypatch, "accelerators", "--show", str(machine)) == 0
    assert call(monkeypatch, "run", "--mask", str(mask), "--include", "\x1b[x]") == 2
    said = capsys.readouterr()
    written = [path.read_text() for path in folder.iterdir() if path.suffix != ".png"]
    for text in (said.out, said.err, *written):
        assert "\x1b" not in text
    with (folder / "layers.csv").open(newline="") as file:
        assert {row["name"] for row in csv.DictReader(file)} == {
            "'=cmd|' /C calc'!A0",
            "·[2Jred",
            "[/bold]",
        }


def test_does_compare_leave_a_foreign_file_alone(
    mask_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = mask_file.parent / "mine"
    folder.mkdir()
    (folder / "compare.json").write_text("precious")
    assert call(monkeypatch, "compare", "--mask", str(mask_file), "--out", str(folder)) == 2
    assert "not part of an earlier comparison" in capsys.readouterr().err
    assert (folder / "compare.json").read_text() == "precious"


@pytest.mark.slow
def test_does_a_second_run_replace_the_first_report(
    mask_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = mask_file.parent / "report"
    for tokens in ("3", "4"):
        words = ("run", "--mask", str(mask_file), "--out", str(folder), "--tokens", tokens)
        assert call(monkeypatch, *words) == 0
    data = json.loads((folder / "report.json").read_text())
    assert data["total"]["tokens"] == 4
    assert [path.name for path in folder.glob(".*")] == [MANIFEST]


def test_does_a_matrix_without_entries_get_its_whole_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask, folder = tmp_path / "none.npz", tmp_path / "report"
    np.savez(mask, z=np.zeros((0, 5), np.bool_))
    assert call(monkeypatch, "run", "--mask", str(mask), "--out", str(folder)) == 0
    assert (folder / "report.html").exists()


def test_does_every_run_on_a_machine_of_ones_own_say_what_it_is(
    mask_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = mask_file.parent / "mine.toml"
    machine.write_text('extends = "tf_mvp"\nname = "mine"\n')
    words = ("run", "--mask", str(mask_file), "--accelerator", str(machine))
    assert call(monkeypatch, *words) == 0
    text = capsys.readouterr().out
    assert "note     mine extends tf_mvp with no changed value." in text
    assert "reconstruction" not in text
    assert "377" not in text


def test_is_a_transposed_matrix_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = tmp_path / "gpt2.npz"
    arrays: dict[str, Any] = {
        "h.0.attn.c_attn": np.ones((4, 12)),
        "h.0.attn.c_proj": np.ones((4, 4)),
    }
    np.savez(mask, **arrays)
    assert call(monkeypatch, "run", "--mask", str(mask)) == 0
    text = capsys.readouterr().out
    assert "12×4" in text
    assert "2 matrices (h.0.attn.c_attn, …) were stored as (in, out)" in text
