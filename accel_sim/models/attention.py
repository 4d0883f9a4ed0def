"""Attention of one layer in one step: blocks of scores on the array and on the vector unit.

docs/whole_models.md §4 and §5.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.loads import Part, part_of, row_activations, transfer_cycles
from accel_sim.dataflows.abstract.timeline import Segment
from accel_sim.models.dense_product import DenseProducts, Product
from accel_sim.models.transformer import Step, Transformer, first_key, keys_of, query_blocks
from accel_sim.models.vector_unit import Rows, VectorWork, online_softmax, softmax
from sparse_formats.errors import SettingError

Residency = Literal["rows", "tiles", "dram"]
RESIDENCIES: tuple[Residency, ...] = get_args(Residency)

SMALLEST_BLOCK = 64
"""Queries of a block, where there are so many, and keys of a tile."""


@dataclass(frozen=True)
class ScoreBlock:
    """Of one request and key-value head: `tokens` new ones of its queries, from `first` on.

    keys: [first, end) of those that some of them sees.
    """

    first: int
    tokens: int
    keys: tuple[int, int]

    @property
    def seen(self) -> int:
        return self.keys[1] - self.keys[0]


@dataclass(frozen=True)
class Turn:
    """QKᵀ, softmax and AV of the keys of a score block, or of a tile of them."""

    scores: Product
    softmax: VectorWork
    values: Product


@dataclass(frozen=True)
class BlockWork:
    """All turns of one score block. elements: scores that its tokens see."""

    block: ScoreBlock
    turns: tuple[Turn, ...]
    elements: int


@dataclass(frozen=True, eq=False)
class AttentionRun:
    """All score blocks of a layer: `work` for each of `heads` request × key-value head.

    window: how many tokens a query sees at most, itself included; None for all.
    cycles: of all of it, without waiting for the DRAM. segment: its place on the time line. bytes:
    moved from and to the DRAM, by kind. weight_buffer_bits: keys and values written there;
    activation_bits_read: those of them that come from the activation buffer.
    """

    residency: Residency
    window: int | None
    query_block: int
    is_on_chip: bool
    heads: int
    work: tuple[BlockWork, ...]
    cycles: int
    segment: Segment
    bytes: Mapping[str, int]
    weight_buffer_bits: int
    activation_bits_read: int

    @property
    def turns(self) -> list[Turn]:
        """Of one request and key-value head."""
        return [turn for each in self.work for turn in each.turns]

    @property
    def scores(self) -> Counter[Product]:
        return _counted(self.heads, (turn.scores for turn in self.turns))

    @property
    def values(self) -> Counter[Product]:
        return _counted(self.heads, (turn.values for turn in self.turns))

    @property
    def softmax(self) -> VectorWork:
        return sum((turn.softmax for turn in self.turns), VectorWork()).times(self.heads)

    @property
    def array_cycles(self) -> tuple[int, int]:
        """Of QKᵀ and of AV."""
        scores = sum(turn.scores.cycles for turn in self.turns)
        values = sum(turn.values.cycles for turn in self.turns)
        return self.heads * scores, self.heads * values

    @property
    def exposed_cycles(self) -> int:
        """In which the array waits for softmax."""
        return self.cycles - sum(self.array_cycles)


def _counted(heads: int, products: Iterable[Product]) -> Counter[Product]:
    found: Counter[Product] = Counter()
    for product in products:
        found[product] += heads
    return found


class AttentionUnit:
    """Attention of a model on a machine. residency: None for what fits; cache_bits: of a number.

    products: the dense products of its scores and values.
    """

    def __init__(
        self,
        model: Transformer,
        machine: Machine,
        residency: Residency | None,
        cache_bits: int,
    ) -> None:
        self._model, self._machine = model, machine
        self._residency: Residency | None = residency
        self._cache_bits = cache_bits
        self.products = DenseProducts(machine)
        self._known: dict[tuple[Step, int | None], AttentionRun] = {}

    def run(self, step: Step, window: int | None) -> AttentionRun:
        """A layer's attention in `step`, of whose tokens each sees `window` at most.

        Raises:
            InputError: no query block fits the activation buffer.
        """
        key = step, window
        if key not in self._known:
            self._known[key] = self._chosen(step, window)
        return self._known[key]

    def _chosen(self, step: Step, window: int | None) -> AttentionRun:
        wanted: tuple[Residency, ...] = ("rows", "tiles")
        if self._residency is not None:
            wanted = (self._residency,)
        for residency in wanted:
            found = [
                self._run(step, window, residency, size)
                for size in block_sizes(step.tokens)
                if self._score_bytes(step, window, residency, size) <= self._room
                or residency == "dram"
            ]
            if found:
                return min(found, key=lambda each: (_with_loads(each), -each.query_block))
        queries = block_sizes(step.tokens)[0]
        needed = self._score_bytes(step, window, wanted[-1], queries)
        said = (
            f"scores of {queries} {'query' if queries == 1 else 'queries'} take {needed:,} bytes, "
            f"more than the {self._room:,} of the activation buffer of {self._machine.name}"
        )
        other = "tiles or dram" if wanted[-1] == "rows" else "dram"
        raise SettingError("scores", f"has to be {other}, because {said}")

    @property
    def _room(self) -> int:
        return self._machine.activation_buffer.bytes

    def _blocks(self, step: Step, window: int | None, size: int) -> Iterator[ScoreBlock]:
        for first, end in query_blocks(step.tokens, size):
            from_key = first_key(step.cached + first, window)
            to_key = step.cached + end if self._model.is_causal else step.seen
            yield ScoreBlock(first, end - first, (from_key, to_key))

    def _score_bytes(self, step: Step, window: int | None, residency: Residency, size: int) -> int:
        """Of the largest block on chip, of two where blocks overlap."""
        held = 2 if self._machine.vector.overlaps else 1
        largest = max(
            block.tokens * min(block.seen, _tile_keys(size) if residency == "tiles" else block.seen)
            for block in self._blocks(step, window, size)
        )
        if residency == "dram":
            return 0
        return held * self._model.group * largest * self._machine.operand_bytes

    def _run(self, step: Step, window: int | None, residency: Residency, size: int) -> AttentionRun:
        model, machine = self._model, self._machine
        work = tuple(
            self._work(block, step, window, residency, size)
            for block in self._blocks(step, window, size)
        )
        heads = step.batch * model.kv_heads
        operand, width = machine.operand_bytes, model.head_width
        ends = step.batch * step.tokens * model.heads * width * operand  # of queries, of outputs
        new = 2 * step.batch * step.tokens * model.kv_heads * width * operand
        on_chip = 2 * ends + new + self._score_bytes(step, window, residency, size)
        is_on_chip = on_chip <= self._room
        starts, cycles = laid_out([each.turns for each in work], heads, machine.vector.overlaps)
        segment, moved = self._segment(
            step, work, heads, residency, is_on_chip, ends, starts, cycles
        )
        seen = sum(each.block.seen for each in work)
        cached = sum(_cached(each.block, step) for each in work)
        return AttentionRun(
            residency=residency,
            window=window,
            query_block=size,
            is_on_chip=is_on_chip,
            heads=heads,
            work=work,
            cycles=cycles,
            segment=segment,
            bytes=moved,
            weight_buffer_bits=16 * heads * seen * width * operand,
            activation_bits_read=16 * heads * (seen - cached) * width * operand
            if is_on_chip
            else 0,
        )

    def _work(
        self, block: ScoreBlock, step: Step, window: int | None, residency: Residency, size: int
    ) -> BlockWork:
        model, unit = self._model, self._machine.vector
        queries, width = block.tokens * model.group, model.head_width
        starts, sees = seen_keys(block, step, model.is_causal, window)
        cuts = key_tiles(block, residency, size)
        scores = [self.products.of(end - first, width, queries) for first, end in cuts]
        values = [self.products.of(width, end - first, queries) for first, end in cuts]
        if residency == "tiles":
            parts = [
                np.minimum(starts + sees, end) - np.maximum(starts, first) for first, end in cuts
            ]
            rows = [Rows.of(np.repeat(part[part > 0], model.group)) for part in parts]
            work = online_softmax(rows, queries, width, unit)
        else:
            work = [softmax(Rows.of(np.repeat(sees, model.group)), unit)]
        turns = tuple(Turn(*each) for each in zip(scores, work, values, strict=True))
        return BlockWork(block, turns, int(sees.sum()) * model.group)

    def _segment(
        self,
        step: Step,
        work: Sequence[BlockWork],
        heads: int,
        residency: Residency,
        is_on_chip: bool,
        ends: int,
        starts: Sequence[int],
        cycles: int,
    ) -> tuple[Segment, dict[str, int]]:
        """The place on the time line, and the bytes moved by kind."""
        machine, model = self._machine, self._model
        of_number, operand = self._cache_bits, machine.operand_bytes

        def part(runs: int, size: int) -> Part:
            return part_of(runs, size, machine)

        keys = [_cached(each.block, step) if is_on_chip else each.block.seen for each in work]
        of_block = [part(2, -(-count * model.head_width * of_number // 8)) for count in keys]
        cache = [each for _ in range(heads) for each in of_block]
        activations: list[Part] = []
        if not is_on_chip:
            activations += [part(1, ends), part(1, ends)]
        if residency == "dram":
            for each in work:
                size = each.block.tokens * model.group * each.block.seen * operand
                activations.append(part(4 * heads, size))
        arrivals = np.cumsum([transfer_cycles(each, machine) for each in cache])
        is_bound = bool(activations)
        moved = int(arrivals[-1]) + sum(transfer_cycles(each, machine) for each in activations)
        lead = moved if is_bound else max(int((arrivals - np.array(starts)).max()), 0)
        new = part(2 * heads, -(-step.tokens * model.head_width * of_number // 8))
        if not model.is_causal:
            new = part(0, 0)
        read = sum(each.bytes for each in cache)
        spilled = sum(each.bytes for each in activations)
        segment = Segment(
            room=np.array([min(read, machine.weight_buffer.bytes // 4), 0], np.int64),
            transfer=np.array([moved, transfer_cycles(new, machine)], np.int64),
            lead=np.array([lead, 0], np.int64),
            is_bound=np.array([is_bound or not machine.dram.prefetch_across_layers, True]),
            is_awaited=np.array([True, False]),
            pass_cycles=np.array([[cycles], [0]], np.int64),
            write_cycles=np.zeros((2, 2), np.int64),
            groups=1,
            places=None,
            read_bytes=read + spilled // 2,
            write_bytes=new.bytes + spilled - spilled // 2,
            activations=sum(row_activations(each, machine) for each in (*cache, *activations, new)),
        )
        return segment, {"cache": read + new.bytes, "activations": spilled}


def _cached(block: ScoreBlock, step: Step) -> int:
    """Keys of the block that an earlier step made."""
    return max(min(block.keys[1], step.cached) - block.keys[0], 0)


def _with_loads(run: AttentionRun) -> int:
    return run.cycles + int(run.segment.transfer[0]) * bool(run.segment.is_bound[0])


def block_sizes(tokens: int) -> list[int]:
    """Query blocks that are tried: 64, 128, … below all `tokens`, and all of them."""
    sizes = []
    size = SMALLEST_BLOCK
    while size < tokens:
        sizes.append(size)
        size *= 2
    return [*sizes, tokens]


def _tile_keys(size: int) -> int:
    """Keys of a tile where a query block has `size` queries."""
    return max(size, SMALLEST_BLOCK)


def seen_keys(
    block: ScoreBlock, step: Step, is_causal: bool, window: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each token of the block: its first key, counted from the block's first one, and how many.

    int64 (tokens,) both.
    """
    tokens = range(block.first, block.first + block.tokens)
    sees = np.array([keys_of(t, step, is_causal, window) for t in tokens], np.int64)
    starts = np.array([first_key(step.cached + t, window) for t in tokens], np.int64)
    return starts - block.keys[0], sees


