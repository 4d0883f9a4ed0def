"""Reading masks and weights in whatever form people have them; writing ours."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError, nearest
from sparse_formats.files import gguf_model, int8_file, model_files, native_npz, onnx_model
from sparse_formats.files.layouts import LeftOut
from sparse_formats.files.matrices import Matrices, Weights, in_network_order, matrices
from sparse_formats.files.model_config import read_config
from sparse_formats.files.outputs import Output, check_outputs
from sparse_formats.files.paths import as_path
from sparse_formats.files.readers import matrix_market, npz, scipy_npz, smtx
from sparse_formats.files.reading import parsing
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet, check_finite, check_float
from sparse_formats.masks.matrix_names import network_order
from sparse_formats.memory import budget, claim, passing, reads

PICKLES = frozenset({".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".joblib"})
"""File name endings of formats that may run code when they are read."""


_RESAVE = "load it with the program that wrote it and save the arrays with numpy.savez"

ELSEWHERE: dict[str, str] = {
    ".h5": f"an HDF5 file, which cannot be read here; {_RESAVE}, or the model with "
    "transformers' from_pretrained(..., from_tf=True) and save_pretrained",
    ".hdf5": f"an HDF5 file, which cannot be read here; {_RESAVE}",
    ".keras": f"a Keras archive, which cannot be read here; {_RESAVE}",
    ".msgpack": f"a Flax file, which cannot be read here; {_RESAVE}, or the model with "
    "transformers' from_pretrained(..., from_flax=True) and save_pretrained",
    ".mat": f"a MATLAB file, which cannot be read here; {_RESAVE}, or as Matrix Market (.mtx)",
}
"""What files of other endings are, and how to convert them."""


def read_masks(path: Path | str) -> MaskSet:
    """The masked matrices of a file or directory, (out, in), in network order.

    path: an .npz of 2-D arrays, a `scipy.sparse.save_npz` file, a mask file of ours (in its own
    order), .safetensors, a Hugging Face directory or the index of its shards, .smtx, .mtx or
    .mtx.gz, a directory of these three, a .npy of one matrix, a .gguf in whose types a zero stays
    a zero, or an .onnx, by what its nodes multiply by. Weights in several arrays are put together,
    see `layouts`.
    What is not zero is kept, in every format; a format without values keeps what it lists, and a
    mask that a file states beside the weights (torch prune, ours) is taken as it stands. Float
    arrays give the weights too, bools and ints the mask only, but for the int8 weights of a model
    in 8-bit numbers (`int8_file`). Embeddings and heads are included: `selection.select` leaves
    them out. What the file says besides is in `header`: see `matrices.Matrices`.

    Raises:
        InputError: the file is missing, damaged, unsafe, of unknown format, or holds no matrix.
    """
    path = as_path(path, "the mask file")
    with budget(), parsing(path, "a sound mask file", "write or download it again"):
        try:
            with passing():
                found = _masks(path)
            claim(path, sum(matrix.held_bytes for matrix in found.matrices), "holding what it says")
            return found
        except OSError as error:
            raise _unreadable(path, error) from error


def _masks(path: Path) -> MaskSet:
    if path.is_dir():
        return _directory(path)
    if model_files.is_index(path) and path.is_file():
        return _model(path).masks()
    return _reader(path)(path)


def write_masks(path: Path | str, masks: MaskSet | Mapping[str, NDArray[Any]]) -> None:
    """Write our versioned, bit-packed schema to `path`, whole or not at all; see `native_npz`.

    masks: as `read_masks` returns them, or arrays by name, see `MaskSet.from_arrays`.

    Raises:
        InputError: the path cannot be written, or the masks contradict themselves.
    """
    path = as_path(path, "the mask file")
    check_outputs([Output(path, "the masks")], [])
    native_npz.write(path, masks if isinstance(masks, MaskSet) else MaskSet.from_arrays(masks))


def read_weights(path: Path | str) -> dict[str, NDArray[np.floating[Any]]]:
    """All 2-D floating-point matrices of a model, (out, in), in network order, by name.

    path: a Hugging Face directory of safetensors (one file or sharded), the index of its shards, a
    .safetensors, an .npz, a .gguf or an .onnx file. Element types stay as stored; bfloat16 becomes
    float32.

    Raises:
        InputError: as `read_masks`; or there is no floating-point matrix inside.
    """
    return read_model(path).matrices


def read_model(path: Path | str) -> Weights:
    """What `read_weights` returns, and what is said of it (the `header` of `read_masks`).

    Raises:
        InputError: as `read_weights`.
    """
    path = as_path(path, "the model")
    with budget(), parsing(path, "a sound model", "write or download it again"):
        try:
            with passing():
                found = _weights(path)
            held = sum(array.nbytes for array in found.matrices.values())
            claim(path, held, "holding its weights")
        except OSError as error:
            raise _unreadable(path, error) from error
    weights = {name: array for name, array in found.matrices.items() if array.dtype.kind == "f"}
    if not weights:
        raise InputError(
            f"{path} holds no 2-D floating-point matrix; scores need the weights of a model"
        )
    for name, weight in weights.items():
        check_float(f"{path}: matrix {name}", weight.dtype)
        check_finite(f"{path}: matrix {name}", weight)
    return Weights({name: weights[name] for name in network_order(weights)}, found.header)


def sha256_of(path: Path | str) -> str:
    """SHA-256 of a file's bytes, in hex; where several files are read: of their names and bytes.

    Several are the files of a directory that `read_masks` reads, the index of shards among them,
    and a config.json without which matrices would be read or run in another way.

    Raises:
        InputError: the path is missing or cannot be read.
    """
    path, digest = as_path(path, "the file"), hashlib.sha256()
    try:
        files = _files_read(path)
        for file in sorted(files):
            if path.is_dir() or len(files) > 1:
                digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
            _update(digest, file)
    except OSError as error:
        raise _unreadable(path, error) from error
    return digest.hexdigest()


def _files_read(path: Path) -> tuple[Path, ...]:
    is_model = path.suffix.lower() == ".safetensors"
    if model_files.is_index(path) or (path.is_dir() and _has_safetensors(path)):
        files, is_model = model_files.model_files(path).read, True
    elif path.is_dir():
        files = _sparse_files(path)
    elif path.suffix.lower() == ".onnx" and path.is_file():
        files = onnx_model.files(path)
    else:
        files = (path,)
    config = read_config(path) if is_model else None
    return (*files, config.path) if config is not None and config.changes_results else files


def _npz_masks(path: Path) -> MaskSet:
    with npz.open_npz(path) as archive:
        if native_npz.recognises(archive):
            return native_npz.read(archive)
        if scipy_npz.recognises(archive):
            return MaskSet(tuple(scipy_npz.read(archive)))
        return _npz_arrays(archive).masks()


def _npy_masks(path: Path) -> MaskSet:
    return _npy_array(path).masks()


def _npy_array(path: Path) -> Matrices:
    found = matrices(path, npz.stored_npy(path), None, is_model=False)
    if not found.contents.has_masks:
        raise InputError(f"{path} holds no 2-D array of numbers; save one mask or weight matrix")
    return found


def _npz_arrays(archive: npz.Npz) -> Matrices:
    found = matrices(archive.path, npz.stored(archive), None, is_model=False)
    if not found.contents.has_masks:
        raise npz.no_matrix(archive)
    return found


def _safetensors_masks(path: Path) -> MaskSet:
    if int8_file.recognises(path):
        return int8_file.read_masks(path)
    return _model(path).masks()


def _model(path: Path) -> Matrices:
    """The matrices of a file of tensors, of an index, or of a folder."""
    if path.is_dir() or model_files.is_index(path):
        files = model_files.model_files(path)
    else:
        files = model_files.ModelFiles(((path, None),))
    reads(*files.read)
    tensors = model_files.read_tensors(files)
    found = matrices(path, tensors, read_config(path), is_model=True)
    if not found.contents.has_masks:
        raise InputError(
            f"{path} holds no 2-D tensor that is a matrix of a model{found.left_out_in_short}; "
            "give the weights or masks of a model"
        )
    ignored = [*files.ignored, *(_sparse_files(path) if path.is_dir() else ())]
    why = "a file beside the model that is read"
    return found.leaving_out([LeftOut(file.name, (), why) for file in ignored])


def _weights(path: Path) -> Weights:
    if path.is_dir() or model_files.is_index(path):
        return _model(path).weights()
    reader = _reader(path)
    if reader is _safetensors_masks and not int8_file.recognises(path):
        return _model(path).weights()
    if reader is _npy_masks:
        return _npy_array(path).weights()
    if reader is _gguf_masks:
        return gguf_model.read(path).weights()
    if reader is _onnx_masks:
        return onnx_model.read(path).weights()
    if reader is _npz_masks:
        with npz.open_npz(path) as archive:
            if not native_npz.recognises(archive) and not scipy_npz.recognises(archive):
                return _npz_arrays(archive).weights()
    found = read_masks(path)
    weights = {m.name: m.weight for m in found.matrices if m.weight is not None}
    return Weights(weights, found.header)


def _gguf_masks(path: Path) -> MaskSet:
    return gguf_model.read(path).masks()


def _onnx_masks(path: Path) -> MaskSet:
    return onnx_model.read(path).masks()


def _smtx_masks(path: Path) -> MaskSet:
    return MaskSet(tuple(smtx.read(path)))


def _matrix_market_masks(path: Path) -> MaskSet:
    return MaskSet(tuple(matrix_market.read(path)))


READERS: dict[str, Callable[[Path], MaskSet]] = {
    ".npz": _npz_masks,
    ".safetensors": _safetensors_masks,
    ".smtx": _smtx_masks,
    ".mtx": _matrix_market_masks,
    ".mtx.gz": _matrix_market_masks,
    ".npy": _npy_masks,
    ".gguf": _gguf_masks,
    ".onnx": _onnx_masks,
}
"""File name ending → reader."""

_SPARSE = (".smtx", ".mtx", ".mtx.gz")


def _directory(path: Path) -> MaskSet:
    files = _sparse_files(path)
    if not files or _has_safetensors(path):
        return _model(path).masks()
    names = [file.name[: -len(_ending(file))] for file in files]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise InputError(f"{path}: two files name their matrix {twice}; rename or remove one")
    reads(*files)
    return MaskSet(in_network_order(matrix for file in files for matrix in _held(file)))


def _held(file: Path) -> tuple[MaskedMatrix, ...]:
    with passing():
        found = _reader(file)(file).matrices
    claim(file, sum(matrix.held_bytes for matrix in found), "holding what it says")
    return found


def _has_safetensors(path: Path) -> bool:
    return any(file.suffix.lower() == ".safetensors" for file in path.iterdir())


def _sparse_files(path: Path) -> tuple[Path, ...]:
    return tuple(sorted(file for file in path.iterdir() if _ending(file) in _SPARSE))


def _ending(path: Path) -> str:
    """The file name's ending in lower case; of a packed file with that of what is in it."""
    ending = path.suffix.lower()
    return Path(path.stem).suffix.lower() + ending if ending == ".gz" else ending


def _reader(path: Path) -> Callable[[Path], MaskSet]:
    ending = _ending(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; give a mask file or a model directory")
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a directory; copy its content to a file")
    if ending in PICKLES:
        raise InputError(
            f"{path} is a pickle, which may run code when read; convert it first: python -m "
            f"pruning convert {path} --out {path.stem}.npz, which reads tensors and nothing else"
        )
    if ending in ELSEWHERE:
        raise InputError(f"{path} is {ELSEWHERE[ending]}")
    if ending not in READERS:
        raise InputError(f"{path}: unknown file name ending {ending!r}{nearest(ending, READERS)}")
    return READERS[ending]


def _update(digest: Any, path: Path) -> None:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"cannot read {path}: {error.strerror or error}; check the path and rights")
