"""Recorded activations, read from a file: a 2-D array (tokens, inputs) of each matrix.

Those of an expert's matrix are of the tokens that were routed to it, which may be none.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.inputs.activations import Activations
from sparse_formats.errors import InputError, SettingError, nearest
from sparse_formats.files.readers import safetensors
from sparse_formats.files.readers.npz import open_npz
from sparse_formats.files.reading import parsing
from sparse_formats.masks.execution import expert_of
from sparse_formats.memory import budget


def read_activations(
    path: Path,
    names: Iterable[str],
    tokens: int | None = None,
    seed: int = 0,
    convolutions: Collection[str] = (),
) -> Activations:
    """The recorded inputs of the matrices `names`: a 2-D array (tokens, inputs) of each.

    path: .npz or .safetensors; floats, integers or booleans, of as many tokens in every array, or
    of fewer in those of experts.
    tokens: how many there must be, if it was said. seed: of the values where booleans stand.
    Arrays of other names are left alone. convolutions: matrices with as many tokens as they have
    output positions.

    Raises:
        InputError: the file is missing, damaged, pickled or of another kind; a matrix is missing;
            an array is not 2-D, not of numbers, not finite, or of other tokens than the first.
    """
    with budget(), parsing(path, "a file of activations", "record them again"):
        arrays = _arrays(path, list(names))
    first, whole = _all_tokens({n: x for n, x in arrays.items() if n not in convolutions} or arrays)
    for name, x in arrays.items():
        where = f"{path}: activations of {name}"
        if x.dtype.kind not in "biuf":
            raise InputError(f"{where} are {x.dtype}; give floats, integers or booleans")
        finite = np.isfinite(x)
        if not finite.all():
            token, column = (int(i) for i in np.argwhere(~finite)[0])
            raise InputError(
                f"{where} have {x[token, column]} at token {token}, input {column}; "
                "give finite numbers"
            )
        if (expert_of(name) is not None and len(x) <= whole) or (name in convolutions and len(x)):
            continue
        if tokens is not None and len(x) != tokens:
            raise SettingError("tokens", f"is {tokens}, but {where} hold {len(x)} tokens")
        if len(x) != whole:
            raise InputError(
                f"{where} hold {len(x)} tokens, but those of {first} {whole}; "
                "record the same tokens of every matrix"
            )
        if len(x) == 0:
            raise InputError(f"{where} hold no token; record at least one")
    if not arrays:
        raise InputError(f"{path}: there is no matrix to read activations for")
    return Activations(whole if tokens is None else tokens, seed=seed, recorded=arrays, file=path)


def _all_tokens(arrays: Mapping[str, NDArray[Any]]) -> tuple[str, int]:
    """The matrix that all tokens go through, and how many: the first that is of no expert."""
    lengths = {name: len(x) if x.ndim else 0 for name, x in arrays.items()}
    whole = next((name for name in lengths if expert_of(name) is None), None)
    whole = whole or max(lengths, key=lambda name: lengths[name], default="")
    return whole, lengths.get(whole, 0)


def _arrays(path: Path, names: list[str]) -> dict[str, NDArray[Any]]:
    """The 2-D arrays called `names`, as stored."""
    if path.suffix == ".npz":
        with open_npz(path) as npz:
            shapes = {name: header.shape for name, header in npz.headers.items()}
            _check_named(path, names, shapes)
            return {name: npz.read(name) for name in names}
    if path.suffix == ".safetensors":
        tensors = safetensors.read_file(path)
        _check_named(path, names, {name: tensor.shape for name, tensor in tensors.items()})
        return {name: tensors[name] for name in names}
    raise InputError(f"{path} holds no activations; give an .npz or a .safetensors file")


def _check_named(path: Path, names: list[str], shapes: Mapping[str, tuple[int, ...]]) -> None:
    for name in names:
        if name not in shapes:
            raise InputError(f"{path}: no activations of matrix {name}{nearest(name, shapes)}")
        if len(shapes[name]) != 2:
            raise InputError(
                f"{path}: activations of {name} have shape {shapes[name]}; "
                "give two dimensions, tokens × inputs"
            )
