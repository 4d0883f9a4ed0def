"""Reading masks and weights in whatever form people have them; writing ours."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError, nearest
from sparse_formats.files import int8_file, native_npz
from sparse_formats.files.paths import as_path
from sparse_formats.files.readers import matrix_market, npz, safetensors, scipy_npz, smtx
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet, check_finite, check_float
from sparse_formats.masks.matrix_names import network_order, stored_in_out

PICKLES = frozenset({".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".joblib"})
"""File name endings of formats that may run code when they are read."""


def read_masks(path: Path | str) -> MaskSet:
    """The masked matrices of a file or directory, (out, in), in network order.

    path: an .npz of 2-D arrays, a `scipy.sparse.save_npz` file, a mask file of ours (in its own
    order), .safetensors, a Hugging Face directory, .smtx, .mtx, or a directory of the last two.
    Matrices that were stored (in, out) and turned are named in header["stored_in_out"].
    Non-zero = kept; float arrays give the weights too, bools and ints the mask only, but for the
    int8 weights of a model in 8-bit numbers (`int8_file`). Embeddings and heads are included:
    `selection.select` leaves them out.

    Raises:
        InputError: the file is missing, damaged, unsafe, of unknown format, or holds no matrix.
    """
    path = as_path(path, "the mask file")
    try:
        if path.is_dir():
            return _directory(path)
        return _reader(path)(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def write_masks(path: Path | str, masks: MaskSet | Mapping[str, NDArray[Any]]) -> None:
    """Write our versioned, bit-packed schema to `path`, whole or not at all; see `native_npz`.

    masks: as `read_masks` returns them, or arrays by name, see `MaskSet.from_arrays`.

    Raises:
        InputError: the path cannot be written, or the masks contradict themselves.
    """
    path = as_path(path, "the mask file")
    native_npz.write(path, masks if isinstance(masks, MaskSet) else MaskSet.from_arrays(masks))


def read_weights(path: Path | str) -> dict[str, NDArray[np.floating[Any]]]:
    """All 2-D floating-point matrices of a model, (out, in), in network order, by name.

    path: a Hugging Face directory of safetensors (one file or sharded), a .safetensors or an
    .npz file. Element types stay as stored; bfloat16 becomes float32.

    Raises:
        InputError: as `read_masks`; or there is no floating-point matrix inside.
    """
    path = as_path(path, "the model")
    try:
        arrays = _weight_arrays(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    weights = {name: array for name, array in arrays.items() if array.dtype.kind == "f"}
    if not weights:
        raise InputError(
            f"{path} holds no 2-D floating-point matrix; scores need the weights of a model"
        )
    for name, weight in weights.items():
        check_float(f"{path}: matrix {name}", weight.dtype)
        check_finite(f"{path}: matrix {name}", weight)
    upright = _upright(weights)
    return {name: upright[name] for name in network_order(upright)}


def sha256_of(path: Path | str) -> str:
    """SHA-256 of a file's bytes, in hex; of a directory: over its matrix files' names and bytes.

    Raises:
        InputError: the path is missing or cannot be read.
    """
    path, digest = as_path(path, "the file"), hashlib.sha256()
    try:
        if not path.is_dir():
            _update(digest, path)
            return digest.hexdigest()
        for file in sorted(p for p in path.iterdir() if p.suffix in _IN_DIRECTORIES):
            digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
            _update(digest, file)
    except OSError as error:
        raise _unreadable(path, error) from error
    return digest.hexdigest()


def _npz_masks(path: Path) -> MaskSet:
    with npz.open_npz(path) as archive:
        if native_npz.recognises(archive):
            return native_npz.read(archive)
        if scipy_npz.recognises(archive):
            return MaskSet(tuple(scipy_npz.read(archive)))
        return _dense_masks(path, npz.read_arrays(archive))


def _safetensors_masks(path: Path) -> MaskSet:
    if int8_file.recognises(path):
        return int8_file.read_masks(path)
    return _dense_masks(path, safetensors.read_file(path))


def _smtx_masks(path: Path) -> MaskSet:
    return MaskSet(tuple(smtx.read(path)))


def _matrix_market_masks(path: Path) -> MaskSet:
    return MaskSet(tuple(matrix_market.read(path)))


READERS: dict[str, Callable[[Path], MaskSet]] = {
    ".npz": _npz_masks,
    ".safetensors": _safetensors_masks,
    ".smtx": _smtx_masks,
    ".mtx": _matrix_market_masks,
}
"""File name ending → reader."""

_IN_DIRECTORIES = (".safetensors", ".smtx", ".mtx")


def _directory(path: Path) -> MaskSet:
    files = sorted(p for p in path.iterdir() if p.suffix.lower() in (".smtx", ".mtx"))
    if not files or any(path.glob("*.safetensors")):
        return _dense_masks(path, safetensors.read_directory(path))
    stems = [file.stem for file in files]
    twice = next((stem for i, stem in enumerate(stems) if stem in stems[:i]), None)
    if twice is not None:
        raise InputError(f"{path}: two files name their matrix {twice}; rename or remove one")
    matrices = [matrix for file in files for matrix in _reader(file)(file).matrices]
    return MaskSet(_in_network_order(matrices))


def _dense_masks(path: Path, arrays: Mapping[str, NDArray[Any]]) -> MaskSet:
    if not arrays:
        raise InputError(f"{path} holds no 2-D matrix; give the weights or masks of a model")
    upright = _upright(arrays)
    header = {"stored_in_out": turned} if (turned := sorted(_stored_in_out(arrays))) else {}
    matrices = (
        MaskedMatrix.from_array(name, array, f"{path}: ") for name, array in upright.items()
    )
    return MaskSet(_in_network_order(matrices), header)


def _weight_arrays(path: Path) -> Mapping[str, NDArray[Any]]:
    """The 2-D arrays of a model as stored; those of sparse files and of ours are (out, in)."""
    if path.is_dir():
        return safetensors.read_directory(path)
    if _reader(path) is _safetensors_masks:
        return safetensors.read_file(path)
    if _reader(path) is _npz_masks:
        with npz.open_npz(path) as archive:
            if not native_npz.recognises(archive) and not scipy_npz.recognises(archive):
                return npz.read_arrays(archive)
    matrices = read_masks(path).matrices
    return {m.name: m.weight for m in matrices if m.weight is not None}


def _upright(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays as (out, in): those stored (in, out) transposed."""
    turned = _stored_in_out(arrays)
    return {
        name: np.ascontiguousarray(array.T) if name in turned else array
        for name, array in arrays.items()
    }


def _stored_in_out(arrays: Mapping[str, NDArray[Any]]) -> frozenset[str]:
    return stored_in_out({name: (a.shape[0], a.shape[1]) for name, a in arrays.items()})


def _in_network_order(matrices: Iterable[MaskedMatrix]) -> tuple[MaskedMatrix, ...]:
    by_name = {matrix.name: matrix for matrix in matrices}
    return tuple(by_name[name] for name in network_order(by_name))


def _reader(path: Path) -> Callable[[Path], MaskSet]:
    ending = path.suffix.lower()
    if not path.exists():
        raise InputError(f"{path} does not exist; give a mask file or a model directory")
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a directory; copy its content to a file")
    if ending in PICKLES:
        raise InputError(
            f"{path} is a pickle, which may run code when read; "
            "convert it to .safetensors (safetensors.torch.save_file) first"
        )
    if ending not in READERS:
        raise InputError(f"{path}: unknown file name ending {ending!r}{nearest(ending, READERS)}")
    return READERS[ending]


def _update(digest: Any, path: Path) -> None:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"cannot read {path}: {error.strerror or error}; check the path and rights")
