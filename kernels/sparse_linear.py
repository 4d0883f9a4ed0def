"""`SparseLinear`: a pruned model's layers on our kernels. torch is loaded when it is used."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from kernels.packing import Prepared, prepare
from kernels.products import spmm
from sparse_formats.errors import InputError, nearest
from sparse_formats.formats.csr import CSR
from sparse_formats.masks.matrix import MaskSet


@dataclass(frozen=True)
class Sparsified:
    """What `sparsify` did. layers: names of the replaced ones; kept, weights: of these.

    seconds: spent on packing; bytes: of the packed weights.
    """

    layers: tuple[str, ...]
    kept: int
    weights: int
    seconds: float
    bytes: int


def sparsify(model: Any, masks: MaskSet, tokens: int = 128, threads: int = 1) -> Sparsified:
    """Replace, in place, each linear layer of `model` that `masks` names by a `SparseLinear`.

    Linear layers are `torch.nn.Linear` and `Conv1D`, as GPT-2 of transformers has them.

    model: a module, such as one of transformers'. masks: names are those of the layers or of their
    weights; a prefix that either side lacks (``bert.``) does not matter. Only which weights are
    kept is taken from them: the weights are the model's. tokens: batch × length to pack for.

    Raises:
        InputError: a mask fits no linear layer, or one of another shape, or two fit one.
    """
    import torch

    linear = _linear_layers(model)
    chosen: dict[str, Any] = {}
    for matrix in masks.matrices:
        name = _layer_named(matrix.name, linear)
        layer = linear[name]
        stored = _upright(layer)
        shape = tuple(stored.shape)
        if shape != matrix.shape:
            raise InputError(
                f"matrix {matrix.name}: the mask is {matrix.shape}, layer {name} is {shape}; "
                "give the mask of this model"
            )
        if name in chosen:
            raise InputError(f"matrix {matrix.name}: layer {name} has a mask already; name one")
        weight = stored.to("cpu", torch.float32).numpy()
        encoded = CSR.encode(matrix.keep, weight)
        chosen[name] = prepare(encoded, tokens)
    sparse = _module_class()
    for name, prepared in chosen.items():
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, sparse(prepared, linear[name].bias, threads))
    return Sparsified(
        tuple(chosen),
        sum(prepared.nnz for prepared in chosen.values()),
        sum(prepared.shape[0] * prepared.shape[1] for prepared in chosen.values()),
        sum(prepared.seconds for prepared in chosen.values()),
        sum(prepared.bytes for prepared in chosen.values()),
    )


def _linear_layers(model: Any) -> dict[str, Any]:
    """The linear layers of `model` by name."""
    import torch

    kinds: tuple[type, ...] = (torch.nn.Linear,)
    # A model that has such layers has loaded their module.
    if (loaded := sys.modules.get("transformers.pytorch_utils")) is not None:
        kinds += (loaded.Conv1D,)
    return {n: m for n, m in model.named_modules() if isinstance(m, kinds)}


def _upright(layer: Any) -> Any:
    """The weight of a linear layer as (out, in), in the layer's own memory: `Conv1D` turns it."""
    import torch

    weight = layer.weight.detach()
    return weight if isinstance(layer, torch.nn.Linear) else weight.T


def _layer_named(name: str, layers: Mapping[str, Any]) -> str:
    wanted = name.removesuffix(".weight")
    found = [
        layer
        for layer in layers
        if layer == wanted or layer.endswith("." + wanted) or wanted.endswith("." + layer)
    ]
    if wanted in found:
        return wanted
    if len(found) != 1:
        what = f"layers {', '.join(found)} all end so" if found else "no linear layer is called so"
        raise InputError(
            f"matrix {name}: {what}{nearest(wanted, layers)}; give the masks of this model"
        )
    return found[0]


def __getattr__(name: str) -> Any:
    """`SparseLinear`: a class made when it is asked for, as torch is slow to import."""
    if name != "SparseLinear":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _module_class()


