"""Does the benchmark measure what it says, and does its command behave?"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels.benchmark import mkl
from kernels.benchmark.cells import CELLS, PATTERNS, Cell, problem
from kernels.benchmark.timing import as_json, measure, ratio, take_turns
from sparse_formats.formats.csr import CSR

ROOT = Path(__file__).parents[2]
LENGTHS = {"blocks": 32, "vertical": 16, "horizontal": 16, "N:M": 4}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_cell_is_as_sparse_as_it_says_in_pieces_as_it_says(pattern: str) -> None:
    length = LENGTHS.get(pattern, 1)
    cell = Cell(pattern, length, 640, 320, 4, 0.75)
    task = problem(cell)
    keep = task.dense != 0
    assert task.x.shape == (320, 4) and task.out.shape == (640, 4)
    assert abs(keep.mean() - 0.25) < 0.01
    assert task.flops == 2 * 4 * np.count_nonzero(keep)
    if pattern == "vertical":
        assert set(keep.reshape(40, 16, 320).sum(1).ravel()) == {0, 16}
    if pattern == "horizontal":
        assert set(keep.reshape(640, 20, 16).sum(2).ravel()) == {0, 16}
    if pattern == "blocks":
        assert set(keep.reshape(20, 32, 10, 32).sum((1, 3)).ravel()) == {0, 1024}
    if pattern == "N:M":
        assert set(keep.reshape(640, 80, 4).sum(2).ravel()) == {1}


def test_all_take_turns_in_both_directions() -> None:
    order: list[str] = []
    times = take_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 0)
    assert "".join(order) == "ab" + "ba" + "ab" + "ba"
    assert {name: len(taken) for name, taken in times.items()} == {"a": 3, "b": 3}


def test_a_ratio_is_the_median_of_those_of_the_rounds() -> None:
    # 2/1, 6/2 and 12/6; the medians of both alone would say 6/2.
    times = {"theirs": np.array([2.0, 6.0, 12.0]), "ours": np.array([1.0, 2.0, 6.0])}
    assert ratio(times, "theirs", "ours") == 2
    assert ratio(times, "ours", "theirs") == 0.5


def test_a_cell_is_measured_without_any_peer() -> None:
    cell = Cell("vertical", 16, 64, 48, 16, 0.5)
    found = measure(cell, ["scipy csr"], 0.02)
    assert set(found.gflops) == {"ours", "scipy csr", "fma probe", "dense probe"}
    assert set(found.ratios) == {"scipy csr"} and found.rounds == len(found.to_probes) >= 3
    report = as_json([found], ["mkl csr"])
    assert json.loads(json.dumps(report))["cells"][0]["rows"] == 64


@pytest.mark.skipif(mkl.loaded() is None, reason="MKL, a benchmark-only dependency, is absent")
@pytest.mark.parametrize("tokens", [1, 5])
def test_the_peer_computes_the_same_product(tokens: int) -> None:
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((30, 20)) < 0.3, rng.standard_normal((30, 20)), 0)
    dense = dense.astype(np.float32)
    x, out = rng.standard_normal((20, tokens)).astype(np.float32), np.empty((30, tokens), "f4")
    mkl.product(CSR.encode(dense != 0, dense), tokens)(x, out)
    np.testing.assert_allclose(out, dense @ x, atol=1e-5)


def test_every_request_has_a_cell() -> None:
    asked = {(cell.pattern, cell.tokens) for cell in CELLS if cell.at_least is not None}
    for pattern in ("blocks", "vertical", "horizontal", "fine-grained"):
        assert {(pattern, 128), (pattern, 16)} <= asked
    assert {("vertical", 1), ("horizontal", 1), ("horizontal", 512)} <= asked


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "kernels", "bench", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_unknown_cell_is_one_line() -> None:
    done = command("--cells", "diagonal")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(
        "error: --cells is 'diagonal', which no name contains; known: blocks 32"
    )
    assert done.stderr.count("\n") == 1


def test_an_output_that_cannot_be_written_is_refused_before_measuring(tmp_path: Path) -> None:
    done = command("--json", str(tmp_path / "nowhere" / "bench.json"))
    assert done.returncode == 2 and "does not exist; create it" in done.stderr


@pytest.mark.slow
def test_the_command_prints_json() -> None:
    pytest.importorskip("torch")
    done = command("--cells", "vertical 16 3072×768, 80% sparse, 1 tok", "--seconds", "0.05",
                   "--json", "-")  # fmt: skip
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    assert cell["ratios"]["torch dense"] > 0 and cell["prepared_bytes"] > 4 * 3072 * 768 * 0.19


def comparer() -> Any:
    path = ROOT / "benchmarks" / "kernels" / "compare.py"
    spec = importlib.util.spec_from_file_location("compare", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stored(path: Path, speed: float, spread: float, seed: int) -> str:
    rounds = speed * np.exp(spread * np.random.default_rng(seed).standard_normal(60))
    entry = {"name": "cell", "extra_info": {"to_probes": rounds.tolist()}}
    path.write_text(json.dumps({"benchmarks": [entry]}))
    return str(path)


@pytest.mark.parametrize(
    ("first", "second", "spread", "status"),
    [
        (1.0, 1.0, 0.1, 0),
        (0.7, 0.7, 0.1, 1),
        (0.7, 1.0, 0.1, 0),
        (0.9, 0.9, 0.1, 0),
        (0.8, 0.8, 1.5, 0),
    ],
)
def test_only_what_is_surely_slower_twice_fails(
    tmp_path: Path, first: float, second: float, spread: float, status: int
) -> None:
    old = stored(tmp_path / "old.json", 1.0, spread, 0)
    new = stored(tmp_path / "new.json", first, spread, 1)
    again = stored(tmp_path / "again.json", second, spread, 2)
    assert comparer().main([old, new, again]) == status
    assert comparer().main([old, new]) == 0
