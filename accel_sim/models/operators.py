"""The operators of a step, in order. docs/whole_models.md §2."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from accel_sim.dataflows.abstract.machine_sections import Vector
from accel_sim.models import vector_unit
from accel_sim.models.transformer import ModelMatrix, Step, Transformer
from accel_sim.models.vector_unit import Rows, VectorWork

BEFORE_ATTENTION = ("Q", "K", "V", "QKV")
AFTER_ATTENTION = ("attention out",)
BEFORE_ACTIVATION = ("FFN1", "gate", "up", "gate and up")
AFTER_ACTIVATION = ("FFN2", "down")


@dataclass(frozen=True)
class WeightProduct:
    """`tokens` of all requests through a matrix of weights."""

    matrix: ModelMatrix
    tokens: int

    @property
    def kind(self) -> str:
        return self.matrix.kind

    @property
    def layer(self) -> int | None:
        return self.matrix.layer


@dataclass(frozen=True)
class VectorOperator:
    """What the vector unit does by itself.

    numbers: of each of `tokens`, read and written. loaded: bytes that come from the DRAM in any
    case, as (runs, bytes of a run), each number taken as one byte. follows: the matrix behind whose
    product it may run, None where it waits for all of what is before it.
    """

    kind: str
    layer: int | None
    work: VectorWork
    tokens: int
    numbers: tuple[int, int]
    loaded: tuple[tuple[int, int], ...] = ()
    follows: ModelMatrix | None = None


@dataclass(frozen=True)
class Attention:
    """QKᵀ, softmax and AV of a layer. window: how many tokens a query sees at most."""

    layer: int
    window: int | None
    kind: str = "attention"


Operator = WeightProduct | VectorOperator | Attention


def numbers(operator: Operator, model: Transformer, step: Step) -> int:
    """Inputs and outputs of an operator by itself, without weights and scores."""
    match operator:
        case WeightProduct():
            return operator.tokens * (operator.matrix.rows + operator.matrix.cols)
        case VectorOperator():
            return operator.tokens * sum(operator.numbers)
        case Attention():
            heads = 2 * (model.heads + model.kv_heads)
            return step.batch * step.tokens * heads * model.head_width


def operators(model: Transformer, step: Step, unit: Vector) -> list[Operator]:
    """All that `model` does in `step`."""
    return [*_before(model, step, unit), *_layers(model, step, unit), *_behind(model, step, unit)]


def _before(model: Transformer, step: Step, unit: Vector) -> Iterator[Operator]:
    tokens, width = step.batch * step.tokens, model.width
    numbers = tokens * width
    for matrix in model.matrices:
        if matrix.kind == "patch":
            yield WeightProduct(matrix, tokens - step.batch * model.class_tokens)
    if tables := len(model.embedding_rows):
        yield VectorOperator(
            "embedding",
            None,
            vector_unit.look_up(numbers, tables, model.patch > 0, unit),
            tokens,
            (width if model.patch else 0, width),
            ((tables * tokens, width), (1, model.vectors)),
        )
    if model.embedding_norm:
        yield _norm(model, None, tokens, unit)


def _layers(model: Transformer, step: Step, unit: Vector) -> Iterator[Operator]:
    tokens = step.batch * step.tokens
    of_layer: list[list[ModelMatrix]] = [[] for _ in range(model.layers)]
    for matrix in model.matrices:
        if matrix.layer is not None:
            of_layer[matrix.layer].append(matrix)
    for layer, matrices in enumerate(of_layer):

        def products(
            kinds: tuple[str, ...], matrices: list[ModelMatrix] = matrices
        ) -> Iterator[Operator]:
            return (WeightProduct(each, tokens) for each in matrices if each.kind in kinds)

        norm = _norm(model, layer, tokens, unit)
        for is_attention in (True, False):
            if model.is_pre_norm:
                yield norm
            if is_attention:
                yield from products(BEFORE_ATTENTION)
                yield from _on_heads(model, layer, tokens, unit)
                yield Attention(layer, model.window_of(layer))
                yield from products(AFTER_ATTENTION)
            else:
                yield from products(BEFORE_ACTIVATION)
                yield _activation(model, tokens, matrices, unit)
                yield from products(AFTER_ACTIVATION)
            if model.norms_behind:
                yield norm
            yield _residual(model, tokens, matrices, is_attention, unit)
            if not model.is_pre_norm:
                yield norm


def _behind(model: Transformer, step: Step, unit: Vector) -> Iterator[Operator]:
    if model.final_norm:
        yield _norm(model, None, step.batch * step.tokens, unit)
    for matrix in model.matrices:
        if matrix.kind == "head":
            yield WeightProduct(matrix, step.batch)


def _norm(model: Transformer, layer: int | None, tokens: int, unit: Vector) -> VectorOperator:
    work = vector_unit.norm(model.norm, Rows.alike(tokens, model.width), unit)
    return VectorOperator("norm", layer, work, tokens, (model.width, model.width))


def _on_heads(model: Transformer, layer: int, tokens: int, unit: Vector) -> Iterator[Operator]:
    """What happens to queries and keys before they meet."""
    heads = model.heads + model.kv_heads
    numbers = heads * model.head_width
    if model.head_norm:
        work = vector_unit.norm(model.norm, Rows.alike(tokens * heads, model.head_width), unit)
        yield VectorOperator("norm", layer, work, tokens, (numbers, numbers))
    if model.has_rope:
        work = vector_unit.rope(tokens * numbers, unit)
        yield VectorOperator("rope", layer, work, tokens, (numbers, numbers))


def _residual(
    model: Transformer,
    tokens: int,
    matrices: Sequence[ModelMatrix],
    is_attention: bool,
    unit: Vector,
) -> VectorOperator:
    before = _last(matrices, AFTER_ATTENTION if is_attention else AFTER_ACTIVATION)
    return VectorOperator(
        "residual",
        before.layer,
        vector_unit.residual(tokens * model.width, unit),
        tokens,
        (2 * model.width, model.width),
        follows=None if model.norms_behind else before,
    )


def _activation(
    model: Transformer, tokens: int, matrices: Sequence[ModelMatrix], unit: Vector
) -> VectorOperator:
    before = _last(matrices, BEFORE_ACTIVATION)
    work = vector_unit.activation(model.activation, model.is_gated, tokens * model.ffn, unit)
    read = model.ffn * (2 if model.is_gated else 1)
    return VectorOperator(
        "activation", before.layer, work, tokens, (read, model.ffn), follows=before
    )


def _last(matrices: Sequence[ModelMatrix], kinds: tuple[str, ...]) -> ModelMatrix:
    return [matrix for matrix in matrices if matrix.kind in kinds][-1]