_WEIGHTS: WeakValueDictionary[int, Prepared] = WeakValueDictionary()
"""Packed weights by number: what torch's graphs know of them."""
_NUMBERS = count()


@cache
def _product() -> Any:
    """The product as an operator of torch, so that its compiler and autocast see one operation."""
    import torch
    from torch import library

    @library.custom_op("mvpsim::sparse_linear", mutates_args=())
    def product(
        x: torch.Tensor, bias: torch.Tensor | None, weight: int, outputs: int, threads: int
    ) -> torch.Tensor:
        flat = x.detach().reshape(-1, x.shape[-1])
        is_half = flat.dtype == torch.bfloat16
        operand = flat.view(torch.int16).numpy().view(np.uint16) if is_half else flat.numpy()
        out = torch.empty(len(flat), outputs)
        offset = None if bias is None else bias.detach().float().numpy()
        # The kernels take and give (features, tokens) with either axis innermost.
        spmm(_WEIGHTS[weight], operand.T, out.numpy().T, offset, threads=threads)
        return out.to(x.dtype).reshape(*x.shape[:-1], outputs)

    @product.register_fake
    def shaped(
        x: torch.Tensor, bias: torch.Tensor | None, weight: int, outputs: int, threads: int
    ) -> torch.Tensor:
        return x.new_empty((*x.shape[:-1], outputs))

    # As torch's own linear layer, which takes and gives bfloat16 there.
    product.register_autocast("cpu", torch.bfloat16)
    return product


@cache
def _module_class() -> Any:
    import torch

    product = _product()

    class SparseLinear(torch.nn.Module):
        """Maps (…, in) to (…, out) as `torch.nn.Linear` does, with a packed sparse weight.

        weight: float32, prepared. bias: (out,). Only for float32 and bfloat16 tensors on the CPU,
        of which outputs have the same type and sums are float32; no gradients. The packed weights
        are not part of `state_dict()`: save the model before, and the masks.
        """

        def __init__(
            self, weight: Prepared, bias: torch.Tensor | None = None, threads: int = 1
        ) -> None:
            super().__init__()
            self.out_features, self.in_features = weight.shape
            self.prepared, self.threads = weight, threads
            kept = None if bias is None else bias.detach().to("cpu", torch.float32).clone()
            self.bias: Any
            self.register_buffer("bias", kept)
            self._number = _numbered(weight)

        def __setstate__(self, state: Any) -> None:
            super().__setstate__(state)
            self._number = _numbered(self.prepared)

        def forward(self, x: Any) -> Any:
            if x.dtype not in (torch.float32, torch.bfloat16) or x.device.type != "cpu":
                raise TypeError(
                    f"SparseLinear takes float32 or bfloat16 on the CPU, found {x.dtype} on "
                    f"{x.device}; convert the model with .float().cpu()"
                )
            if x.requires_grad and torch.is_grad_enabled():
                raise RuntimeError("SparseLinear has no gradient; call it under torch.no_grad()")
            if x.shape[-1:] != (self.in_features,):
                raise ValueError(
                    f"SparseLinear takes (…, {self.in_features}), found {tuple(x.shape)}"
                )
            return product(x, self.bias, self._number, self.out_features, self.threads)

        def extra_repr(self) -> str:
            density = self.prepared.nnz / max(1, self.in_features * self.out_features)
            return f"{self.in_features}, {self.out_features}, density={density:.3f}"

    return SparseLinear


def _numbered(weight: Prepared) -> int:
    number = next(_NUMBERS)
    _WEIGHTS[number] = weight
    return number


def masked_dense(model: Any, masks: MaskSet) -> None:
    """Set the dropped weights of `model`'s linear layers to 0, in place: what `sparsify` equals."""
    import torch

    linear = _linear_layers(model)
    for matrix in masks.matrices:
        keep = torch.from_numpy(np.ascontiguousarray(matrix.keep))
        _upright(linear[_layer_named(matrix.name, linear)]).mul_(keep)
