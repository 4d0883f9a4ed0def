"""Recorded activations, read from a file: a 2-D array (tokens, inputs) of each matrix."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.inputs.activations import Activations
from sparse_formats.errors import InputError, SettingError, nearest
from sparse_formats.files.readers import safetensors
from sparse_formats.files.readers.npz import open_npz


def read_activations(
    path: Path, names: Iterable[str], tokens: int | None = None, seed: int = 0
) -> Activations:
    """The recorded inputs of the matrices `names`: a 2-D array (tokens, inputs) of each.

    path: .npz or .safetensors; floats, integers or booleans, of as many tokens in every array.
    tokens: how many there must be, if it was said. seed: of the values where booleans stand.
    Arrays of other names are left alone.

    Raises:
        InputError: the file is missing, damaged, pickled or of another kind; a matrix is missing;
            an array is not 2-D, not of numbers, not finite, or of other tokens than the first.
    """
    try:
        arrays = _arrays(path, list(names))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
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
        first = next(iter(arrays))
        if tokens is not None and len(x) != tokens:
            raise SettingError("tokens", f"is {tokens}, but {where} hold {len(x)} tokens")
        if len(x) != len(arrays[first]):
            raise InputError(
                f"{where} hold {len(x)} tokens, but those of {first} {len(arrays[first])}; "
                "record the same tokens of every matrix"
            )
        if len(x) == 0:
            raise InputError(f"{where} hold no token; record at least one")
    if not arrays:
        raise InputError(f"{path}: there is no matrix to read activations for")
    return Activations(len(next(iter(arrays.values()))), seed=seed, recorded=arrays, file=path)


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
