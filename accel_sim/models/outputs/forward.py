"""What the steps of a model compute on a machine: its operators, one after the other.

docs/whole_models.md §7. Products of weights and of attention are those of the machine's dataflow,
in its order; the rest are the vector unit's instructions. Numbers stand between operators as they
stand in the activation buffer: operands, here in float32.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.dataflow import Machine, Multiplication
from accel_sim.models.attention import AttentionUnit
from accel_sim.models.operators import (
    BEFORE_ACTIVATION,
    BEFORE_ATTENTION,
    Attention,
    Operator,
    VectorOperator,
    WeightProduct,
    operators,
)
from accel_sim.models.outputs.instructions import F32, VectorUnit
from accel_sim.models.outputs.parameters import Norm, Parameters
from accel_sim.models.outputs.score_blocks import ScoreBlocks
from accel_sim.models.transformer import ModelMatrix, Step
from accel_sim.models.weights import MaskedModel
from sparse_formats.masks.matrix import MaskedMatrix


@dataclass
class _Values:
    """What stands in the activation buffer during a step, a row for each token of all requests.

    stream: the residual stream, (rows, width); branch: what the next product takes; heads and ffn:
    outputs of products by what they are, until they meet; norms: how many each layer has had.
    """

    step: Step
    stream: F32
    branch: F32
    heads: dict[str, F32] = field(default_factory=dict)
    ffn: dict[str, F32] = field(default_factory=dict)
    norms: Counter[int | None] = field(default_factory=Counter)


class ForwardPass:
    """A model on a machine, step by step; keys and values are cached from step to step.

    machine: as it holds the weights, one that computes products of floats.
    """

    def __init__(
        self,
        masked: MaskedModel,
        parameters: Parameters,
        machine: Machine,
        attention: AttentionUnit,
    ) -> None:
        self._masked, self._model, self._parameters = masked, masked.model, parameters
        self._machine, self._attention = machine, attention
        self._unit = VectorUnit(machine.numbers, machine.vector.elements_per_cycle)
        self._blocks = ScoreBlocks(self._model, attention.products, self._unit)
        self._cache: dict[int, tuple[F32, F32]] = {}
        self._multiplications: dict[tuple[str, int], Multiplication] = {}
        self.most_tiles = 0
        """Of keys that softmax was summed over so far; 0 where it took whole rows."""

    def step(self, ids: NDArray[np.int64]) -> F32:
        """The output for new tokens `ids` (batch, tokens) behind those of the steps before.

        Logits (batch, outputs) of each request's last token where the model has a head, else hidden
        states (batch, tokens, width).
        """
        cached = self._cache[0][0].shape[1] if self._cache else 0
        step = Step(len(ids), ids.shape[1], cached)
        stream = self._embedded(ids, cached)
        values = _Values(step, stream, stream)
        for operator in operators(self._model, step, self._machine.vector):
            self._apply(operator, values)
        if self._model.head_rows:
            return values.branch
        return values.branch.reshape(*ids.shape, -1)

    def _apply(self, operator: Operator, values: _Values) -> None:
        unit, parameters = self._unit, self._parameters
        match operator:
            case WeightProduct():
                self._multiply(operator, values)
            case Attention(layer=layer, window=window):
                heads = self._with_cache(layer, values.heads)
                run = self._attention.run(values.step, window)
                if run.residency == "tiles":
                    tiles = max(len(work.turns) for work in run.work)
                    self.most_tiles = max(self.most_tiles, tiles)
                values.branch = self._blocks.attend(*heads, run, values.step)
                values.heads = {}
            case VectorOperator(kind="embedding"):
                pass  # what the step began with
            case VectorOperator(kind="norm"):
                self._normalise(operator.layer, values)
            case VectorOperator(kind="rope"):
                angles = self._angles(values.step)
                for part in ("Q", "K"):
                    values.heads[part] = unit.rope(values.heads[part], *angles)
            case VectorOperator(kind="activation"):
                x = values.ffn["gate" if self._model.is_gated else "FFN1"]
                beside = values.ffn["up"] if self._model.is_gated else None
                values.branch = unit.activation(parameters.activation, x, beside)
            case VectorOperator(kind="residual"):
                values.stream = unit.sum(values.stream, values.branch)
                values.branch = values.stream
            case _:
                raise AssertionError(f"operator {operator.kind} is not computed; this is a bug")

    def _embedded(self, ids: NDArray[np.int64], cached: int) -> F32:
        """The residual stream (rows, width) that a step begins with."""
        rows = self._parameters.rows(ids, cached)
        tables = zip(self._parameters.tables, rows, strict=True)
        first, *more = (
            self._unit.written(table[row.ravel()], "an embedding") for table, row in tables
        )
        for each in more:
            first = self._unit.sum(first, each)
        return first

    def _normalise(self, layer: int | None, values: _Values) -> None:
        """The next norm of `layer`, or that of queries and keys where they wait for it."""
        parameters = self._parameters
        if layer is not None and values.heads:
            for part, norm in zip(("Q", "K"), parameters.layers[layer].on_heads, strict=True):
                x = values.heads[part]
                flat = self._normal(x.reshape(-1, x.shape[-1]), norm)
                values.heads[part] = flat.reshape(x.shape)
            return
        number = values.norms[layer]
        values.norms[layer] += 1
        is_first = layer is None and number == 0 and parameters.embedding_norm is not None
        outer = parameters.embedding_norm if is_first else parameters.final_norm
        norm = outer if layer is None else parameters.layers[layer].norms[number]
        assert norm is not None
        values.branch = self._normal(values.stream, norm)
        if is_first or (layer is not None and not self._model.is_pre_norm):
            values.stream = values.branch

    def _normal(self, x: F32, norm: Norm) -> F32:
        unit, epsilon = self._unit, self._parameters.epsilon
        scale = unit.written(norm.scale, "the scale of a norm")
        if norm.shift is None:
            return unit.rms_norm(x, scale, epsilon)
        return unit.layer_norm(x, scale, unit.written(norm.shift, "the shift of a norm"), epsilon)

    def _multiply(self, operator: WeightProduct, values: _Values) -> None:
        kind, tokens = operator.kind, values.step.tokens
        if kind == "head":
            values.branch = values.branch[tokens - 1 :: tokens]
        found = self._product(operator.matrix, values.branch)
        if kind in BEFORE_ATTENTION:
            values.heads |= self._by_head(kind, found, values.step)
        elif kind in BEFORE_ACTIVATION:
            values.ffn[kind] = found
        else:
            values.branch = found

    def _product(self, matrix: ModelMatrix, x: F32) -> F32:
        """(rows, inputs) → (rows, outputs)."""
        numbers, own = self._machine.numbers, self._parameters.products[matrix.name]
        weight = numbers.operands(own.weight, f"weights of {matrix.name}")
        bias = own.bias
        if bias is not None:
            bias = numbers.operands(bias, f"bias of {matrix.name}").astype(numbers.accumulator)
        multiply = self._multiplication(matrix, len(x))
        found = multiply(weight.astype(numbers.accumulator), x, bias)
        return self._unit.written(found.T, f"the output of {matrix.name}")

    def _multiplication(self, matrix: ModelMatrix, tokens: int) -> Multiplication:
        key = matrix.name, tokens
        if key not in self._multiplications:
            mask = self._masked.masks.get(matrix.name)
            dense = MaskedMatrix(matrix.name, np.broadcast_to(True, (matrix.rows, matrix.cols)))
            self._multiplications[key] = self._machine.multiplication(
                mask or dense, tokens, is_dense=mask is None
            )
        return self._multiplications[key]

    def _by_head(self, kind: str, x: F32, step: Step) -> dict[str, F32]:
        """Queries, keys or values, or all of them: (batch, tokens, heads, head width)."""
        model = self._model
        ends = np.cumsum([n * model.head_width for n in (model.heads, model.kv_heads)])
        parts = zip("QKV", np.split(x, ends, axis=1), strict=True) if kind == "QKV" else [(kind, x)]
        shape = (step.batch, step.tokens, -1, model.head_width)
        return {part: each.reshape(shape) for part, each in parts}

    def _with_cache(self, layer: int, heads: dict[str, F32]) -> tuple[F32, F32, F32]:
        """Queries of the new tokens, keys and values of all tokens so far."""
        keys, values = heads["K"], heads["V"]
        if layer in self._cache:
            before = self._cache[layer]
            keys = np.concatenate([before[0], keys], axis=1)
            values = np.concatenate([before[1], values], axis=1)
        self._cache[layer] = keys, values
        return heads["Q"], keys, values

    def _angles(self, step: Step) -> tuple[F32, F32]:
        """Cosines and sines of the new tokens, (tokens, 1, head width / 2)."""
        width = self._model.head_width
        turns = self._parameters.rope_base ** (-np.arange(0, width, 2) / width)
        angles = np.arange(step.cached, step.seen)[:, None, None] * turns
        return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
