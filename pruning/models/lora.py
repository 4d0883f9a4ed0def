"""LoRA adapters, as PEFT saves them, merged into a sparse model: what is 0 there stays 0.

Of a matrix W with factors B (out, r) and A (r, in), W + s·B·A has no zeros left. Merged here is
W + s·(B·A ⊙ (W ≠ 0)), with s = α/r, or α/√r where the adapter says that it is rank-stabilised.
Source: Hu et al. 2021 (LoRA), Kalajdzievski 2023 (rsLoRA); the masked merge is this project's own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pruning.models.matrices import Matrix
from pruning.models.opening import OpenModel
from sparse_formats.errors import InputError, nearest
from sparse_formats.files.reading import parsing, read_json
from sparse_formats.memory import reads

if TYPE_CHECKING:
    from torch import Tensor

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

_PREFIX, _A, _B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"


class _Config(msgspec.Struct):
    """What is used of `adapter_config.json`."""

    peft_type: str
    r: int = 8
    lora_alpha: float = 8
    use_rslora: bool = False
    use_dora: bool = False
    bias: str = "none"
    rank_pattern: dict[str, Any] = {}
    alpha_pattern: dict[str, Any] = {}


@dataclass(frozen=True)
class Merged:
    """A matrix with its update.

    density: of the matrix. taken: ‖update on kept weights‖² ÷ ‖update‖²; 1 where
    the update is 0.
    """

    name: str
    density: float
    taken: float


def merge_lora(opened: OpenModel, adapter: Path) -> tuple[Merged, ...]:
    """Add the adapter in folder `adapter` to the weights of `opened` that are not 0, in place.

    Raises:
        InputError: no adapter of LoRA, one with parts that cannot be merged, or of another model.
    """
    scale, factors = _read(adapter)
    by_module = {matrix.module_name: matrix for matrix in opened.linears}
    pairs: list[tuple[Matrix, Tensor, Tensor]] = []
    for module, (a, b) in factors.items():
        matrix = by_module.get(module)
        if matrix is None:
            raise InputError(
                f"adapter {adapter} has factors for {module}, but model {opened.name} has no such "
                f"linear layer{nearest(module, by_module)}; give the model that it was trained on"
            )
        if (b.shape[0], a.shape[1]) != matrix.shape or a.shape[0] != b.shape[1]:
            raise InputError(
                f"adapter {adapter} has factors of {tuple(b.shape)} and {tuple(a.shape)} for "
                f"{module}, which is {matrix.shape[0]}×{matrix.shape[1]}; give the model that it "
                "was trained on"
            )
        pairs.append((matrix, a, b))
    return tuple(_merge(matrix, a, b, scale) for matrix, a, b in pairs)


def _merge(matrix: Matrix, a: "Tensor", b: "Tensor", scale: float) -> Merged:
    view = matrix.view
    update = scale * (b.float() @ a.float())
    keep = view != 0
    whole = float(update.double().square().sum())
    update *= keep
    taken = float(update.double().square().sum())
    view += update.to(view)
    return Merged(matrix.name, float(keep.double().mean()), taken / whole if whole else 1.0)


def _read(folder: Path) -> "tuple[float, dict[str, tuple[Tensor, Tensor]]]":
    """The scale, and A and B by the name of the module."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(
                f"{folder} has no {name}; give the folder of an adapter that PEFT saved as "
                "safetensors"
            )
    config = read_json(folder / CONFIG, _Config, "the settings of a LoRA adapter", 10**7)
    refused = {
        "peft_type": config.peft_type != "LORA", "use_dora": config.use_dora,
        "bias": config.bias != "none", "rank_pattern": bool(config.rank_pattern),
        "alpha_pattern": bool(config.alpha_pattern),
    }  # fmt: skip
    for name, is_refused in refused.items():
        if is_refused:
            found = getattr(config, name)
            raise InputError(
                f"adapter {folder} has {name} {found!r}, which cannot be merged into a sparse "
                "model; give a plain LoRA adapter"
            )
    with parsing(folder / WEIGHTS, "the factors of a LoRA adapter", "save it again"):
        reads(folder / WEIGHTS)
    try:
        tensors = load_file(folder / WEIGHTS)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{folder / WEIGHTS} is damaged: {error}") from error
    return _scale(config), _pairs(folder, tensors)


def _scale(config: _Config) -> float:
    return config.lora_alpha / (math.sqrt(config.r) if config.use_rslora else config.r)


def _pairs(folder: Path, tensors: "Mapping[str, Tensor]") -> "dict[str, tuple[Tensor, Tensor]]":
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for name, tensor in tensors.items():
        other = name.removesuffix(_A) + _B if name.endswith(_A) else name.removesuffix(_B) + _A
        if not name.endswith((_A, _B)) or tensor.dim() != 2 or other not in tensors:
            raise InputError(
                f"adapter {folder} holds {name}, which is no factor of a linear layer's weight; "
                "train the adapter on linear layers alone, without modules_to_save"
            )
        if name.endswith(_A):
            found[name.removesuffix(_A).removeprefix(_PREFIX)] = (tensor, tensors[other])
    if not found:
        raise InputError(f"adapter {folder} holds no factors")
    return found
