"""Masks and weights of `torch.save`, read with `weights_only=True`, so that no code runs."""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pruning.models.model_files import model_name, read_heads
from pruning.models.opening import first_line
from sparse_formats.errors import InputError
from sparse_formats.files.layouts import LeftOut
from sparse_formats.files.mask_file import PICKLES
from sparse_formats.files.matrices import matrices
from sparse_formats.files.model_config import read_config
from sparse_formats.files.model_files import shards_of
from sparse_formats.files.paths import as_path
from sparse_formats.files.readers.stored import Stored
from sparse_formats.files.reading import parsing
from sparse_formats.masks.matrix import MaskSet
from sparse_formats.memory import budget, reads

if TYPE_CHECKING:
    from torch import Tensor

WHOLE = "pytorch_model.bin"
INDEX = "pytorch_model.bin.index.json"

_STATE_DICTS = ("state_dict", "model_state_dict", "model", "module")
"""Where checkpoints keep the model, beside optimizer, step and more."""

_WHY = "not in the state dict of the model"


def recognises(path: Path) -> bool:
    """True for a file named as `torch.save` names them, and a folder of such files."""
    if path.is_dir():
        return not any(path.glob("*.safetensors")) and _shards(path) != ()
    return path.suffix.lower() in PICKLES or path.name == INDEX


def read_torch(path: Path | str) -> MaskSet:
    """The matrices of a state dict, of tensors by name, or of one tensor; as `read_masks` does.

    path: a file of `torch.save`, a folder with pytorch_model.bin or its shards, or the index of
    these. A checkpoint's state dict is found in it. Nested names are joined by dots. Sparse tensors
    become dense, bfloat16 becomes float32.

    Raises:
        InputError: torch is missing; the file holds more than tensors and plain values, is damaged,
            or holds no matrix; a layout that is not known.
    """
    path = as_path(path, "the PyTorch file")
    files = _shards(path) if path.is_dir() else shards_of(path) if path.name == INDEX else (path,)
    found: dict[str, Tensor] = {}
    left_out: list[LeftOut] = []
    for file in files:
        tensors, others = _tensors(file)
        twice = next((name for name in tensors if name in found), None)
        if twice is not None:
            raise InputError(f"{path}: two of its files hold {twice}; give one model's files")
        found |= tensors
        left_out += others
    with budget(), parsing(path, "a sound PyTorch file", "write or download it again"):
        reads(*files)
        arrays = {name: _stored(path, name, tensor) for name, tensor in found.items()}
        stored = matrices(path, arrays, read_config(path), is_model=True).leaving_out(left_out)
        if not stored.contents.matrices:
            raise InputError(
                f"{path} holds no 2-D tensor that is a matrix of a model"
                f"{stored.left_out_in_short}; give a state dict, or masks by name"
            )
        masks, heads = stored.masks(), read_heads(path)
    said = {"model": model_name(path), "heads": None if heads is None else asdict(heads)}
    return MaskSet(masks.matrices, {**said, **masks.header})


def _shards(folder: Path) -> tuple[Path, ...]:
    """The files of a folder that make up its model; none if there are none."""
    index, whole = folder / INDEX, folder / WHOLE
    if index.is_file():
        return shards_of(index)
    return (whole,) if whole.is_file() else ()


def _tensors(file: Path) -> "tuple[dict[str, Tensor], list[LeftOut]]":
    """The tensors of one file by name, and what stands beside the model in it."""
    import torch

    loaded, left_out = _loaded(file), []
    if isinstance(loaded, Mapping):
        inner = next((key for key in _STATE_DICTS if _has_tensors(loaded.get(key))), None)
        if inner is not None:
            left_out = [LeftOut(str(key), (), _WHY) for key in loaded if key != inner]
            loaded = loaded[inner]
    if isinstance(loaded, torch.Tensor):
        loaded = {file.stem: loaded}
    found = dict(_named(loaded, ""))
    if not found:
        raise InputError(f"{file} holds no tensor; save the state dict of a model")
    # As modules in data-parallel and compiled models are called.
    shared = "module." if all(name.startswith("module.") for name in found) else ""
    plain = {name: name.removeprefix(shared).replace("_orig_mod.", "") for name in found}
    return {plain[name]: tensor for name, tensor in found.items()}, left_out


def _loaded(file: Path) -> Any:
    """What `torch.load` makes of the file, on the CPU, with `weights_only`."""
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise InputError(
            f"{file} needs torch to be read; install with pip install -e '.[torch]', or convert it "
            "where torch is: numpy.savez('FILE.npz', **{name: t.numpy() for name, t in ...})"
        )
    import torch

    if not file.is_file():
        raise InputError(f"{file} is no regular file; give a file of torch.save")
    try:
        with warnings.catch_warnings(action="ignore"):  # that sparse tensors are new
            return torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError as error:
        raise InputError(f"{file} needs more memory than there is") from error
    except Exception as error:  # torch raises what its parts happen to raise
        raise InputError(
            f"{file} cannot be read safely: {_reason(error)}; save only tensors: "
            "torch.save(model.state_dict(), FILE)"
        ) from error


def _reason(error: Exception) -> str:
    """Why torch refuses a file; its own advice would be to let the file run code."""
    found = re.search(r"Unsupported (?:global: GLOBAL|class|operand) [\w.]+", str(error))
    return first_line(error) if found is None else f"it holds more than tensors ({found[0]})"


def _has_tensors(value: object) -> bool:
    return isinstance(value, Mapping) and any(True for _ in _named(value, ""))


def _named(value: Any, name: str) -> "Iterator[tuple[str, Tensor]]":
    """The tensors in nested mappings and lists, by their places joined with dots."""
    import torch

    if isinstance(value, torch.Tensor):
        yield name, value
        return
    items = value.items() if isinstance(value, Mapping) else ()
    if isinstance(value, list | tuple):
        items = enumerate(value)
    for key, item in items:
        yield from _named(item, f"{name}.{key}" if name else f"{key}")


def _stored(path: Path, name: str, tensor: "Tensor") -> Stored:
    import torch

    if tensor.is_quantized:
        raise InputError(f"{path}: {name} is quantised; call dequantize() on it and save it again")
    if tensor.is_meta:
        raise InputError(f"{path}: {name} has no values (it is on the device meta); save real ones")
    kind = "b" if tensor.dtype == torch.bool else "i"
    if tensor.is_complex():
        kind = "c"
    elif tensor.is_floating_point():
        kind = "f" if tensor.element_size() > 1 else "F"
    # bfloat16 becomes float32.
    item_bytes = max(4, tensor.element_size()) if kind == "f" else tensor.element_size()
    return Stored(kind, tuple(tensor.shape), _reader(path, name, tensor, kind), item_bytes)


def _reader(path: Path, name: str, tensor: "Tensor", kind: str) -> Callable[[], NDArray[Any]]:
    def read() -> NDArray[Any]:
        import torch

        if kind == "F":
            raise InputError(f"{path}: {name} holds {tensor.dtype}; convert it to torch.float16")
        dense = tensor.detach().to_dense() if tensor.layout != torch.strided else tensor.detach()
        values = dense.float() if dense.dtype == torch.bfloat16 else dense
        return np.array(values.numpy())

    return read
