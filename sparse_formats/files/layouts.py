"""Which arrays of a file are weights: how each is called, laid out, decoded, or left out, and why.

A matrix is read where it is a 2-D array, or one expert of a 3-D array of experts; masks are read of
convolutions too, 4-D arrays (outputs, inputs, height, width). Weights that
other tools store in several arrays are put together where the format says how; where it does not,
the file is refused by the name of the array and of the format. Everything else that has two axes
or more is left out by name.

Sources: torch.nn.utils.prune and torch.ao.pruning (`NAME_orig`, `NAME_mask`; a parametrization's
`original` and `mask`); compressed-tensors 0.9.4, sparse-bitmask and sparse-24-bitmask.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.readers.size_limits import check_shape
from sparse_formats.files.readers.stored import Stored
from sparse_formats.masks.matrix_names import NOT_IN_A_LAYER, kind_of

_DEQUANTISE = "give the model before it was quantised, or dequantise it and save it as floats"

_REFUSED: tuple[tuple[str, str, str], ...] = (
    (r"[._](?:qweight|qzeros|g_idx)$", "integers packed by GPTQ or AWQ", _DEQUANTISE),
    (r"[._](?:qscales|scales)$", "scales of packed integers", _DEQUANTISE),
    (r"_proj_(?:blocks|scales)$", "numbers packed in MXFP4 blocks", _DEQUANTISE),
    (
        r"\.(?:weight_packed|weight_zero_point|weight_global_scale|scale_packed)$",
        "packed integers of compressed-tensors",
        _DEQUANTISE,
    ),
    (
        r"[._](?:absmax|nested_absmax|quant_map|nested_quant_map)$|quant_state|\.SCB$",
        "a part of weights that bitsandbytes packed",
        _DEQUANTISE,
    ),
    (
        r"[._](?:weight_scale(?:_inv)?|weight_scale_2|scale_weight|weight_scales)$",
        "the scale of quantised weights",
        _DEQUANTISE,
    ),
    (r"\.(?:codes|codebooks|Qidxs|W_q)$", "packed integers of a quantised model", _DEQUANTISE),
    (
        r"(?:^|[._])(?:lora_[A-Za-z]+|lora_embedding_[AB]|hada_w[12]_[ab]|lokr_w[12](?:_[ab])?"
        r"|vera_lambda_[bd]|ia3_l)(?:$|\.)",
        "a part of an adapter, which changes the weights of a model",
        "merge the adapter into its model (peft: merge_and_unload) and give the merged model",
    ),
    (
        r"(?:^|[._])mask_scores?$",
        "the scores of movement pruning, which are no weights, and the mask also depends on a "
        "threshold that is not in the file",
        "apply the mask first (movement pruning: bertarize.py) and give the model it writes",
    ),
    (
        r"(?:^|[._])(?:flat_param|_flat_param|fp32_flat_groups|single_partition_of_fp32_groups)",
        "a shard of flattened weights",
        "gather the shards first (DeepSpeed: zero_to_fp32.py; FSDP: a full state dict)",
    ),
)
"""What is refused: pattern of the name, what the array is, what to do."""

_LEFT_OUT: tuple[tuple[str, str], ...] = (
    (r"inv_freq$|(?:cos|sin)_cached$|freqs?(?:_cis|_cos|_sin)?$", "a cache of rotary positions"),
    (r"(?:attn|attention)\.embed_positions$|sinusoid\w*$", "a cache of rotary positions"),
    (r"(?:attn|attention)\.(?:masked_)?bias$|masked_bias$", "a buffer of the causal mask"),
    (r"(?:^|[._])(?:causal|attn|attention)_mask$|(?:^|\.)tril$", "a buffer of the attention mask"),
    (r"(?:^|[._])alibi(?:_slopes)?$", "a buffer of positions"),
    (r"(?:position|token_type)_ids$", "a buffer of indices"),
    (r"relative_position_index$|(?:^|[._])(?:relative_)?coords(?:_table)?$", "a buffer of indices"),
    (r"running_(?:mean|var)$|num_batches_tracked$", "statistics of a batch norm"),
    (
        r"(?:^|[._])(?:head|neuron|layer|ffn)_masks?$|(?:^|[._])(?:pruned_heads|heads_to_prune)$"
        r"|(?:^|[._])head_importance$",
        "a list of heads or neurons, not the mask of a matrix",
    ),
    (r"(?:^|[._])(?:max_)?exp_avg(?:_sq)?$|momentum_buffer$", "a state of the optimizer"),
    (
        r"(?:^|[._])weight_[gv]$|parametrizations\.\w+\.original[01]$",
        "a part of a weight norm; remove the norm first",
    ),
    (r"(?:^|[._])(?:weight|input|output|k|v|kv)_(?:scale|zero_point)$", "a scale"),
)
"""What is left out: pattern of the name, and what the array is."""

_CONVOLUTION = "a convolution"
_EXPERTS = (
    r"experts?(?:[._]|$)|_exps(?:\.|$)"
    r"|(?:^|\.)(?:moe|block_sparse_moe)\.(?:input|output)_linear"
)


@dataclass(frozen=True)
class LeftOut:
    """An array that is not simulated, with the reason."""

    name: str
    shape: tuple[int, ...]
    why: str

    def as_data(self) -> dict[str, Any]:
        """As it stands in a header."""
        return {"name": self.name, "shape": list(self.shape), "why": self.why}


@dataclass(frozen=True)
class Contents:
    """The matrices of a file by name, 2-D and unread; what else is there; what was decoded.

    sizes: the shape of every array, of one axis too. decoded: the names of matrices by the layout
    they were put together from. slices: names of experts, cut out of one array. convolutions: 4-D
    arrays, which are also among those left out.
    """

    matrices: Mapping[str, Stored]
    sizes: Mapping[str, tuple[int, ...]]
    left_out: tuple[LeftOut, ...] = ()
    decoded: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    convolutions: Mapping[str, Stored] = field(default_factory=dict)

    @property
    def has_masks(self) -> bool:
        """Whether masks can be read: of matrices or of convolutions."""
        return bool(self.matrices or self.convolutions)

    def with_convolutions(self, path: Path) -> "Contents":
        """The same with each convolution as a matrix of outputs × (inputs · height · width)."""
        left_out = tuple(item for item in self.left_out if item.name not in self.convolutions)
        unfolded = {
            name: _as_matrix(path, name, array) for name, array in self.convolutions.items()
        }
        return replace(self, matrices={**self.matrices, **unfolded}, left_out=left_out)


def _as_matrix(path: Path, name: str, array: Stored) -> Stored:
    outputs, *others = array.shape
    shape = (outputs, math.prod(others))

    def read() -> NDArray[Any]:
        check_shape(path, name, *shape)
        return array.read().reshape(shape)

    read_keep = array.read_keep
    keep = None if read_keep is None else lambda: read_keep().reshape(shape)
    return replace(array, shape=shape, read=read, read_keep=keep)


def contents(path: Path, arrays: Mapping[str, Stored], is_model: bool) -> Contents:
    """What the `arrays` of the file or folder at `path` are.

    is_model: the file is of a model, not of anybody's arrays: integers beside floats are no masks.

    Raises:
        InputError: an array of a layout that cannot be decoded.
    """
    whole, decoded = _put_together(path, arrays)
    matrices: dict[str, Stored] = {}
    left_out: list[LeftOut] = []
    convolutions: dict[str, Stored] = {}
    has_floats = any(a.kind in "fF" and a.axes == 2 for a in whole.values())
    claimed = {name for names in decoded.values() for name in names}
    for name, array in whole.items():
        _check_not_refused(path, name, array, claimed)
        if array.axes < 2 or array.kind not in "biufF":
            continue
        why = _why_left_out(name, array)
        if why is None and is_model and has_floats and array.kind in "iu":
            if kind_of(name) not in NOT_IN_A_LAYER:
                raise InputError(
                    f"{path}: {name} holds integers beside floating-point weights, so it is packed "
                    f"or quantised; {_DEQUANTISE}"
                )
            why = "integers beside floating-point weights"
        if why is not None:
            left_out.append(LeftOut(name, array.shape, why))
            is_weight = array.kind == "f" and name.endswith("weight")
            if why.startswith(_CONVOLUTION) and array.axes == 4 and (is_weight or not is_model):
                convolutions[name] = array
        elif array.axes == 2:
            matrices[name] = array
        else:
            matrices |= dict(_slices(name, array))
    sizes = {name: array.shape for name, array in whole.items()}
    return Contents(matrices, sizes, tuple(left_out), decoded, convolutions)


def _check_not_refused(path: Path, name: str, array: Stored, claimed: set[str]) -> None:
    base = re.sub(r"\.(?:weight|input)_\w+$", ".weight", name)
    if base in claimed:  # scales beside a mask that was decoded
        return
    for pattern, what, advice in _REFUSED:
        if re.search(pattern, name):
            raise InputError(f"{path}: {name} is {what}; {advice}")
    if array.shape == (0,) and re.search(r"(?:^|[._])weight$", name):
        raise InputError(
            f"{path}: {name} is empty, as ZeRO leaves the weights that another process holds; "
            "gather the shards first (DeepSpeed: zero_to_fp32.py) and give the model it writes"
        )


def _why_left_out(name: str, array: Stored) -> str | None:
    """Why an array of two axes or more is no matrix, nor several; None where it is."""
    found = next((why for pattern, why in _LEFT_OUT if re.search(pattern, name)), None)
    if found is not None or array.axes == 2:
        return found
    if array.axes == 3 and re.search(_EXPERTS, name) and not name.endswith("bias"):
        return None if 0 not in array.shape else "an array without entries"
    if array.axes >= 4 or "conv" in name.lower():
        not_done = "pruned" if array.axes == 4 else "simulated yet"
        return f"{_CONVOLUTION} of {array.axes} axes, which is not {not_done}"
    return f"an array of {array.axes} axes, which is no matrix"


def _slices(name: str, array: Stored) -> Iterator[tuple[str, Stored]]:
    """The experts of a 3-D array, read together once and then cut."""
    held: list[NDArray[Any]] = []

    def expert(number: int) -> NDArray[Any]:
        if not held:
            held.append(array.read())
        return held[0][number].copy()

    for number in range(array.shape[0]):
        read = (lambda n: lambda: expert(n))(number)
        yield f"{name}[{number}]", replace(array, shape=array.shape[1:], read=read)


def _put_together(
    path: Path, arrays: Mapping[str, Stored]
) -> tuple[dict[str, Stored], dict[str, tuple[str, ...]]]:
    """The arrays with those that are parts of one weight made one, and which these are."""
    whole = dict(arrays)
    decoded: dict[str, tuple[str, ...]] = {}
    for layout, found in (
        ("torch prune", _torch_pruned(path, arrays)),
        ("compressed-tensors bitmask", _bitmasks(path, arrays)),
    ):
        for name, (array, parts) in found.items():
            if name in arrays and name not in parts:
                raise InputError(
                    f"{path}: {name} is there as it is and as {', '.join(parts)}, and only one of "
                    "the two can be meant; save the model again"
                )
            for part in parts:
                del whole[part]
            whole[name] = array
        if found:
            decoded[layout] = tuple(found)
    return whole, decoded


_Found = dict[str, tuple[Stored, tuple[str, ...]]]


def _torch_pruned(path: Path, arrays: Mapping[str, Stored]) -> _Found:
    """Weights times the masks that stand beside them."""
    found: _Found = {}
    for name, array in arrays.items():
        if match := re.fullmatch(r"(.*)\.parametrizations\.(\w+)\.original", name):
            whole = f"{match[1]}.{match[2]}"
            mask = f"{match[1]}.parametrizations.{match[2]}.0.mask"
        elif name.endswith("_orig") and (f"{name[:-5]}_mask" in arrays or array.axes >= 2):
            whole, mask = name[:-5], f"{name[:-5]}_mask"
        elif f"{name}_mask" in arrays and arrays[f"{name}_mask"].shape == array.shape:
            whole, mask = name, f"{name}_mask"
        else:
            continue
        if mask not in arrays:
            raise InputError(
                f"{path}: {name} is a weight before pruning, but its mask {mask} is not there; "
                "make the pruning permanent (torch.nn.utils.prune.remove) and save again"
            )
        if arrays[mask].shape != array.shape:
            raise InputError(
                f"{path}: {name} has shape {array.shape}, but its mask {mask} has "
                f"{arrays[mask].shape}; save both again"
            )
        found[whole] = _masked(path, array, mask, arrays[mask]), (name, mask)
    for name, array in arrays.items():
        weight = name[:-5]
        if name.endswith("weight_mask") and not found.keys() & {weight}:
            found[weight] = _mask_alone(array), (name,)
    return found


def _mask_alone(mask: Stored) -> Stored:
    return Stored("b", mask.shape, lambda: mask.read() != 0, 1)


def _masked(path: Path, array: Stored, mask_name: str, mask: Stored) -> Stored:
    def read_keep() -> NDArray[np.bool_]:
        values = mask.read()
        if ((values != 0) & (values != 1)).any():
            raise InputError(f"{path}: the mask {mask_name} must hold only 0 and 1")
        return values != 0

    def read() -> NDArray[Any]:
        values = array.read()
        return np.where(read_keep(), values, np.zeros((), values.dtype))

    return replace(array, read=read, read_keep=read_keep)


def _bitmasks(path: Path, arrays: Mapping[str, Stored]) -> _Found:
    """Weights of compressed-tensors: kept values in a row, and a bit for each place."""
    found: _Found = {}
    for name in arrays:
        if not name.endswith(".bitmask"):
            continue
        base = name.removesuffix(".bitmask")
        parts = [f"{base}.{part}" for part in ("shape", "compressed", "bitmask", "row_offsets")]
        parts = [part for part in parts if part in arrays]
        for needed in ("shape", "compressed"):
            if f"{base}.{needed}" not in parts:
                raise InputError(
                    f"{path}: {name} is a bitmask, but {base}.{needed} is not there; "
                    "the file is damaged, or a shard is missing"
                )
        whole = base if base.endswith("weight") else f"{base}.weight"
        found[whole] = _from_bitmask(path, base, arrays), tuple(parts)
    return found


def _from_bitmask(path: Path, base: str, arrays: Mapping[str, Stored]) -> Stored:
    values, bits = arrays[f"{base}.compressed"], arrays[f"{base}.bitmask"]
    sides = arrays[f"{base}.shape"].read().ravel()
    if len(sides) != 2 or sides.dtype.kind not in "iu":
        raise InputError(f"{path}: {base}.shape must be two whole numbers; the file is damaged")
    rows, cols = (int(side) for side in sides)
    check_shape(path, base, rows, cols)
    if bits.kind != "u" or bits.shape != (rows, -(-cols // 8)):
        raise InputError(
            f"{path}: {base}.bitmask has shape {bits.shape}, but {rows}×{cols} bits need "
            f"{(rows, -(-cols // 8))}; the file is damaged"
        )

    def read_keep() -> NDArray[np.bool_]:
        bytes_ = bits.read()
        return np.unpackbits(bytes_, axis=-1, count=cols, bitorder="little").view(np.bool_)

    def read() -> NDArray[Any]:
        keep, kept = read_keep(), values.read().ravel()
        if len(kept) != np.count_nonzero(keep):
            raise InputError(
                f"{path}: {base}.compressed holds {len(kept)} values for "
                f"{np.count_nonzero(keep)} set bits; the file is damaged"
            )
        dense = np.zeros((rows, cols), kept.dtype)
        dense[keep] = kept
        return dense

    if values.kind == "F":  # FP8: the mask is known, the values are not
        return Stored("b", (rows, cols), read_keep, 1)
    return Stored(values.kind, (rows, cols), read, values.item_bytes)
