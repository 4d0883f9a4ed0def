"""Do validate, compare and diff say what is so, and fail where they must?"""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from accel_sim.comparisons.compare import compare
from accel_sim.comparisons.diff import Input, diff
from accel_sim.comparisons.equal_size import made_equal
from accel_sim.costs.area import machine_area
from accel_sim.dataflows.mixed_vector.dataflow import MixedVector
from accel_sim.dataflows.systolic import Systolic
from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.builtin import builtin_accelerators
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from accel_sim.validation import registry
from accel_sim.validation.agreement import Agreement
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.command_line import call
from tests.accel_sim.workloads import load_mixed_vector


@pytest.fixture
def mask_file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "mask.npz"
    np.savez(path, a=(rng.random((24, 40)) < 0.3) * 1.0, b=(rng.random((16, 24)) < 0.5) * 1.0)
    return path


def agreement(ours: float, **told: object) -> Agreement:
    return Agreement("m", "w", 2.0, "published", "s", lambda: ours, **told)  # type: ignore[arg-type]


@pytest.mark.parametrize(("ours", "status", "word"), [(2.25, 0, "holds"), (2.75, 1, "FAILS")])
def test_does_validate_fail_with_an_asserted_row(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ours: float,
    status: int,
    word: str,
) -> None:
    rows = {"m": (agreement(ours, tolerance=0.5), agreement(9.0))}
    monkeypatch.setattr(registry, "AGREEMENTS", rows)
    assert call(monkeypatch, "validate") == status
    text = capsys.readouterr().out
    assert word in text
    assert f"{1 - status} of 1 asserted rows hold; 1 more are only shown." in text


def test_stands_what_we_made_ourselves_under_a_heading_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def row(what: str, mark: str, **told: object) -> Agreement:
        return Agreement("m", what, 2.0, mark, "s", lambda: 2.0, 0.0, **told)  # type: ignore[arg-type]

    rows = (
        row("a closed form", "computed"),
        row("a relation", "inferred"),
        row("a count", "computed", from_program=True),
        row("a figure", "secondary"),
    )
    monkeypatch.setattr(registry, "AGREEMENTS", {"m": rows})
    assert call(monkeypatch, "validate") == 0
    text = capsys.readouterr().out
    places = [
        text.index(words)
        for words in (
            *("Somebody else's program", "a count", "A number that a paper", "a figure"),
            *("Our own closed forms", "a closed form", "a relation"),
        )
    ]
    assert places == sorted(places)
    assert text.count("1 of 1 asserted rows hold") == 2 and "2 of 2 asserted rows hold" in text


def test_is_scale_sim_asked_for_with_both_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "validate", "--live") == 2
    assert "--live and --python PATH together" in capsys.readouterr().err


def test_does_compare_normalise_to_the_first_pair(
    mask_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = mask_file.parent / "out"
    machines = ("--accelerator", "tensor_core_dense", "--accelerator", "systolic_os")
    words = ("--mask", str(mask_file), *machines, "--tokens", "3", "--out", str(out))
    assert call(monkeypatch, "compare", *words) == 0
    assert "systolic_os" in capsys.readouterr().out
    assert (out / "compare.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "compare.html").exists()
    first, second, *dense = json.loads((out / "compare.json").read_text())["pairs"]
    assert [pair["mask"] for pair in dense] == ["dense", "dense"]
    assert set(first["over_first"].values()) == {1.0}
    assert second["over_first"]["latency_s"] == second["latency_s"] / first["latency_s"]
    assert second["energy_delay_js"] == second["energy_j"] * second["latency_s"]
    # A run of its own says the same.
    report = mask_file.parent / "run.json"
    run = ("run", "--mask", str(mask_file), "--accelerator", "systolic_os", "--tokens", "3")
    assert call(monkeypatch, *run, "--json", str(report)) == 0
    total = json.loads(report.read_text())["total"]
    assert (total["cycles"], total["energy_j"]) == (second["cycles"], second["energy_j"])


@pytest.mark.parametrize(
    "words",
    [
        ("--shapes", "16x8", "--pattern", "fine", "--pattern", "mvp", "--tokens", "3"),
        ("--mask", "{mask}", "--accelerator", "tf_mvp", "--accelerator", "eie", "--equal", "macs"),
        ("--mask", "{mask}", "--shapes", "8x8", "--activation-density", "0.5", "--include", "a|m"),
    ],
)
def test_does_the_command_in_a_comparison_give_it_again(
    words: tuple[str, ...], mask_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = mask_file.parent / "first.json", mask_file.parent / "second.json"
    given = [word.format(mask=mask_file) for word in words]
    assert call(monkeypatch, "compare", *given, "--json", str(first)) == 0
    again = shlex.split(json.loads(first.read_text())["command"])
    assert again[:3] == ["python", "-m", "accel_sim"]
    assert call(monkeypatch, *again[3:], "--json", str(second)) == 0
    assert first.read_text() == second.read_text()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "give --mask FILE"),
        (("--mask", "a.npz", "--pattern", "mvp"), "--pattern belongs to masks generated"),
        (("--shapes", "8x8", "--equal", "mac"), "'mac'"),
        (("--shapes", "8x8", "--threads", "0"), "--threads is 0"),
        (("--shapes", "8x8", "--accelerator", "eye"), "'eye' is neither known"),
        (("--shapes", "8x8", "--set", "lanes"), "--set is 'lanes'; write KEY=VALUE"),
        (("--shapes", "8x8", "--set", "lanes=8,"), "--set is 'lanes=8,'; write KEY=VALUE"),
        (("--shapes", "8x8", "--tokens", "0,4"), "--tokens"),
        (("--prefill", "4"), "give either --model NAME_OR_FOLDER or --shapes NAME"),
        (("--shapes", "gpt2-small", "--prefill", "4", "--tokens", "4"), "--tokens is of single"),
        (("--model", "gpt2-small", "--pattern", "mvp"), "--pattern belongs to masks generated"),
    ],
)
def test_is_a_comparison_that_cannot_be_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    reason: str,
) -> None:
    assert call(monkeypatch, "compare", *words) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.rule(rivals=1)
