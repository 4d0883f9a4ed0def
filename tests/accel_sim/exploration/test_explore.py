"""Does `explore` find what there is, whoever computes it and whenever it is stopped?"""

import csv
import io
import json
import os
import shlex
import signal
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_sim import read_masks
from accel_sim.__main__ import COMMANDS
from accel_sim.commands import explore
from accel_sim.exploration.record import read_record
from accel_sim.exploration.samplers import SAMPLERS
from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import write_masks
from sparse_formats.terminal.command import call
from sparse_formats.terminal.settings import settings_of

SHAPES = ("--shapes", "96x64,64x96", "--tokens", "32")
VARY = (
    *("--vary", "array.lanes=8,16,32"),
    *("--vary", "pe_rows=4,8"),
    *("--vary", "queue.depth_entries=2,8"),
)
STUDY = Path("study")


def explored(*words: object) -> dict[str, Any]:
    """What the study in the folder `study` came to."""
    call(COMMANDS, "explore", *words, "--study", STUDY)
    return json.loads((STUDY / "explore.json").read_text())


def found_by(*words: object) -> dict[str, Any]:
    """The same without a folder, which takes less time."""
    call(COMMANDS, "explore", *words, "--json", "found.json")
    return json.loads(Path("found.json").read_text())


def told_by(command: str, *words: object) -> dict[str, Any]:
    """What `run` or `model` says of the same."""
    call(COMMANDS, command, *words, "--json", "told.json")
    return json.loads(Path("told.json").read_text())


