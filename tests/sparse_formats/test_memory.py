"""Does a run keep to the memory that it may take, whatever its files claim?"""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_masks, write_masks
from sparse_formats.formats.registry import FORMATS, encode
from sparse_formats.inspect.format_costs import inspect
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.sparse_masked_matrix import SparseMaskedMatrix
from sparse_formats.memory import FREE_BYTES, OWN_BYTES, Budget, budget, claim, passing

BANNER = "%%MatrixMarket matrix coordinate real general\n"


def coordinate_file(path: Path, side: int, entries: dict[tuple[int, int], float]) -> Path:
    """A square .mtx file with entries (row, column) → value, from 0."""
    lines = [f"{row + 1} {col + 1} {value}\n" for (row, col), value in entries.items()]
    path.write_text(f"{BANNER}{side} {side} {len(entries)}\n" + "".join(lines))
    return path


def peak_bytes(program: str, *words: str) -> tuple[int, str]:
    """Peak memory of a Python program, and what it printed."""
    # Where the system says it: a process that is started inherits ru_maxrss from the one that
    # starts it, and so the memory of all tests.
    measured = (
        f"{program}\n"
        "import pathlib, re, resource\n"
        "status = pathlib.Path('/proc/self/status')\n"
        "found = re.search(r'VmHWM:\\s*(\\d+)', status.read_text()) if status.exists() else None\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(int(found[1]) if found else peak)"
    )
    done = subprocess.run(
        [sys.executable, "-c", measured, *words], capture_output=True, text=True, check=True
    )
    *printed, peak = done.stdout.splitlines()
    return int(peak) * (1 if sys.platform == "darwin" else 1024), "\n".join(printed)


def test_a_budget_is_two_gigabytes_and_four_times_what_is_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(1000))
    with budget() as run:
        claim(file, 0, "reading nothing")
        claim(file, 0, "reading it once more")
        assert (run.read_bytes, run.most_bytes) == (1000, FREE_BYTES + 4000)
        claim(file, FREE_BYTES + 4000 - OWN_BYTES, "reading all")
        with pytest.raises(InputError, match=r"a byte takes 1e-09 GB of memory beside 1\.5 GB"):
            claim(file, 1, "reading a byte")


def test_what_passes_is_given_back(tmp_path: Path) -> None:
    with budget(OWN_BYTES + 100):
        for _ in range(3):
            with passing():
                claim(tmp_path, 100, "reading")
        claim(tmp_path, 100, "reading")
        with pytest.raises(InputError, match="as --max-memory says"):
            claim(tmp_path, 1, "reading")


def test_who_says_how_much_gets_it(tmp_path: Path) -> None:
    with budget(), budget(10**12) as run:
        claim(tmp_path, 10**12 - OWN_BYTES, "reading")
        assert run.most_bytes == 10**12


def test_without_a_run_there_is_no_limit(tmp_path: Path) -> None:
    claim(tmp_path, 10**15, "reading")


def test_threads_wait_for_each_other_where_both_are_too_much() -> None:
    run, inside, most = Budget(OWN_BYTES + 100), [0], [0]

    def work() -> None:
        with run.holding(60, "working"):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            threading.Event().wait(0.01)
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (most, inside) == ([1], [0])
    with pytest.raises(InputError, match="working takes"), run.holding(101, "working"):
        pass