@pytest.mark.parametrize("name", builtin_accelerators())
def test_have_machines_made_equal_as_many_macs(name: str) -> None:
    machine = load_machine(name)
    first, fitted = made_equal([load_machine("tf_mvp"), machine], "macs")
    assert first.macs == 4096
    # The largest multiple of its own step that is not more.
    step = machine.resized(machine.resize_step).macs
    assert fitted.macs == 4096 // step * step


@pytest.mark.rule(rivals=1)
@pytest.mark.parametrize("pe_rows", [8, 32])
def test_has_each_pe_row_a_bank_of_its_own(pe_rows: int) -> None:
    first = load_machine("tf_mvp", [f"pe_rows={pe_rows}", "weight_buffer.banks=32"])
    _, fitted = made_equal([first, load_mixed_vector("tf_mvp")], "macs")
    assert isinstance(fitted, MixedVector)
    assert fitted.array.pe_rows == pe_rows
    # Each row reads its words from a bank of its own; the buffer stays as large.
    assert fitted.weight_buffer.banks == pe_rows
    fitted.check()
    before = load_mixed_vector("tf_mvp")
    assert (fitted.dram, fitted.clock, fitted.decompressor, fitted.activation_buffer) == (
        before.dram, before.clock, before.decompressor, before.activation_buffer
    )  # fmt: skip
    assert fitted.weight_buffer.bytes == before.weight_buffer.bytes


def test_do_skipped_zeros_hold_no_lane() -> None:
    # Every weight is kept, so EIE inserts no padding: all it multiplies are kept weights, although
    # it skips about half of them.
    whole = MaskedMatrix("m", np.ones((64, 40), np.bool_))
    work = Workload.of([whole], Activations(4, 0.5))
    eie = load_machine("eie")
    pair, dense = compare({"whole": work}, [eie])
    assert simulate(work, eie).total.macs_skipped > 0
    assert dense.cycles == pair.cycles
    assert pair.needed_share == 1.0


@pytest.mark.rule(rivals=1)
@pytest.mark.rule(rivals=6)
def test_does_optimus_grow_by_whole_sets() -> None:
    # 4 · 11 = 44 MACs: 5 PE rows for each of 8 sets are the most that fit.
    first = load_machine("systolic_ws", ["rows=4", "cols=11"])
    _, fitted = made_equal([first, load_machine("optimus")], "macs")
    assert fitted.macs == 40


@pytest.mark.rule(rivals=1)
@pytest.mark.parametrize("name", ["optimus", "systolic_ws", "cambricon_x", "tensor_core_2_4"])
def test_is_a_machine_made_as_large_as_it_may_be(name: str) -> None:
    first, fitted = made_equal([load_machine("tf_mvp"), load_machine(name)], "area")
    whole, own = (sum(machine_area(machine).values()) for machine in (first, fitted))
    # One more step (a set, a column, a PE) is less than a twentieth of the area here.
    assert 0.95 * whole < own <= whole


