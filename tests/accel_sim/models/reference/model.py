"""§2, §5 and §6: the operators of a step, laid out in time, and what they come to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from accel_sim.costs.energy import energy_of
from accel_sim.costs.tables import energy_pj, node_factor
from accel_sim.dataflows.abstract.dataflow import Machine
from tests.accel_sim.models.reference import vector_unit
from tests.accel_sim.models.reference.architecture import Architecture, Weights
from tests.accel_sim.models.reference.attention import Dense, Plan, Step, choose
from tests.accel_sim.models.reference.products import (
    Product,
    added,
    dense,
    lay,
    masked,
)
from tests.accel_sim.models.reference.timeline import Part, Timeline
from tests.accel_sim.models.reference.vector_unit import Spent


@dataclass(frozen=True)
class Asked:
    prefill: int
    generate: int = 0
    batch: int = 1
    context: int = 0
    scores: str | None = None
    cache_bits: int | None = None


@dataclass
class Operator:
    """One operator in its place in time. operations: of the vector unit."""

    kind: str
    layer: int | None
    cycles: int = 0
    causes: Mapping[str, int] = field(default_factory=dict)
    bytes: Mapping[str, int] = field(default_factory=dict)
    actions: Mapping[str, int] = field(default_factory=dict)
    operations: int = 0
    executed: int = 0
    padding: int = 0
    elements: int = 0
    scores: int = 0
    """Of attention: cycles of QKᵀ, with all that it waits for."""
    values: int = 0
    """Of attention: cycles of AV."""

    def energy(self, machine: Machine) -> dict[str, float]:
        """Joule by component."""
        actions = {**self.actions, "leaking_cycles": self.cycles}
        found = energy_of(actions, machine)
        case, node = machine.energy.case, machine.energy.table
        pj = energy_pj("vector_op", case) * node_factor("energy", node, case)
        found["vector"] = 1e-12 * machine.energy.scale * pj * self.operations
        return found


@dataclass
class Reference:
    """A model on a machine. masks: kind and layer → keep; a matrix without one is dense."""

    model: Architecture
    machine: Machine
    asked: Asked
    masks: Mapping[tuple[str, int | None], Any]
    products: dict[tuple[Any, ...], Product] = field(default_factory=dict)
    leaves_out: bool = False
    """The dense twin whose pruned products take no time."""

    def __post_init__(self) -> None:
        self.dense_products = Dense(self.machine)
        given = self.machine
        if given.dram.resident and self._resident_bytes() > given.weight_buffer.bytes:
            self.machine = replace(given, dram=replace(given.dram, resident=False))
            self.products.clear()

    def _resident_bytes(self) -> int:
        """Room of all tiles, with what stands beside them, in each encoding."""
        return sum(product.room for _, products in self._stored() for product in products.values())

    def _stored(self) -> Iterator[tuple[str, dict[str, Product]]]:
        """Of each matrix its kind, and its encodings; that of decode is last."""
        for weights in self.model.matrices:
            for layer in [None] if weights.is_once else range(self.model.layers):
                found: dict[str, Product] = {}
                for step in self.steps()[:2]:
                    product = self.product(weights, layer, self.tokens(weights, step))
                    found.setdefault(str(product.encoding), product)
                yield weights.kind, found

    def memory(self) -> dict[str, int]:
        """§6, peak memory: bytes of each part."""
        model, b, asked = self.model, self.machine.operand_bytes, self.asked
        parts = {"layers": 0, "head": 0, "again": 0}
        for kind, products in self._stored():
            *others, last = (product.stored_bytes for product in products.values())
            parts["head" if kind == "head" else "layers"] += last
            parts["again"] += sum(others)
        tables = sum(model.tables) * model.width
        if model.is_tied and ("head", None) not in self.masks:
            tables -= model.tables[0] * model.width
        tokens = asked.context + asked.prefill + max(asked.generate - 1, 0)
        numbers = 2 * model.layers * model.kv_heads * model.head_width * tokens * asked.batch
        bits = asked.cache_bits or 8 * b
        return {
            **parts,
            "embedding": b * (tables + model.vectors),
            "cache": -(-numbers * bits // 8) if model.is_causal else 0,
            "activations": b * max(self._operands()),
        }

    def _operands(self) -> list[int]:
        """Inputs and outputs of each operator of the prompt, in numbers."""
        model, step = self.model, self.steps()[0]
        n, d, f = step.tokens, model.width, model.ffn
        heads = (model.heads + model.kv_heads) * model.head_width
        found = [self.tokens(each, step) * (each.rows + each.cols) for each in model.matrices]
        found += [n * 3 * d, n * (3 if model.is_gated else 2) * f, n * 2 * heads]
        return found

    def tokens(self, weights: Weights, step: Step) -> int:
        if weights.kind == "head":
            return step.batch
        if weights.kind == "patch":
            return (step.new - self.model.class_tokens) * step.batch
        return step.tokens

    def steps(self) -> list[Step]:
        asked = self.asked
        found = [Step(asked.batch, asked.prefill, asked.context)]
        for i in range(1, asked.generate):
            found.append(Step(asked.batch, 1, asked.context + asked.prefill + i - 1))
        return found

    def product(self, weights: Weights, layer: int | None, tokens: int) -> Product:
        keep = self.masks.get((weights.kind, layer))
        if keep is None or self.leaves_out:
            key = (weights.rows, weights.cols, tokens)
            if key not in self.products:
                self.products[key] = dense(*key, self.machine)
            return self.products[key]
        key = (weights.kind, layer, tokens)
        if key not in self.products:
            self.products[key] = masked(keep, tokens, self.machine)
        return self.products[key]

    def step(self, step: Step) -> list[Operator]:
        """All operators in order."""
        run = StepRun(self, step)
        run.all()
        return run.operators


@dataclass
class StepRun:
    of: Reference
    step: Step
    operators: list[Operator] = field(default_factory=list)
    behind: Product | None = None
    """The product of weights right before, if any."""

    def __post_init__(self) -> None:
        machine = self.of.machine
        self.line = Timeline(machine.dram, machine.weight_buffer.bytes)
        self.model, self.machine = self.of.model, machine
        self.b = machine.operand_bytes

    def all(self) -> None:
        model, step = self.model, self.step
        d, n = model.width, step.tokens
        kinds = {each.kind: each for each in model.matrices}
        if model.is_vision:
            of_image = step.new - model.class_tokens
            self.weights(kinds["patch"], None, of_image * step.batch)
        self.embedding()
        if not model.is_pre_norm:
            self.norm(None, n, d)
        for layer in range(model.layers):
            self.layer(kinds, layer)
        if model.is_pre_norm:
            self.norm(None, n, d)
        if "head" in kinds:
            self.weights(kinds["head"], None, step.batch)

    def layer(self, kinds: Mapping[str, Weights], layer: int) -> None:
        model, n, d = self.model, self.step.tokens, self.model.width
        h, g, e = model.heads, model.kv_heads, model.head_width
        if model.is_pre_norm:
            self.norm(layer, n, d)
        for kind in ("QKV", "Q", "K", "V"):
            if kind in kinds:
                self.weights(kinds[kind], layer, n)
        if model.has_head_norms:
            self.norm(layer, n * (h + g), e)
        if model.has_rope:
            numbers = (h + g) * e
            unit = self.machine.vector
            self.vector("rope", layer, vector_unit.rope(unit, n * numbers), numbers, numbers)
        self.attention(layer)
        self.weights(kinds["attention out"], layer, n)
        self.behind_sublayer(layer)
        if model.is_pre_norm:
            self.norm(layer, n, d)
        for kind in ("FFN1", "gate and up", "gate", "up"):
            if kind in kinds:
                self.weights(kinds[kind], layer, n)
        self.activation(layer)
        self.weights(kinds["FFN2" if "FFN2" in kinds else "down"], layer, n)
        self.behind_sublayer(layer)

    def behind_sublayer(self, layer: int) -> None:
        model, n, d = self.model, self.step.tokens, self.model.width
        if model.has_norms_behind:
            self.norm(layer, n, d)
        spent = vector_unit.residual(self.machine.vector, n * d)
        self.vector("residual", layer, spent, 2 * d, d, made_before=d, is_fusable=True)
        if not model.is_pre_norm:
            self.norm(layer, n, d)

    def activation(self, layer: int) -> None:
        model, n, f = self.model, self.step.tokens, self.model.ffn
        spent = vector_unit.activation(
            self.machine.vector, model.activation, n * f, is_gated=model.is_gated
        )
        read = 2 * f if model.is_gated else f
        is_one_product = any(each.kind == "gate and up" for each in model.matrices)
        made = read if is_one_product else f
        self.vector("activation", layer, spent, read, f, made_before=made, is_fusable=True)

    def embedding(self) -> None:
        model, n = self.model, self.step.tokens
        spent = vector_unit.embedding(
            self.machine.vector, n * model.width, len(model.tables), is_vision=model.is_vision
        )
        parts = [Part("embedding", n * len(model.tables), model.width * self.b)]
        parts.append(Part("embedding", 1, model.vectors * self.b))
        read = model.width if model.is_vision else 0
        self.vector("embedding", None, spent, read, model.width, parts=parts)

    def norm(self, layer: int | None, rows: int, width: int) -> None:
        spent = vector_unit.norm(self.machine.vector, self.model.norm, rows, width)
        numbers = rows * width // self.step.tokens
        self.vector("norm", layer, spent, numbers, numbers)

    def vector(
        self,
        kind: str,
        layer: int | None,
        spent: Spent,
        inputs: int,
        outputs: int,
        *,
        made_before: int = 0,
        is_fusable: bool = False,
        parts: Sequence[Part] = (),
    ) -> None:
        """inputs, outputs: numbers of each token. made_before: inputs of the product before."""
        line, machine, n, b = self.line, self.machine, self.step.tokens, self.b
        begin, cycles, read, written = line.now, spent.cycles, spent.read, spent.written
        is_fused = is_fusable and machine.vector.overlaps and self.behind is not None
        if is_fused:
            assert self.behind is not None
            cycles = max(cycles - self.behind.pass_cycles, machine.vector.latency_cycles)
            inputs, outputs = inputs - made_before, 0
            read, written = n * inputs, 0
        per_token = b * (inputs + outputs)
        held = machine.activation_buffer.bytes // per_token if per_token else n
        off_chip = n - min(n, held)
        moved = len(line.moved)
        load = line.load(
            [
                *parts,
                Part("activations", 1, off_chip * inputs * b),
                Part("activations", 1, off_chip * outputs * b),
            ],
            begin,
        )
        start = max(begin, load.end)
        line.now = start + cycles
        self.behind = None
        self.add(
            kind,
            layer,
            begin,
            moved,
            {"dram": start - begin, "vector": cycles},
            {"activation_bits_read": 8 * b * read, "activation_bits_written": 8 * b * written},
            operations=spent.operations,
        )

    def weights(self, weights: Weights, layer: int | None, tokens: int) -> None:
        line = self.line
        if self.of.leaves_out and (weights.kind, layer) in self.of.masks:
            self.behind = None
            return
        product = self.of.product(weights, layer, tokens)
        begin, moved, resident = line.now, len(line.moved), self.machine.dram.resident
        waits = lay(product, line, self.machine, is_resident=resident, keeps_all=False)
        self.behind = product
        actions = {
            **product.counts("actions"),
            "weight_bits_written": 0 if resident else 8 * product.stored_bytes,
            "clocked_cycles": product.pass_cycles,
        }
        causes = added(product.counts("causes"), {"dram": waits.dram, "writeback": waits.writeback})
        self.add(
            weights.kind,
            layer,
            begin,
            moved,
            causes,
            actions,
            executed=product.nnz * tokens,
            padding=product.padding,
        )

    def attention(self, layer: int) -> None:
        """One operator here: QKᵀ, softmax and AV."""
        line, model, asked = self.line, self.model, self.of.asked
        plan = choose(
            model,
            self.step,
            model.windows[layer],
            self.machine,
            self.of.dense_products,
            asked.scores,
            asked.cache_bits,
        )
        begin, moved = line.now, len(line.moved)
        waited = plan.lay(line)
        self.behind = None
        turns = plan.turns * plan.heads
        schedule = plan.schedule
        elements = (
            model.heads
            * self.step.batch
            * sum(len(row) for block in plan.of_head for row in block.rows[:: model.group])
        )
        of_dense = self.of.dense_products
        causes = added(
            *(of_dense.causes(turn.scores) for turn in turns),
            *(of_dense.causes(turn.values) for turn in turns),
            {"dram": waited, "vector": schedule.cycles - schedule.scores - schedule.values},
        )
        spent = vector_unit.total(turn.softmax for turn in turns)
        actions = added(
            *(turn.scores.counts("actions") for turn in turns),
            *(turn.values.counts("actions") for turn in turns),
            self._moved_keys(plan),
            {
                "activation_bits_read": 8 * self.b * spent.read,
                "activation_bits_written": 8 * self.b * spent.written,
                "clocked_cycles": sum(
                    turn.scores.pass_cycles + turn.values.pass_cycles for turn in turns
                ),
            },
        )
        actions["decoded_bits"] = 0
        self.add(
            "attention",
            layer,
            begin,
            moved,
            causes,
            actions,
            operations=spent.operations,
            executed=2 * elements * model.head_width,
            # What lanes multiply beyond what a token sees is padding.
            padding=sum(
                product.padding + product.nnz * product.tokens
                for turn in turns
                for product in (turn.scores, turn.values)
            )
            - 2 * elements * model.head_width,
            elements=elements,
            scores=schedule.scores + waited,
            values=schedule.values,
        )

    def _moved_keys(self, plan: Plan) -> dict[str, int]:
        """Keys and values are written into the weight buffer for each score block."""
        width = 2 * self.model.head_width * 8 * self.b
        written, read = 0, 0
        for block in plan.of_head * plan.heads:
            written += (block.high - block.low) * width
            if plan.is_on_chip:
                new = block.high - max(block.low, self.step.cached)
                read += new * width
        return {"weight_bits_written": written, "activation_bits_read": read}

    def add(
        self,
        kind: str,
        layer: int | None,
        begin: int,
        moved: int,
        causes: Mapping[str, int],
        actions: Mapping[str, int],
        **counts: int,
    ) -> None:
        dram, parts = self.machine.dram, self.line.moved[moved:]
        found: dict[str, int] = {}
        for part in parts:
            found[part.kind] = found.get(part.kind, 0) + part.bytes(dram)
        actions = {
            **actions,
            "dram_bytes": sum(found.values()),
            "dram_activations": sum(part.activations(dram) for part in parts),
        }
        cycles = self.line.now - begin
        assert sum(causes.values()) == cycles, (kind, causes, cycles)
        self.operators.append(Operator(kind, layer, cycles, causes, found, actions, **counts))