def test_a_large_matrix_of_few_entries_is_held_as_these(tmp_path: Path) -> None:
    entries = {(0, 49_999): 1.5, (49_999, 0): -2.0, (7, 7): 0.0}
    (matrix,) = read_masks(coordinate_file(tmp_path / "m.mtx", 50_000, entries)).matrices
    assert isinstance(matrix, SparseMaskedMatrix)
    assert (matrix.shape, matrix.nnz) == ((50_000, 50_000), 2)
    assert matrix.density == 2 / 2_500_000_000
    assert matrix.kept_weights is not None
    assert matrix.kept_weights.tolist() == [1.5, -2.0]
    assert matrix.held_bytes == 32


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr", "dia"])
def test_scipy_files_of_few_entries_too(tmp_path: Path, format: str) -> None:
    diagonal = scipy.sparse.coo_array((np.full(3, 2.0), ([1, 2, 3], [1, 2, 3])), (50_000, 50_000))
    path = tmp_path / "m.npz"
    scipy.sparse.save_npz(path, scipy.sparse.coo_matrix(diagonal).asformat(format))
    (matrix,) = read_masks(path).matrices
    assert (matrix.shape, matrix.nnz) == ((50_000, 50_000), 3)


def test_it_is_the_matrix_that_it_was_written_as(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    dense = np.zeros((3000, 2500), np.float64)
    rows, cols = rng.integers(0, 2500, (2, 4000))
    dense[rows, cols] = rng.integers(1, 9, 4000)
    path = tmp_path / "m.npz"
    scipy.sparse.save_npz(path, scipy.sparse.csr_matrix(dense))
    (matrix,) = read_masks(path).matrices
    assert isinstance(matrix, SparseMaskedMatrix)
    assert np.array_equal(matrix.keep, dense != 0)
    assert matrix.weight is not None
    assert np.array_equal(matrix.weight, dense)
    assert matrix.kept_weights is not None
    assert np.array_equal(matrix.kept_weights, dense[dense != 0])
    plain = MaskedMatrix("m", dense != 0, dense)
    assert np.array_equal(plain.kept_weights, matrix.kept_weights)  # type: ignore[arg-type]
    assert matrix.nnz == plain.nnz
    for format in FORMATS:
        try:
            expected = encode(plain, format).storage(16)
        except InputError:
            continue
        assert encode(matrix, format).storage(16) == expected
    write_masks(tmp_path / "ours.npz", read_masks(path))
    assert np.array_equal(read_masks(tmp_path / "ours.npz").matrices[0].weight, dense)  # type: ignore[arg-type]


def test_entries_at_one_place_are_added_up_and_sums_of_zero_dropped(tmp_path: Path) -> None:
    path = tmp_path / "m.mtx"
    path.write_text(f"{BANNER}9000 9000 5\n9 9 1\n1 2 3\n9 9 -1\n1 2 0.5\n8000 1 2\n")
    (matrix,) = read_masks(path).matrices
    assert isinstance(matrix, SparseMaskedMatrix)
    assert matrix.kept_weights is not None
    assert matrix.kept_weights.tolist() == [3.5, 2.0]
    assert np.argwhere(matrix.keep).tolist() == [[0, 1], [7999, 0]]


def test_a_dense_matrix_beyond_the_budget_is_refused_with_numbers(tmp_path: Path) -> None:
    path = coordinate_file(tmp_path / "m.mtx", 60_000, {(i, i): 1.0 for i in range(3000)})
    with budget():
        (matrix,) = read_masks(path).matrices
        with pytest.raises(InputError, match=r"the mask of matrix m .* takes 3.6 GB"):
            _ = matrix.keep
    with budget(6 * 10**9), pytest.raises(InputError, match=r"weights .* --max-memory 7 allows"):
        read_and_weigh(path)


def read_and_weigh(path: Path) -> None:
    (matrix,) = read_masks(path).matrices
    _ = matrix.weight


def test_many_files_share_one_budget(tmp_path: Path) -> None:
    # Each is held dense: 500 kB of mask and 4 MB of weights.
    for i in range(20):
        coordinate_file(tmp_path / f"m{i}.mtx", 707, {(0, 0): 1.0})
    with budget(OWN_BYTES + 50 * 10**6), pytest.raises(InputError, match=r"beside .* read before"):
        read_masks(tmp_path)
    with budget(OWN_BYTES + 110 * 10**6):
        assert len(read_masks(tmp_path).matrices) == 20


@pytest.mark.parametrize("command", ["inspect", "check", "analyze", "run"])
def test_every_command_takes_the_budget(tmp_path: Path, command: str) -> None:
    from accel_sim.__main__ import COMMANDS as simulation
    from pruning.__main__ import COMMANDS as pruning
    from sparse_formats.__main__ import COMMANDS as formats
    from sparse_formats.terminal.command import call

    np.savez(tmp_path / "m.npz", m=np.ones((1000, 1000), np.float32))
    commands = formats | pruning | simulation
    words = [command, "--mask", tmp_path / "m.npz", *(["--pattern", "2:4"] * (command == "check"))]
    with pytest.raises(InputError, match=r"may take 0.501 GB in all, as --max-memory says"):
        call(commands, *words, "--max-memory", 0.501)


def test_a_large_matrix_is_inspected_and_run_in_two_gigabytes(tmp_path: Path) -> None:
    path = coordinate_file(tmp_path / "m.mtx", 12_000, {(i, 11 * i): 1.0 for i in range(10)})
    program = (
        "import sys\n"
        "from accel_sim.__main__ import COMMANDS as s\n"
        "from sparse_formats.__main__ import COMMANDS as f\n"
        "from sparse_formats.terminal.command import call\n"
        "assert call(f, 'inspect', '--mask', sys.argv[1], '--json', sys.argv[2]) == 0\n"
        "assert call(s, 'run', '--mask', sys.argv[1], '--tokens', 1, '--json', sys.argv[3]) == 0\n"
    )
    found = [str(tmp_path / name) for name in ("inspect.json", "run.json")]
    peak, _ = peak_bytes(program, str(path), *found)
    assert peak < 1e9  # a dense mask and its weights alone take 1.3 GB
    assert '"nnz": 10' in Path(found[0]).read_text()
    assert '"product_is_equal": true' in Path(found[1]).read_text()


def test_text_is_read_in_few_times_its_size(tmp_path: Path) -> None:
    path, side = tmp_path / "m.mtx", 2000
    text = "".join(f"{i + 1} {j + 1} 1\n" for i in range(side) for j in range(0, side, 4))
    path.write_text(f"{BANNER}{side} {side} {side * side // 4}\n{text}")
    program = (
        "import sys\n"
        "from sparse_formats.files.mask_file import read_masks\n"
        "if len(sys.argv) > 1: print(read_masks(sys.argv[1]).matrices[0].nnz)\n"
    )
    before, _ = peak_bytes(program)
    peak, printed = peak_bytes(program, str(path))
    assert printed == str(side * side // 4)
    assert peak - before < 13 * path.stat().st_size


@pytest.mark.parametrize(
    "words",
    [
        ["check", "--pattern", "2:4", "--mask"],
        ["analyze", "--mask"],
        ["prune", "--out", "o.npz", "--pattern", "2:4", "--sparsity", 0.5, "--from-mask"],
    ],
    ids=lambda words: words[0],
)
def test_what_needs_dense_arrays_is_refused_with_numbers(tmp_path: Path, words: list[str]) -> None:
    from pruning.__main__ import COMMANDS
    from sparse_formats.terminal.command import call

    path = coordinate_file(tmp_path / "m.mtx", 50_000, {(i, 11 * i): 1.0 for i in range(10)})
    words = [str(tmp_path / word) if word == "o.npz" else word for word in words]
    with pytest.raises(InputError, match=r"ing 2500000000 places .* takes \d\d GB of memory"):
        call(COMMANDS, *words, path)


def test_a_single_inspection_is_announced_before_it_is_made(tmp_path: Path) -> None:
    matrix = SparseMaskedMatrix("m", (2**20, 2**20), np.arange(3), None, "other")
    with budget(), pytest.raises(InputError, match=r"encoding matrix m .* takes 550 GB"):
        inspect(matrix, 16)
