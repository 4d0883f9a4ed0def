"""A model whose linear layers multiply whole numbers; the rest of it stays in floating point.

Sums are exact, and held in 32 bits. What a layer multiplies and what its sums come to can be
recorded: `accel_sim run --activations` takes the first, its `--outputs` are the second.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pruning.models.devices import exact
from pruning.models.matrices import Matrix
from pruning.models.opening import OpenModel
from pruning.quantization.affine import INPUT, SUM, Affine, dequantised, quantised, sum_affine
from pruning.quantization.layers import replaced
from sparse_formats.errors import InputError, nearest
from sparse_formats.files.atomic import write_npz
from sparse_formats.files.int8_file import SHIFT, QuantizedMatrix

if TYPE_CHECKING:
    from torch import Tensor

TOKENS = 256
"""How many tokens are recorded of each matrix: as many as `accel_sim` multiplies."""


@dataclass(eq=False)
class Recording:
    """What the first `TOKENS` tokens met in each matrix, padding left out.

    inputs: int8 (tokens, in), the unsigned inputs less 128. sums: int32 (tokens, out), of the
    products alone, without bias. Both in pieces as they came, rows and columns as in the file.
    """

    inputs: dict[str, list[NDArray[np.int8]]] = field(default_factory=dict)
    sums: dict[str, list[NDArray[np.int32]]] = field(default_factory=dict)
    taken: "Tensor | None" = None

    def add(self, matrix: Matrix, q: "Tensor", sums: "Tensor") -> None:
        """Take what is still wanted of rows `q` and `sums`, whole numbers in floating point."""
        if self.taken is not None and len(q) == self.taken.numel():
            real = self.taken.reshape(-1).bool().to(q.device)
            q, sums = q[real], sums[real]
        pieces = self.inputs.setdefault(matrix.name, [])
        room = TOKENS - sum(len(piece) for piece in pieces)
        if room > 0:
            pieces.append(q[:room].cpu().numpy().astype(np.int8))
            outputs = matrix.to_file(sums[:room].T).T.astype(np.int32)
            self.sums.setdefault(matrix.name, []).append(outputs)

    def note(self, module: Any, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        """Before the model runs: which of its tokens are not padding."""
        self.taken = named.get("attention_mask")

    def write(self, folder: Path) -> None:
        """Write inputs.npz and sums.npz into `folder`, an array of each matrix by its name."""
        every: dict[str, Mapping[str, list[Any]]] = {"inputs": self.inputs, "sums": self.sums}
        for name, kept in every.items():
            arrays = {matrix: np.concatenate(pieces) for matrix, pieces in kept.items()}
            write_npz(folder / f"{name}.npz", arrays)


@dataclass(frozen=True, eq=False)
class IntegerProduct:
    """The product of one layer in whole numbers.

    weight: float64 (out, in) and bias: float64 (out,) hold whole numbers, rows as in the module:
    sums of fewer than 2³⁷ such products are exact in float64, and fast.
    """

    matrix: Matrix
    weight: "Tensor"
    bias: "Tensor"
    inputs: Affine
    sums: Affine
    outputs: Affine | None
    recording: Recording | None

    def __call__(self, x: "Tensor") -> "Tensor":
        """(…, in) → (…, out).

        Raises:
            InputError: a sum is beyond 32 bits.
        """
        q = exact(quantised(x, self.inputs, INPUT).reshape(-1, x.shape[-1])) - SHIFT
        products = q @ self.weight.T
        sums = products + self.bias
        for found in (products, sums):
            if len(found) and not SUM[0] <= float(found.min()) <= float(found.max()) <= SUM[1]:
                raise InputError(f"matrix {self.matrix.name}: a sum does not fit 32 bits")
        if self.recording is not None:
            self.recording.add(self.matrix, q, products)
        y = dequantised(sums, self.sums).to(x).reshape(*x.shape[:-1], -1)
        if self.outputs is None:
            return y
        return dequantised(quantised(y, self.outputs, INPUT), self.outputs)


@contextlib.contextmanager
def integer_products(
    opened: OpenModel, matrices: Sequence[QuantizedMatrix], recording: Recording | None = None
) -> Iterator[None]:
    """Let the layers of `opened` that `matrices` hold compute in whole numbers in the block.

    Raises:
        InputError: the file is of another model.
    """
    linears = {matrix.name: matrix for matrix in opened.linears}
    products = [_product(opened, linears, each, recording) for each in matrices]
    with contextlib.ExitStack() as stack:
        if recording is not None:
            hook = opened.model.register_forward_pre_hook(recording.note, with_kwargs=True)
            stack.callback(hook.remove)
        stack.enter_context(replaced([(product.matrix, product) for product in products]))
        yield


def _product(
    opened: OpenModel,
    linears: Mapping[str, Matrix],
    held: QuantizedMatrix,
    recording: Recording | None,
) -> IntegerProduct:
    matrix = linears.get(held.name)
    if matrix is None:
        raise InputError(
            f"model {opened.name} has no linear layer {held.name}{nearest(held.name, linears)}; "
            "the 8-bit weights belong to another model"
        )
    if matrix.shape != held.weight.shape:
        raise InputError(
            f"matrix {held.name} of the 8-bit weights is {held.weight.shape[0]}×"
            f"{held.weight.shape[1]}, but {matrix.shape[0]}×{matrix.shape[1]} in model "
            f"{opened.name}; give the model that they were made from"
        )
    inputs, weights = Affine(held.input_scale, held.input_zero_point), Affine(held.weight_scale)
    weight = exact(matrix.from_file(held.weight))
    # Embeddings and norms come from the model: they must be those that these weights go with.
    apart = (
        float((weight * weights.scale - exact(matrix.view)).abs().max()) if weight.numel() else 0.0
    )
    if apart > 0.501 * weights.scale:
        raise InputError(
            f"the 8-bit weights of matrix {held.name} differ by up to {apart:.3g} from those of "
            f"model {opened.name}; give the model that they were made from"
        )
    return IntegerProduct(
        matrix,
        weight,
        exact(matrix.from_file(held.bias)),
        inputs,
        sum_affine(inputs, weights),
        None if held.output is None else Affine(*held.output),
        recording,
    )
