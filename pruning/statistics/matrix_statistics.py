"""What a score may look at, and the statistics file that carries it from a model to a score.

The file is a numpy `.npz` with, per matrix called `<matrix>` (its parameter's name, as the model
file has it, `(out, in)` whatever the file's own order), any of

    <matrix>/gradient           float32 (out, in)   mean over batches of ∂Loss/∂W
    <matrix>/squared_gradient   float32 (out, in)   mean over batches (or samples) of its square
    <matrix>/gram               float   (in, in)    Σ over tokens of x xᵀ, symmetric
    <matrix>/input_squares      float   (in,)       Σ over tokens of x²
    <matrix>/tokens             int64   ()          tokens the two sums run over
    <matrix>/inputs_of          str     ()          another matrix of the file whose gram,
                                                    input_squares and tokens are also this one's

Without input_squares, they are the gram's diagonal. `write_statistics` writes `inputs_of` wherever
two matrices share the very same arrays (Q, K and V read the same inputs).
"""

import dataclasses
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError, nearest
from sparse_formats.files.atomic import replace_file
from sparse_formats.files.readers.npz import Npz, open_npz

GRADIENTS = ("gradient", "squared_gradient")
INPUTS = ("gram", "input_squares", "tokens")
STATISTICS = (*GRADIENTS, *INPUTS)
"""The fields of `Statistics` that a statistics file holds."""


