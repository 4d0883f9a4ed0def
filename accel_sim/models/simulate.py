"""The whole way of a whole model: weights, steps, the dense twin, and what the report needs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from accel_sim.dataflows.abstract.account import LayerRun
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.loads import resident_bytes
from accel_sim.machines.plausibility import implausible
from accel_sim.models.attention import AttentionUnit, Residency
from accel_sim.models.operators import numbers, operators
from accel_sim.models.phases import ModelRunner, Phase
from accel_sim.models.transformer import ModelMatrix, Step, Transformer, cache_bytes
from accel_sim.models.weights import MaskedModel, WeightProducts
from sparse_formats.errors import InputError, SettingError
from sparse_formats.masks.matrix import MaskedMatrix


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a model: `batch` requests, each with a prompt and tokens to generate.

    context: tokens of each request that are cached before its prompt. generate: 0 for the prompt
    alone. scores: where scores stay, None for what fits; cache_bits: of a number in the KV cache,
    None for those of an operand.
    """

    prefill: int
    generate: int = 0
    batch: int = 1
    context: int = 0
    scores: Residency | None = None
    cache_bits: int | None = None

    @property
    def prompt(self) -> Step:
        return Step(self.batch, self.prefill, self.context)

    @property
    def decode(self) -> list[Step]:
        """The steps behind the prompt; its last token gives the first token generated."""
        before = self.context + self.prefill
        return [Step(self.batch, 1, before + i) for i in range(self.generate - 1)]

    @property
    def tokens(self) -> int:
        """Of a request that stand in the cache at the end."""
        return self.context + self.prefill + max(self.generate - 1, 0)


@dataclass(frozen=True)
class Cycles:
    """Of the prompt and of each step of decode."""

    prompt: int
    decode: tuple[int, ...]

    @property
    def all(self) -> int:
        return self.prompt + sum(self.decode)