def key_tiles(block: ScoreBlock, residency: Residency, size: int) -> list[tuple[int, int]]:
    """The keys [first, end) of each tile, counted from the block's first one."""
    tile = _tile_keys(size) if residency == "tiles" else block.seen
    return [(k, min(k + tile, block.seen)) for k in range(0, block.seen, tile)]


def laid_out(blocks: Sequence[Sequence[Turn]], heads: int, overlaps: bool) -> tuple[list[int], int]:
    """When QKᵀ of each score block starts, and the cycles of all blocks.

    blocks: the turns of each, of one request and key-value head.
    """
    turns = [
        (turn.scores.cycles, turn.softmax.cycles, turn.values.cycles, is_first)
        for block in blocks
        for turn, is_first in zip(block, [True] + [False] * (len(block) - 1), strict=True)
    ] * heads
    starts, array, vector = [], 0, 0
    values_before = 0  # cycles of the last turn's AV, which is still to be done
    for scores, softmax_cycles, values, is_first in turns:
        if not overlaps:
            array = max(array, vector) + values_before
        if is_first:
            starts.append(array)
        array += scores
        scored = array
        if overlaps:
            array = max(array, vector) + values_before
        vector = max(vector, scored) + softmax_cycles
        values_before = values
    return starts, max(array, vector) + values_before
