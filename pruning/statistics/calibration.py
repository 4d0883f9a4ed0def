"""Statistics of a model on examples: what scores look at besides the weights.

Of each matrix: Σ x xᵀ and Σ x² over the tokens it reads, and the mean and mean square of its
gradient. Matrices that read the same tensor (Q, K and V) share one sum. Where all the sums do not
fit in memory, the examples run several times, each time for as many matrices as fit, and finished
sums wait in files.
"""

import contextlib
import math
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pruning.data.examples import Examples
from pruning.models.devices import exact
from pruning.models.matrices import Matrix
from pruning.models.opening import OpenModel
from pruning.statistics.matrix_statistics import GRADIENTS, Statistics, generator
from sparse_formats.errors import InputError
from sparse_formats.terminal.progress import Tell

if TYPE_CHECKING:
    from torch import Tensor

MEMORY_BYTES = 4e9
"""Default room for sums of x xᵀ."""


@dataclass(eq=False)
class _Inputs:
    """Running sums over what one matrix reads."""

    width: int
    with_gram: bool
    gram: "Tensor | None" = None
    squares: "Tensor | None" = None
    tokens: int = 0

    def add(self, x: "Tensor") -> None:
        """Count `x`, (tokens, width), in float64."""
        x = exact(x)
        if self.squares is None:
            self.squares = x.new_zeros(self.width)
            if self.with_gram:
                self.gram = x.new_zeros(self.width, self.width)
        if self.gram is not None:
            self.gram.addmm_(x.T, x)
        self.squares += (x * x).sum(0)
        self.tokens += len(x)


@dataclass(eq=False)
class _Sums:
    """Finished statistics of the inputs of one group of matrices."""

    gram: NDArray[np.float64] | None = None
    squares: NDArray[np.float64] | None = None
    tokens: int = 0
    members: list[str] = field(default_factory=list)


@contextlib.contextmanager
def calibrated(
    opened: OpenModel,
    examples: Examples,
    needs: Collection[str],
    batch: int = 8,
    memory_bytes: float = MEMORY_BYTES,
    tell: Tell = lambda step: None,
) -> Iterator[dict[str, Statistics]]:
    """The statistics `needs` (fields of `Statistics`) of every matrix, by name, on `examples`.

    Gradients are taken example by example: the mean square over examples is the diagonal of the
    empirical Fisher matrix, whatever the batch. The arrays may lie in temporary files.

    Raises:
        InputError: gradients asked for and the examples have no labels; a matrix that no example
            reaches.
    """
    with_gram = "gram" in needs
    wants_inputs = with_gram or "input_squares" in needs
    with _evaluating(opened):
        sums: dict[str, _Sums] = {}
        if wants_inputs:
            sums = _input_sums(opened, examples, with_gram, batch, memory_bytes, tell)
        gradients: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
        if set(needs) & set(GRADIENTS):
            gradients = _gradients(opened, examples, tell)
        found: dict[str, Statistics] = {}
        for matrix in opened.matrices:
            own = sums.get(matrix.name, _Sums())
            mean, square = gradients.get(matrix.name, (None, None))
            found[matrix.name] = Statistics(
                matrix.weight(),
                generator(matrix.name, 0),
                gradient=mean if "gradient" in needs else None,
                squared_gradient=square if "squared_gradient" in needs else None,
                gram=own.gram,
                input_squares=own.squares if "input_squares" in needs else None,
                tokens=own.tokens,
            )
        yield found


def _input_sums(
    opened: OpenModel,
    examples: Examples,
    with_gram: bool,
    batch: int,
    memory_bytes: float,
    tell: Tell,
) -> dict[str, _Sums]:
    import torch

    groups = readers(opened, examples)
    widths = {group[0].name: group[0].shape[1] for group in groups}
    rounds = in_rounds(groups, memory_bytes if with_gram else math.inf)
    starts = range(0, len(examples), batch)
    found: dict[str, _Sums] = {}
    for number, some in enumerate(rounds, 1):
        running = {group[0].name: _Inputs(widths[group[0].name], with_gram) for group in some}
        taken: list[Tensor | None] = [None]
        with contextlib.ExitStack() as hooks, torch.inference_mode():
            for group in some:
                one = running[group[0].name]

                def add(
                    module: Any,
                    inputs: tuple[Any, ...],
                    sums: _Inputs = one,
                    taken: "list[Tensor | None]" = taken,
                ) -> None:
                    sums.add(_tokens(inputs[0], taken[0]))

                hooks.callback(group[0].module.register_forward_pre_hook(add).remove)
            for first in starts:
                tell(f"round {number} of {len(rounds)}: example {first} of {len(examples)}")
                numbers = range(first, min(first + batch, len(examples)))
                inputs = examples.batch(numbers, opened.device)
                taken[0] = inputs.get("attention_mask")
                opened.model(**inputs)
        for group in some:
            one = running[group[0].name]
            assert one.squares is not None
            gram = None if one.gram is None else one.gram.cpu().numpy()
            if gram is not None and len(rounds) > 1:
                gram = _spilled(gram)
            sums = _Sums(gram, one.squares.cpu().numpy(), one.tokens, [m.name for m in group])
            found.update(dict.fromkeys(sums.members, sums))
        running.clear()
    return found


