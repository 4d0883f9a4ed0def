"""The prunable matrices of an opened model, as (out, in) views under their file's names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.masks.matrix_names import kind_of, network_order
from sparse_formats.masks.selection import select

if TYPE_CHECKING:
    from torch import Tensor, device, nn


@dataclass(frozen=True, eq=False)
class Matrix:
    """One weight matrix of a `torch` model.

    name: what the file the model came from calls it; masks and statistics carry this name.
    kind: what it does in its layer (`sparse_formats.masks.matrix_names`).
    module: the `nn.Linear` or `Conv1D` it belongs to, at `module_name` of the model.
    turned: the parameter is stored (in, out), as GPT-2's `Conv1D` does.
    rows: the file's row that each row of the module holds; None where they are the same.
    """

    name: str
    kind: str
    module_name: str
    module: "nn.Module"
    turned: bool = False
    rows: NDArray[np.intp] | None = None

    @property
    def parameter(self) -> "nn.Parameter":
        """The parameter itself, in the module's own layout."""
        return self.module.weight  # type: ignore[return-value]

    @property
    def view(self) -> "Tensor":
        """(out, in), in the module's row order, sharing memory with the parameter."""
        data = self.parameter.data
        return data.T if self.turned else data

    @property
    def device(self) -> "device":
        """Where the parameter is."""
        return self.parameter.device

    @property
    def shape(self) -> tuple[int, int]:
        """(out, in)."""
        rows, cols = self.view.shape
        return rows, cols

    def stored(self, upright: "Tensor") -> "Tensor":
        """An (out, in) tensor in the layout of the parameter."""
        return upright.T if self.turned else upright

    def upright(self, stored: "Tensor") -> "Tensor":
        """A tensor in the layout of the parameter as (out, in)."""
        return stored.T if self.turned else stored

    def to_file(self, array: "NDArray[Any] | Tensor") -> NDArray[Any]:
        """An (out, in) array or tensor with its rows in the file's order, as a numpy array."""
        values = array if isinstance(array, np.ndarray) else array.detach().cpu().numpy()
        if self.rows is None:
            return np.ascontiguousarray(values)
        back = np.empty_like(values)
        back[self.rows] = values
        return back

    def from_file(self, array: NDArray[Any]) -> "Tensor":
        """An (out, in) numpy array in the file's row order as a tensor in the module's."""
        import torch

        mine = array if self.rows is None else array[self.rows]
        return torch.from_numpy(np.ascontiguousarray(mine)).to(self.parameter.device)

    def weight(self) -> NDArray[np.floating[Any]]:
        """A copy of the weight, (out, in), rows in the file's order; bfloat16 becomes float32."""
        import torch

        view = self.view
        values = view.float() if view.dtype == torch.bfloat16 else view
        return self.to_file(values).copy()


def find_matrices(
    model: "nn.Module",
    file_names: Mapping[str, str],
    row_orders: Mapping[str, NDArray[np.intp]],
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> tuple[Matrix, ...]:
    """The `nn.Linear` and `Conv1D` weights of `model` that `select` takes, in network order.

    file_names, row_orders: by the model's own parameter name, where the file's differ.

    Raises:
        InputError: nothing is left, or a pattern is no regular expression.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    found: dict[str, Matrix] = {}
    for module_name, module in model.named_modules():
        if not isinstance(module, nn.Linear | Conv1D):
            continue
        own = f"{module_name}.weight"
        name = file_names.get(own, own)
        turned = isinstance(module, Conv1D)
        kind = kind_of(name)
        found[name] = Matrix(name, kind, module_name, module, turned, row_orders.get(own))
    ordered = network_order(found)
    return tuple(found[name] for name in select(ordered, include, exclude))