def files(folder: Path = STUDY) -> dict[str, bytes]:
    """All that a study wrote."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def lines(folder: Path = STUDY) -> list[bytes]:
    return (folder / "record.jsonl").read_bytes().splitlines(keepends=True)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_point_is_what_run_says_of_its_file() -> None:
    data = explored(*SHAPES, *VARY)
    assert len(data["points"]) == data["trials"] == data["space"]["size"] == 12
    for point in data["points"]:
        report = told_by("run", "--config", STUDY / "points" / f"{point['key']}.toml")
        total = report["total"]
        assert point["cycles"] == total["cycles"]
        assert point["latency_s"] == total["latency_s"]
        assert point["energy_j"] == pytest.approx(total["energy_j"], rel=1e-14)
        assert point["area_mm2"] == report["area_mm2"]["total"]
        assert point["bound_by"] == total["bound_by"]
        assert point["kept_share"] == total["density"]
        for key, value in point["values"].items():
            section, leaf = key.split(".")
            assert report["accelerator"][section][leaf]["value"] == value


def test_a_whole_model_is_what_model_says_of_it() -> None:
    words = ("--model", "bert-base", "--prefill", 16, "--vary", "vector.elements_per_cycle=16,64")
    data = explored(*words)
    for point in data["points"]:
        answer = told_by("model", "--config", STUDY / "points" / f"{point['key']}.toml")["answer"]
        assert point["latency_s"] == answer["end_to_end_s"]
        assert point["energy_j"] == pytest.approx(answer["prefill_energy_j"])


def test_the_front_is_what_brute_force_finds() -> None:
    more = ("--vary", "dram.bytes_per_cycle=4,16,64", "--minimise", "area", "--minimise", "latency")
    data = found_by(*SHAPES, *VARY, *more, "--minimise", "energy")
    costs = {
        point["key"]: (point["area_mm2"], point["latency_s"], point["energy_j"])
        for point in data["points"]
    }
    best = {
        cost
        for cost in costs.values()
        if not any(
            other != cost and all(a <= b for a, b in zip(other, cost, strict=True))
            for other in costs.values()
        )
    }
    assert 3 < len(best) < len(costs) == 36
    assert {costs[key] for key in data["front"]} == best
    assert len(data["front"]) == len(best)
    assert data["knee"] in data["front"]
    volumes = data["hypervolume"]
    assert all(before <= after for before, after in pairwise(volumes))
    assert 0 < volumes[-1] <= 1


def test_the_table_holds_every_point() -> None:
    data = explored(*SHAPES, *VARY)
    rows = list(csv.DictReader(io.StringIO((STUDY / "explore.csv").read_text())))
    assert [row["key"] for row in rows] == [point["key"] for point in data["points"]]
    for row, point in zip(rows, data["points"], strict=True):
        assert float(row["energy_j"]) == point["energy_j"]
        assert row["array.lanes"] == str(point["values"]["array.lanes"])
        assert row["is_on_front"] == str(point["is_on_front"])


SEARCHES = [(), ("--sampler", "nsga2", "--trials", 7), ("--sampler", "tpe", "--trials", 7)]


@pytest.mark.parametrize("search", SEARCHES, ids=["grid", "nsga2", "tpe"])
def test_two_processes_write_the_same_bytes_as_one(search: tuple[object, ...]) -> None:
    explored(*SHAPES, *VARY, *search)
    alone = files()
    STUDY.rename("alone")
    explored(*SHAPES, *VARY, *search, "--jobs", 2)
    assert files() == alone


def test_a_cluster_writes_the_same_bytes(cluster: Any) -> None:
    explored(*SHAPES, *VARY)
    alone = files()
    STUDY.rename("alone")
    explored(*SHAPES, *VARY, "--cluster", cluster.scheduler_address)
    assert files() == alone


def test_a_worker_of_a_cluster_that_is_killed_loses_nothing(cluster: Any) -> None:
    more = ("--vary", "dram.bytes_per_cycle=8,16,32,64")
    explored(*SHAPES, *VARY, *more)
    alone = files()
    STUDY.rename("alone")
    killed: list[int] = []

    def kill_one() -> None:
        record = STUDY / "record.jsonl"
        while not (record.exists() and record.stat().st_size):
            time.sleep(0.001)
        killed.append(next(iter(cluster.workers.values())).pid)
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    explored(*SHAPES, *VARY, *more, "--cluster", cluster.scheduler_address)
    killer.join()
    assert killed
    assert files() == alone


def test_a_study_that_was_stopped_goes_on_to_the_same_end() -> None:
    search = ("--sampler", "nsga2", "--trials", 7)
    explored(*SHAPES, *VARY, *search)
    whole, bytes_ = files(), (STUDY / "record.jsonl").read_bytes()
    for stopped in np.random.default_rng(0).integers(0, len(bytes_), 5):
        (STUDY / "record.jsonl").write_bytes(bytes_[:stopped])
        explored(*SHAPES, *VARY, *search)
        assert files() == whole


def test_only_what_is_new_is_simulated(capsys: pytest.CaptureFixture[str]) -> None:
    explored(*SHAPES, *VARY[:4])
    before = lines()
    assert "known from before" not in capsys.readouterr().out
    data = explored(*SHAPES, *VARY[:4], "--vary", "queue.depth_entries=2,4")  # 4: tf_mvp's own
    assert "6 were known from before" in capsys.readouterr().out
    assert lines()[:6] == before
    assert len(lines()) == data["trials"] == 12


def test_other_weights_tokens_or_settings_are_other_points() -> None:
    words = ("--vary", "array.lanes=8,16")
    found = [
        found_by(*SHAPES, *words),
        found_by(*SHAPES[:2], "--tokens", 16, *words),
        found_by(*SHAPES, *words, "--density", 0.5),
        found_by(*SHAPES, *words, "--set", "dram.bytes_per_cycle=8"),
        found_by(*SHAPES, *words, "--seed", 1),
    ]
    assert len({point["key"] for data in found for point in data["points"]}) == 10


OTHERS = {
    "--shapes 64x64 --tokens 32": "which holds a study of 96x64,64x96, mvp at 0.2, and this",
    "--shapes 96x64,64x96 --tokens 16": "of 32 tokens through each matrix, and this is one of 16",
    "--shapes 96x64,64x96 --tokens 32 --density .5": "and this is one of 96x64,64x96, mvp at 0.5",
    "--shapes 96x64,64x96 --tokens 32 --accelerator eie": "of tf_mvp, and this is one of eie;",
    "--shapes 96x64,64x96 --tokens 32 --exclude 0": "each matrix, without 0; give another folder",
}


@pytest.mark.parametrize("words", OTHERS)
def test_the_study_of_something_else_is_not_written_over(words: str) -> None:
    explored(*SHAPES, "--vary", "dram.bytes_per_cycle=32")
    before = files()
    with pytest.raises(InputError, match=OTHERS[words]):
        explored(*words.split(), "--vary", "dram.bytes_per_cycle=64")
    assert files() == before
    more = ("--vary", "density=.2,.5", "--vary", "accelerator=tf_mvp,eie")
    assert len(explored(*SHAPES, *more, "--vary", "dram.bytes_per_cycle=32")["points"]) == 4


def test_a_mask_that_was_changed_is_another_study() -> None:
    for density in (0.5, 0.2):
        keep = np.random.default_rng(0).random((64, 96)) < density
        write_masks(Path("m.npz"), {"a": keep})
        words = ("--mask", "m.npz", "--tokens", 32, "--vary", "array.lanes=8,16")
        if density == 0.5:
            explored(*words)
    with pytest.raises(
        InputError, match=r"of m\.npz as it was before, and this is one of m\.npz as"
    ):
        explored(*words)


def test_a_study_of_frontier_in_the_same_folder_stays() -> None:
    pytest.importorskip("torch")
    from pruning.__main__ import COMMANDS as PRUNE

    words = ("frontier", "--shapes", "64x64", "--patterns", "fine", "--sparsities", ".5")
    call(PRUNE, *words, "--out", STUDY)
    before = files()
    explored(*SHAPES, *VARY)
    call(PRUNE, *words, "--out", STUDY)
    own = set(before) - {".mvpsim-files.json"}
    assert {name: files()[name] for name in own} == {name: before[name] for name in own}
    assert (STUDY / "explore.html").exists()


DAMAGED = {
    b'{"a": 1}\n{"b": 2}\n': r"record.jsonl is not the record of a study: no line of it is",
    b"\x00\xff\n": r"move it away, or give another folder",
    b'{"key": "0123456789abcdef", "cycles": 1}\n\nnoise\n': "lines 2, 3 are no result; .*'2d;3d' ",
}


@pytest.mark.parametrize("content", DAMAGED)
def test_a_record_of_somebody_else_or_damaged_is_said_to_be_so(content: bytes) -> None:
    STUDY.mkdir()
    (STUDY / "record.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=DAMAGED[content]):
        explored(*SHAPES, *VARY)
    assert lines() == content.splitlines(keepends=True)


def test_a_page_of_something_else_is_no_study() -> None:
    STUDY.mkdir()
    (STUDY / "explore.json").write_text('{"a": 1}')
    with pytest.raises(InputError, match=r"explore\.json.*another folder"):
        explored(*SHAPES, *VARY)
    assert (STUDY / "explore.json").read_text() == '{"a": 1}'


def test_accelerators_are_an_axis_each_with_the_keys_that_it_has() -> None:
    words = ("--vary", "accelerator=tf_mvp,eie,mine.toml", "--vary", "array.lanes=8,16")
    Path("mine.toml").write_text('extends = "snap"\n')
    data = explored(*SHAPES, *words, "--vary", "dram.bytes_per_cycle=32,64")
    found = [tuple(point["values"].values()) for point in data["points"]]
    lanes = [("tf_mvp", lanes, width) for lanes in (8, 16) for width in (32, 64)]
    rest = [(name, width) for name in ("eie", "mine.toml") for width in (32, 64)]
    assert found == [*lanes, *rest]
    assert data["space"]["size"] == data["feasible"] == len(found)
    for point in data["points"]:
        report = told_by("run", "--config", STUDY / "points" / f"{point['key']}.toml")
        assert report["total"]["cycles"] == point["cycles"]
        assert report["accelerator"]["name"] == Path(point["values"]["accelerator"]).stem
    rows = list(csv.DictReader(io.StringIO((STUDY / "explore.csv").read_text())))
    assert [row["array.lanes"] for row in rows] == ["8", "8", "16", "16", "", "", "", ""]
    # What was known of one accelerator alone is known of it among others.
    alone = found_by(*SHAPES, "--vary", "lanes=8,16", "--vary", "dram.bytes_per_cycle=32,64")
    assert [p["key"] for p in alone["points"]] == [p["key"] for p in data["points"]][:4]


@pytest.mark.parametrize("sampler", ["random", "nsga2", "tpe"])
def test_a_sampler_tries_different_points_of_different_machines(sampler: str) -> None:
    more = ("--vary", "accelerator=tf_mvp,eie", "--vary", "array.lanes=4,8,16")
    more = (*more, "--vary", "array.pe_rows=4,8", "--vary", "dram.bytes_per_cycle=16,32,64")
    data = found_by(*SHAPES, *more, "--sampler", sampler, "--trials", 15)
    points = {tuple(point["values"].values()) for point in data["points"]}
    assert len(points) == data["trials"] == 15
    assert data["space"]["size"] == 18 + 3
    assert {point["values"]["accelerator"] for point in data["points"]} == {"tf_mvp", "eie"}


def test_points_that_cannot_be_are_kept_with_the_reason() -> None:
    data = explored(*SHAPES, "--vary", "array.lanes=3,8", "--under", "area_mm2=1000")
    bad, good = data["points"]
    assert bad["reason"].startswith("array.lane_groups has 2, which does not divide array.lanes")
    assert good["reason"] is None
    assert data["feasible"] == 1
    assert bad["key"] not in data["front"]
    with pytest.raises(InputError, match="does not divide"):
        told_by("run", "--config", STUDY / "points" / f"{bad['key']}.toml")


def test_limits_leave_out_points_but_not_their_figures() -> None:
    free = explored(*SHAPES, *VARY)
    areas = sorted(point["area_mm2"] for point in free["points"])
    most = (areas[5] + areas[6]) / 2
    Path("space.toml").write_text(f"[constraints]\narea_mm2 = {most}\n")
    for words in (("--under", f"area_mm2={most}"), ("--space", "space.toml")):
        data = explored(*SHAPES, *VARY, *words)
        assert data["feasible"] == 6
        for point in data["points"]:
            assert (point["reason"] is None) == (point["area_mm2"] <= most)
            assert point["reason"] is None or point["reason"].startswith("area_mm2 is ")
    assert len(read_record(STUDY / "record.jsonl")) == 12


def test_an_empty_feasible_set_says_what_is_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    status = call(COMMANDS, "explore", *SHAPES, *VARY, "--under", "area_mm2=0.1")
    said = capsys.readouterr().out
    assert status == 1
    assert "No point counts." in said
    assert "The least area_mm2 of all is" in said
    assert "12 do not count: area_mm2 above 0.1 (12)." in said


def test_linked_keys_follow_their_axis() -> None:
    Path("space.toml").write_text(
        "[space]\n"
        '"array.pe_rows" = { low = 4, high = 16, factor = 2 }\n'
        '"weight_buffer.banks" = "array.pe_rows"\n'
        '"output.words_per_cycle" = "2 * weight_buffer.banks"\n'
    )
    data = found_by(*SHAPES, "--space", "space.toml")
    found = [tuple(point["values"].values()) for point in data["points"]]
    assert found == [(4, 4, 8), (8, 8, 16), (16, 16, 32)]


def test_masks_are_chosen_together_with_the_machine() -> None:
    rng = np.random.default_rng(0)
    for name, density in (("half", 0.5), ("tenth", 0.1)):
        write_masks(Path(f"{name}.npz"), {"a": rng.random((64, 96)) < density})
    Path("space.toml").write_text(
        '[quality]\nmeasure = "accuracy"\nbetter = "higher"\n'
        '[masks]\nhalf = { file = "half.npz", quality = 0.9 }\n'
        'tenth = { file = "tenth.npz", quality = 0.6 }\n'
        "[space.array]\nlanes = [8, 16]\n"
    )
    data = explored("--tokens", 32, "--space", "space.toml")
    assert [each["key"] for each in data["objectives"]] == ["latency_s", "energy_j", "quality"]
    best = max(data["points"], key=lambda point: point["quality"])
    assert best["values"]["mask"] == "half"
    assert {point["values"]["mask"] for point in data["points"] if point["is_on_front"]} == {
        "half",
        "tenth",
    }
    for point in data["points"]:
        report = told_by("run", "--config", STUDY / "points" / f"{point['key']}.toml")
        assert report["total"]["cycles"] == point["cycles"]
        nnz = read_masks(f"{point['values']['mask']}.npz").matrices[0].nnz
        assert report["total"]["nnz"] == nnz


def test_patterns_and_densities_are_axes_of_generated_masks() -> None:
    words = ("--vary", "pattern=fine,mvp", "--vary", "density=.1,.5", "--vary", "lanes=8,16")
    data = found_by(*SHAPES, *words)
    assert data["space"]["axes"]["density"] == [0.1, 0.5]
    assert len({point["cycles"] for point in data["points"]}) == 8


def test_a_pattern_that_cannot_have_a_density_is_a_point_that_cannot_be() -> None:
    words = ("--vary", "pattern=2:4,fine", "--vary", "density=.7,.5")
    data = explored(*SHAPES, *words, "--accelerator", "tensor_core_2_4")
    reasons = [point["reason"] for point in data["points"]]
    assert reasons[0] == "density is 0.7, but pattern 2:4 keeps at most 0.5; give 0.5 or less"
    assert reasons[1:] == [None] * 3
    STUDY.rename("before")
    alone = explored(*SHAPES, "--pattern", "2:4", "--vary", "dram.bytes_per_cycle=32,64")
    assert "density = 0.5" in (STUDY / "points" / f"{alone['knee']}.toml").read_text()


@pytest.mark.parametrize("sampler", ["random", "nsga2", "tpe"])
def test_a_sampler_tries_as_many_different_points_as_it_may(sampler: str) -> None:
    more = ("--vary", "array.lanes=3,8,16", "--vary", "pe_rows=4,8,16", "--under", "area_mm2=20")
    more = (*more, "--vary", "queue.depth_entries=2,3,4,6,8,12,16")
    data = found_by(*SHAPES, *more, "--sampler", sampler, "--trials", 40)
    points = {tuple(point["values"].values()) for point in data["points"]}
    assert len(points) == data["trials"] == 40
    other = found_by(*SHAPES, *more, "--sampler", sampler, "--trials", 40, "--seed", 1)
    assert {tuple(point["values"].values()) for point in other["points"]} != points


def test_every_sampler_can_be_asked_for() -> None:
    (setting,) = (each for each in settings_of(explore.Settings) if each.name == "sampler")
    assert setting.choices == tuple(SAMPLERS)


def test_its_command_makes_the_study_again() -> None:
    data = explored(*SHAPES, *VARY, "--under", "area_mm2=20", "--minimise", "edp")
    before = files()
    python, dash, package, *words = shlex.split(data["command"])
    assert (python, dash, package) == ("python", "-m", "accel_sim")
    call(COMMANDS, *words)
    assert files() == before


WRONG = {
    "--vary lane=8": "unknown key 'lane'; did you mean 'array.lanes'",
    "--vary array.lanes": "is not KEY=VALUES",
    "--vary array.lanes=0,8": "'array.lanes' is 0; expected a whole number",
    "--vary array.lanes=many": "'array.lanes' is 'many'",
    "--vary array.lanes=8,8": "has 8 twice",
    "--vary array.lanes=8 --vary lanes=4": "array.lanes stands in",
    "--vary array.lanes=4,8 --set array.lanes=8": "--set|set gives array.lanes a value",
    "--vary density=2": "density is 2",
    "--vary pattern=fin": "pattern",
    "--vary array.lanes=4,8 --under area=20": "did you mean 'area_mm2'",
    "--vary array.lanes=4,8 --under foo=3": "--under foo=3: foo is no measure; known: area_mm2",
    "--vary array.lanes=4,8 --under area_mm2=big": "area_mm2 is 'big'; give a number above 0",
    "--vary array.lanes=4,8 --under area_mm2": "is not KEY=NUMBER",
    "--vary array.lanes=4,8 --minimise latenci": "did you mean 'latency'",
    "--vary array.lanes=4,8 --minimise quality": "no mask under .masks. has one",
    "--vary array.lanes=4,8 --sampler grid --trials 1": "the grid has 2 points",
    "--vary array.lanes=4,8 --jobs 2 --cluster tcp://localhost:1": "belongs to this machine",
    "--vary array.lanes=4,8 --cluster nowhere": "no Dask scheduler answers",
    "--vary array.lanes=4,8 --batch 2": "belongs to whole models",
    "--vary array.lanes=4,8 --mask x.npz": "give one of --mask FILE, --shapes NAME",
    "--vary accelerator=tf_mpv,eie": "did you mean 'tf_mvp'",
    "--vary accelerator=eie,snap --accelerator optimus": "is an axis too; leave one out",
    "--vary accelerator=eie,snap --vary array.lanes=4,8": "unknown key 'array.lanes'",
    "--vary accelerator=tf_mvp,eie --set array.lanes=8": "array.lanes",
    "": "the space has no axis",
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_flags_are_answered_in_one_line(words: str) -> None:
    with pytest.raises(InputError, match=WRONG[words]) as error:
        explored(*SHAPES, *words.split())
    assert "\n" not in str(error.value)


WRONG_FILES = {
    '[spce]\n"array.lanes" = [8]': r"unknown table \[spce\]; did you mean 'space'",
    "space = 3": r"make it a table \[space\]",
    '[space]\n"array.lane" = [8]': "did you mean 'array.lanes'",
    '[space]\n"array.lanes" = []': "has no value",
    '[space]\n"array.lanes" = { low = 8 }': "is no range",
    '[space]\n"array.lanes" = { low = 8, high = 4 }': "give a high that is not less",
    '[space]\n"array.lanes" = { low = 4, high = 8, stp = 2 }': "did you mean 'step'",
    '[space]\n"array.lanes" = { low = 4, high = 8, step = 0 }': "give one above 0",
    '[space]\n"array.lanes" = { low = 1, high = 1e9 }': "more than 10,000 values",
    '[space]\n"array.lanes" = "array.pe_rows"\n"array.pe_rows" = "array.lanes"': "follow each",
    '[space]\n"array.lanes" = "array.lanes"': "follow each other",
    '[space]\n"array.lanes" = "array.pe_rows"': "follows array.pe_rows, which is no axis",
    '[space]\n"array.lanes" = "x * array.pe_rows"': "write a key, or a number times a key",
    '[space]\n"array.datatype" = "int8"': r"For a value, write \['int8'\]",
    '[space]\n"array.lanes" = [8]\n[constraints]\narea = 3': "did you mean 'area_mm2'",
    '[space]\n"array.lanes" = [8]\n[masks]\na = "no.npz"': "there is no",
    '[space]\n"array.lanes" = [8]\n[masks]\na = { quality = 3 }': "write { file =",
    "[space\n": "not TOML",
}


@pytest.mark.parametrize("text", WRONG_FILES)
def test_wrong_files_are_answered_in_one_line(text: str) -> None:
    Path("space.toml").write_text(text)
    with pytest.raises(InputError, match=WRONG_FILES[text]) as error:
        explored(*SHAPES, "--space", "space.toml")
    assert "\n" not in str(error.value)
    assert "space.toml" in str(error.value)


def test_masks_with_and_without_quality_are_refused() -> None:
    write_masks(Path("m.npz"), {"a": np.ones((8, 8), bool)})
    Path("space.toml").write_text('[masks]\na = "m.npz"\nb = { file = "m.npz", quality = 1 }\n')
    with pytest.raises(InputError, match="a has no quality, but others have"):
        explored("--space", "space.toml")
    Path("space.toml").write_text('[masks]\nb = { file = "m.npz", quality = 1 }\n')
    with pytest.raises(InputError, match="say what it is by a table"):
        explored("--space", "space.toml")


def test_names_of_masks_cannot_harm_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    write_masks(Path("m.npz"), {"a": np.ones((8, 8), bool)})
    name = "<script>alert(1)</script>\\u001b[2J"
    Path("space.toml").write_text(
        f'[masks]\n"{name}" = "m.npz"\n[space]\n"array.lanes" = [8, 16]\n'
    )
    explored("--tokens", 8, "--space", "space.toml")
    assert "<script>alert" not in (STUDY / "explore.html").read_text()
    assert "\x1b[2J" not in capsys.readouterr().out