def readers(opened: OpenModel, examples: Examples) -> list[list[Matrix]]:
    """The matrices in groups that read the very same tensors, in network order.

    Raises:
        InputError: a matrix that the model does not use on these examples.
    """
    import torch

    read: dict[str, list[Tensor]] = {matrix.name: [] for matrix in opened.matrices}
    with contextlib.ExitStack() as hooks, torch.inference_mode():
        for matrix in opened.matrices:

            def note(module: Any, inputs: tuple[Any, ...], name: str = matrix.name) -> None:
                read[name].append(inputs[0])

            hooks.callback(matrix.module.register_forward_pre_hook(note).remove)
        opened.model(**examples.batch([0], opened.device))
    groups: dict[tuple[int, ...], list[Matrix]] = {}
    for matrix in opened.matrices:
        if not read[matrix.name]:
            raise _idle(matrix, opened)
        # The tensors are still held in `read`, so no two of them share an id.
        groups.setdefault(tuple(id(x) for x in read[matrix.name]), []).append(matrix)
    return list(groups.values())


def in_rounds(
    groups: Sequence[Sequence[Matrix]], memory_bytes: float
) -> list[list[Sequence[Matrix]]]:
    """The groups in runs whose sums of x xᵀ (float64) fit in `memory_bytes`; one at least."""
    rounds: list[list[Sequence[Matrix]]] = []
    room = 0.0
    for group in groups:
        size = 8 * group[0].shape[1] ** 2
        if not rounds or size > room:
            rounds.append([])
            room = memory_bytes
        rounds[-1].append(group)
        room -= size
    return rounds


def _gradients(
    opened: OpenModel, examples: Examples, tell: Tell
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    import torch

    if not any(key in examples.rows[0] for key in ("labels", "start_positions")):
        raise InputError(
            f"model {opened.name} is for {opened.task} and the examples have no labels, so there "
            "is no loss and no gradient; give a language model or labelled data, or collect only "
            "what scores without gradients need"
        )
    wanted = {id(matrix.parameter) for matrix in opened.matrices}
    needed_before = {p: p.requires_grad for p in opened.model.parameters()}
    means = [torch.zeros_like(matrix.parameter.data) for matrix in opened.matrices]
    squares = [torch.zeros_like(mean) for mean in means]
    try:
        for parameter in opened.model.parameters():
            parameter.requires_grad_(id(parameter) in wanted)
        for number in range(len(examples)):
            tell(f"gradient of example {number} of {len(examples)}")
            opened.model(**examples.batch([number], opened.device)).loss.backward()
            for matrix, mean, square in zip(opened.matrices, means, squares, strict=True):
                gradient = matrix.parameter.grad
                if gradient is None:
                    raise _idle(matrix, opened)
                mean += gradient / len(examples)
                square += gradient.square() / len(examples)
                matrix.parameter.grad = None
    finally:
        for parameter, needed in needed_before.items():
            parameter.requires_grad_(needed)
    return {
        matrix.name: (
            matrix.to_file(matrix.upright(mean)),
            matrix.to_file(matrix.upright(square)),
        )
        for matrix, mean, square in zip(opened.matrices, means, squares, strict=True)
    }


def _idle(matrix: Matrix, opened: OpenModel) -> InputError:
    return InputError(
        f"matrix {matrix.name} is not used when {opened.name} reads the examples; leave it out "
        "with exclude"
    )


def _tokens(x: "Tensor", taken: "Tensor | None") -> "Tensor":
    """`x`, (batch, length, width) or (batch·length, width), as rows; padded places left out."""
    rows = x.reshape(-1, x.shape[-1])
    if taken is not None and len(rows) == taken.numel():
        return rows[taken.reshape(-1).bool()]
    return rows


def _spilled(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """The array in a file without a name, of which nothing stays, however the process ends."""
    with tempfile.TemporaryFile() as file:
        file.write(np.ascontiguousarray(array).data)
        file.flush()
        return np.memmap(file, array.dtype, "r", shape=array.shape)


@contextlib.contextmanager
def _evaluating(opened: OpenModel) -> Iterator[None]:
    was_training = opened.model.training
    opened.model.eval()
    try:
        yield
    finally:
        opened.model.train(was_training)