def test_is_a_machine_that_is_too_large_with_one_pe_named() -> None:
    small = load_machine("systolic_ws", ["rows=2", "cols=2"])
    with pytest.raises(InputError, match="eie has more area than systolic_ws"):
        made_equal([small, load_machine("eie")], "area")


def test_does_diff_name_what_changed(
    mask_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [mask_file.parent / f"{name}.json" for name in ("before", "after", "one")]
    settings = ([], ["--set", "pe_latency_cycles=9"], ["--include", "a"])
    for path, words in zip(paths, settings, strict=True):
        run = ("run", "--mask", str(mask_file), *words, "--json", str(path))
        assert call(monkeypatch, *run) == 0
    before, after, one = paths
    found = diff(before, after)
    assert found.inputs == (Input("machine", "array.pe_latency_cycles", "4", "9"),)
    assert found.parts[0].causes[0].what == "pipeline"
    # 8 groups of 16 tokens, five cycles more each, for as many tiles as there are.
    tiles = [layer["tiles"] for layer in json.loads(before.read_text())["layers"]]
    changed = [layer.causes[0].difference for layer in found.parts]
    assert changed == [5 * 8 * count for count in tiles]
    assert sum(c.difference for c in found.total.causes) == found.total.cycles.difference
    assert diff(before, before).is_same
    with pytest.raises(InputError, match=r"other matrices: b \(16×24 and none\); --other-matrices"):
        diff(before, one)
    fewer = diff(before, one, is_other_allowed=True)
    assert fewer.missing == ("b",) and not fewer.inputs
    capsys.readouterr()
    assert call(monkeypatch, "diff", str(before), str(after)) == 0
    text = capsys.readouterr().out
    assert text.index("array.pe_latency_cycles") < text.index("pipeline +")
    assert call(monkeypatch, "diff", str(before), str(one)) == 2
    assert "--other-matrices" in capsys.readouterr().err


def test_does_diff_name_what_changed_most_first(tmp_path: Path) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    for path, causes in ((before, {"a": 5, "b": 9}), (after, {"a": 7, "b": 2, "c": 4})):
        energy = {part: 1e-9 * count for part, count in causes.items()}
        result = {
            "cycles": sum(causes.values()),
            "energy_j": sum(energy.values()),
            "cycles_by_cause": causes,
            "energy_by_component_j": energy,
        }
        path.write_text(json.dumps({"accelerator": {}, "layers": [], "total": result}))
    total = diff(before, after).total
    assert [(c.what, c.before, c.after) for c in total.causes] == [
        ("b", 9, 2), ("c", None, 4), ("a", 5, 7)
    ]  # fmt: skip
    assert [c.what for c in total.components] == ["b", "c", "a"]


@pytest.mark.slow
def test_is_the_report_of_a_rival_whole(
    mask_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = mask_file.parent / "report"
    run = ("run", "--mask", str(mask_file), "--tokens", "3", "--out", str(out))
    assert call(monkeypatch, *run) == 0
    assert (out / "pe_load.png").exists()
    # Nothing is dealt out to PE rows here: the picture of the report before must not stay.
    assert call(monkeypatch, *run, "--accelerator", "systolic_ws") == 0
    assert not (out / "pe_load.png").exists()
    text = capsys.readouterr().out
    last = [
        layer["last_pass_cycle"]
        for layer in json.loads((out / "report.json").read_text())["layers"]
    ]
    # 24 × 40 and 16 × 24 weights lie on 64 × 64 PEs at once: 64 + 3 + 64 + 64 − 2 cycles each.
    assert last == [192, 192]
    assert "last_cycle of the array alone, counted from 0 as SCALE-Sim does: 192, 192" in text
    page = (out / "report.html").read_text()
    assert "dropped weights" in page
    assert "pe_load.png" not in page
    assert call(monkeypatch, *run, "--accelerator", "eie", "--advice") == 0
    assert "queues of activations twice as deep" in capsys.readouterr().out
    # A dataflow may name no changes.
    monkeypatch.setattr(Systolic, "changes", {})
    assert call(monkeypatch, *run, "--accelerator", "systolic_ws", "--advice") == 2
    assert "--advice is not available" in capsys.readouterr().err


def test_is_a_file_that_is_no_report_refused(mask_file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a report of mvpsim"):
        diff(mask_file, mask_file)
    with pytest.raises(InputError, match="does not exist"):
        diff(tmp_path / "none.json", tmp_path / "none.json")