@dataclass(frozen=True, eq=False)
class ModelRun:
    """A request on a machine. settled: the machine as it holds the weights; dense: the twin without
    pruning; without_pruned: the twin when its pruned products take no time; weight_bytes: that are
    stored, of the layers, of the head and again in a second encoding, and the same of the twin;
    runner: what ran its steps.
    """

    machine: Machine
    settled: Machine
    masked: MaskedModel
    request: Request
    prefill: Phase
    decode: Phase | None
    dense: Cycles
    without_pruned: Cycles
    weight_bytes: Mapping[str, int]
    dense_weight_bytes: Mapping[str, int]
    notes: tuple[str, ...]
    runner: ModelRunner

    @property
    def model(self) -> Transformer:
        return self.masked.model

    @cached_property
    def cycles(self) -> Cycles:
        return Cycles(self.prefill.cycles, self.decode.step_cycles if self.decode else ())

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Of the prompt, and of decode if there is one."""
        return (self.prefill, self.decode) if self.decode else (self.prefill,)


def simulate_model(
    masked: MaskedModel,
    request: Request,
    machine: Machine,
    *,
    threads: int | None = None,
    on_product: Callable[[str], None] = lambda name: None,
) -> ModelRun:
    """All steps of the request, pruned and dense.

    Raises:
        InputError: more tokens than the model has positions; tokens to generate of a model that
            generates none; what a machine refuses.
    """
    model = masked.model
    _check(model, request)
    jobs = jobs_of(model, [request.prompt, *request.decode[:1]])
    products = [WeightProducts(machine)]
    if machine.dram.resident:
        products.append(
            WeightProducts(replace(machine, dram=replace(machine.dram, resident=False)))
        )
    settled, runs, needed = _settled(products, jobs, masked.masks, threads, on_product)
    dense_settled, dense_runs, dense_needed = _settled(products, jobs, {}, threads)
    bits = request.cache_bits or 8 * machine.operand_bytes
    attention = AttentionUnit(model, machine, request.scores, bits)
    runner = ModelRunner(model, settled, runs, attention)

    def twin(dropped: frozenset[str]) -> Cycles:
        dense = ModelRunner(model, dense_settled, dense_runs, attention, dropped)
        return Cycles(dense.cycles([request.prompt])[0], tuple(dense.cycles(request.decode)))

    return ModelRun(
        machine=machine,
        settled=settled,
        masked=masked,
        request=request,
        prefill=runner.phase("prefill", [request.prompt]),
        decode=runner.phase("decode", request.decode) if request.decode else None,
        dense=twin(frozenset()),
        without_pruned=twin(frozenset(masked.masks)),
        weight_bytes=_stored(model, runs),
        dense_weight_bytes=_stored(model, dense_runs),
        runner=runner,
        notes=tuple(
            note
            for note in (
                *masked.notes,
                _part_of_image(model, request),
                _residence(machine, needed, dense_needed),
                machine.note,
                *implausible(machine),
            )
            if note
        ),
    )


def _check(model: Transformer, request: Request) -> None:
    if request.generate and not model.is_causal:
        raise SettingError(
            "generate", f"is {request.generate}, but {model.family} generates none; leave it out"
        )
    if request.context and not model.is_causal:
        raise SettingError(
            "context", f"is {request.context}, but {model.family} has no cache; leave it out"
        )
    most, tokens = model.most_tokens, request.tokens
    if most is not None and tokens > most:
        raise InputError(
            f"a request has {tokens} tokens, but the model tells {most} positions apart; give "
            f"{most} at most of --context, --prefill and --generate less one together"
        )


def jobs_of(model: Transformer, steps: Iterable[Step]) -> list[tuple[ModelMatrix, int]]:
    """The matrices with the tokens that they have in each kind of step, each pair once."""
    found = {}
    for step in steps:
        for matrix in model.matrices:
            tokens = step.batch * step.tokens
            if matrix.kind == "head":
                tokens = step.batch
            elif matrix.kind == "patch":
                tokens -= step.batch * model.class_tokens
            found[matrix.name, tokens] = (matrix, tokens)
    return list(found.values())


Runs = dict[tuple[str, int], LayerRun]


def _settled(
    products: Sequence[WeightProducts],
    jobs: Sequence[tuple[ModelMatrix, int]],
    masks: Mapping[str, MaskedMatrix],
    threads: int | None,
    on_product: Callable[[str], None] = lambda name: None,
) -> tuple[Machine, Runs, int]:
    """The machine as it holds the weights, the runs on it, and what the weights would take there.

    products: on the machine, and where weights are to stay on it also without that. The bytes are 0
    if nobody asked for it.
    """
    needed, (*resident, loading) = 0, products
    for each in resident:
        runs = each.run(jobs, masks, threads, on_product)
        needed = sum(resident_bytes(run) for some in encodings_of(runs).values() for run in some)
        if needed <= each.machine.weight_buffer.bytes:
            return each.machine, runs, needed
    return loading.machine, loading.run(jobs, masks, threads, on_product), needed


def _part_of_image(model: Transformer, request: Request) -> str:
    if not model.patch or request.prefill == model.most_tokens:
        return ""
    return (
        f"An image has {model.most_tokens} tokens in this model, of which only {request.prefill} "
        "are taken."
    )


def _residence(machine: Machine, needed: int, dense_needed: int) -> str:
    """Where the weights lie that were to stay on the chip, of which they take `needed` bytes."""
    if not machine.dram.resident:
        return ""
    room = machine.weight_buffer.bytes
    stays, dense_stays = needed <= room, dense_needed <= room
    place = f"{needed:,} bytes, of the {room:,} of the weight buffer"
    if stays:
        word = f"dram.resident: the weights stay on the chip, where they take {place}"
    else:
        word = f"dram.resident: the weights take {place}, so they are loaded from the DRAM"
    if stays != dense_stays:
        word += f"; unpruned they {'would stay' if dense_stays else 'would have to be loaded'}"
    return f"{word}."


def encodings_of(runs: Runs) -> dict[str, list[LayerRun]]:
    """Of each matrix one run for each encoding that its steps use; that of the last step is last.

    The prompt may run best in another mode or with other lane groups than decode.
    """
    found: dict[str, dict[tuple[object, ...], LayerRun]] = {}
    for (name, _), run in runs.items():
        size = sum(tile.bytes for tile in run.tiles)
        key = run.orientation, run.lane_groups, run.lane_select, size
        of_matrix = found.setdefault(name, {})
        of_matrix.pop(key, None)
        of_matrix[key] = run
    return {name: list(of_matrix.values()) for name, of_matrix in found.items()}


def _stored(model: Transformer, runs: Runs) -> dict[str, int]:
    """Bytes of weights of layers and head as the last phase loads them, and of other encodings."""
    head = {m.name for m in model.matrices if m.kind == "head"}
    found = {"layers": 0, "head": 0, "again": 0}
    for name, encoded in encodings_of(runs).items():
        *others, last = (sum(tile.bytes for tile in run.tiles) for run in encoded)
        found["head" if name in head else "layers"] += last
        found["again"] += sum(others)
    return found


def memory_bytes(run: ModelRun) -> dict[str, int]:
    """Peak memory: weights, embedding, cache at the end, the largest operator's activations."""
    model, machine, request = run.model, run.machine, run.request
    size = machine.operand_bytes
    tied = model.head_rows * model.width * size if model.is_tied else 0
    todo = operators(model, request.prompt, machine.vector)
    widest = max(numbers(operator, model, request.prompt) for operator in todo)
    bits = request.cache_bits or 8 * size
    tokens = request.batch * request.tokens if model.is_causal else 0
    return {
        "layers": run.weight_bytes["layers"],
        "head": run.weight_bytes["head"],
        "again": run.weight_bytes["again"],
        # A tied head that is pruned is another table than the embedding.
        "embedding": size * model.embedding_numbers
        - (tied if "lm_head" not in run.masked.masks else 0)
        + size * model.vectors,
        "cache": cache_bytes(model, tokens, bits),
        "activations": size * widest,
    }