StatisticsFile = str | Path | None
"""Where statistics are read from, if any are."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """What a score may look at, of one matrix (out, in). Absent statistics are None.

    weight: floats (out, in). rng: for scores that draw numbers.
    gradient: float32 (out, in), mean over batches of ∂Loss/∂W.
    squared_gradient: float32 (out, in), mean over batches (or samples) of its square.
    gram: float64 (in, in), Σ over tokens of x xᵀ. input_squares: float64 (in,), Σ of x².
    tokens: how many tokens the two sums run over.
    """

    weight: NDArray[np.floating[Any]]
    rng: np.random.Generator
    gradient: NDArray[np.float32] | None = None
    squared_gradient: NDArray[np.float32] | None = None
    gram: NDArray[np.float64] | None = None
    input_squares: NDArray[np.float64] | None = None
    tokens: int = 0


def generator(name: str, seed: int) -> np.random.Generator:
    """Random numbers of the matrix called `name`: they depend on `seed` and `name` alone."""
    return np.random.default_rng((seed, zlib.crc32(name.encode())))


def check_needs(known: Statistics, needs: tuple[str, ...], score: str, name: str) -> None:
    """InputError unless `known` of matrix `name` has the statistics `needs`."""
    for need in needs:
        if getattr(known, need) is None:
            raise InputError(
                f"{score} needs the {need} of matrix {name}, which is not known; collect it with "
                "`python -m pruning calibrate` and give the file as statistics"
            )


def write_statistics(path: Path, known: Mapping[str, Statistics]) -> None:
    """Write the statistics of matrices by name (not their weights) to `path`, whole or not at all.

    Raises:
        InputError: the path cannot be written, or a statistic has another shape than its matrix.
    """
    arrays: dict[str, NDArray[Any]] = {}
    owners: dict[tuple[int, int], str] = {}
    for name, mine in known.items():
        _check(f"matrix {name}", mine)
        for field in GRADIENTS:
            if (value := getattr(mine, field)) is not None:
                arrays[f"{name}/{field}"] = value
        inputs = (id(mine.gram), id(mine.input_squares))
        if mine.gram is None and mine.input_squares is None:
            continue
        owner = owners.setdefault(inputs, name)
        if owner != name and known[owner].tokens == mine.tokens:
            arrays[f"{name}/inputs_of"] = np.array(owner)
            continue
        for field in INPUTS:
            if (value := getattr(mine, field)) is not None:
                arrays[f"{name}/{field}"] = np.asarray(value)
    with replace_file(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_statistics(
    path: StatisticsFile, weights: Mapping[str, NDArray[np.floating[Any]]], seed: int = 0
) -> Iterator[tuple[str, Statistics]]:
    """The statistics of each matrix of `weights` in turn: its weights and what `path` knows of it.

    Statistics are read when their matrix comes up, so only one matrix's lie in memory. A matrix
    the file does not mention, or `path` None, gives weights alone.

    Raises:
        InputError: an unreadable file, or one of another model: it mentions none of the matrices,
            or a statistic has another shape than its matrix, or holds NaN or infinity.
    """
    if path is None:
        for name, weight in weights.items():
            yield name, Statistics(weight, generator(name, seed))
        return
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"statistics {path} does not exist; write it with `python -m pruning calibrate`"
        )
    try:
        with open_npz(path) as archive:
            known = {key.rpartition("/")[0] for key in archive.headers}
            if not known & weights.keys():
                wanted = next(iter(weights), "")
                raise InputError(
                    f"statistics {path} has nothing about matrix {wanted}"
                    f"{nearest(wanted, known)}; calibrate the model that is pruned"
                )
            for name, weight in weights.items():
                yield name, _read(archive, name, weight, seed)
    except OSError as error:
        raise InputError(f"cannot read statistics {path}: {error.strerror}") from error


def without_gram(path: StatisticsFile, names: Iterable[str]) -> str | None:
    """The first of the matrices `names` whose Gram matrix `path` does not hold; None if it has all.

    Raises:
        InputError: an unreadable file.
    """
    if path is None:
        return next(iter(names), None)
    try:
        with open_npz(Path(path)) as archive:
            for name in names:
                owner = f"{name}/inputs_of"
                of = archive.text(owner) if owner in archive.headers else name
                if f"{of}/gram" not in archive.headers:
                    return name
    except OSError as error:
        raise InputError(f"cannot read statistics {path}: {error.strerror}") from error
    return None


def _read(archive: Npz, name: str, weight: NDArray[np.floating[Any]], seed: int) -> Statistics:
    owner = f"{name}/inputs_of"
    of = archive.text(owner) if owner in archive.headers else name

    def found(key: str, dtype: type) -> NDArray[Any] | None:
        if key not in archive.headers:
            return None
        if archive.headers[key].dtype.kind not in "fiu":
            raise InputError(f"statistics {archive.path}: {key} is not an array of real numbers")
        return archive.read(key).astype(dtype, copy=False)

    tokens, gram = found(f"{of}/tokens", np.int64), found(f"{of}/gram", np.float64)
    squares = found(f"{of}/input_squares", np.float64)
    known = Statistics(
        weight,
        generator(name, seed),
        gradient=found(f"{name}/gradient", np.float32),
        squared_gradient=found(f"{name}/squared_gradient", np.float32),
        gram=gram,
        input_squares=np.diag(gram) if squares is None and gram is not None else squares,
        tokens=0 if tokens is None else int(tokens.sum()),
    )
    _check(f"statistics {archive.path}: matrix {name}", known)
    return known


_SHAPES: Mapping[str, Callable[[int, int], tuple[int, ...]]] = {
    "gradient": lambda rows, cols: (rows, cols),
    "squared_gradient": lambda rows, cols: (rows, cols),
    "gram": lambda rows, cols: (cols, cols),
    "input_squares": lambda rows, cols: (cols,),
}


def _check(where: str, known: Statistics) -> None:
    rows, cols = known.weight.shape
    for field in dataclasses.fields(known):
        value = getattr(known, field.name)
        if field.name not in _SHAPES or value is None:
            continue
        shape = _SHAPES[field.name](rows, cols)
        if value.shape != shape:
            raise InputError(
                f"{where}: {field.name} is {value.shape}, but weight {rows}×{cols} needs {shape}; "
                "calibrate the model that is pruned"
            )
        if not np.isfinite(value).all():
            raise InputError(
                f"{where}: {field.name} holds NaN or infinity; calibrate again, in float32"
            )
