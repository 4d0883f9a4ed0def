"""What the attention of a layer computes, score block by score block: docs/whole_models.md §4, §7.

The rows of a block are the queries of one key-value head's group, token by token.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.models.attention import AttentionRun, ScoreBlock, key_tiles, seen_keys
from accel_sim.models.dense_product import DenseProducts
from accel_sim.models.outputs.instructions import F32, VectorUnit
from accel_sim.models.transformer import Step, Transformer


@dataclass(frozen=True)
class ScoreBlocks:
    """Attention of a model on the array's dense `products` and the vector `unit`."""

    model: Transformer
    products: DenseProducts
    unit: VectorUnit

    def attend(self, queries: F32, keys: F32, values: F32, run: AttentionRun, step: Step) -> F32:
        """The heads' outputs side by side, (batch · tokens, heads · head width).

        queries: of the new tokens, (batch, tokens, heads, head width); keys and values: of all
        tokens, (batch, seen, key-value heads, head width). run: the layer's attention as it runs.
        """
        model, width = self.model, self.model.head_width
        found = np.empty(queries.shape, np.float32)
        for request in range(step.batch):
            for head in range(model.kv_heads):
                group = slice(head * model.group, (head + 1) * model.group)
                for work in run.work:
                    block = work.block
                    tokens = slice(block.first, block.first + block.tokens)
                    seen = slice(*block.keys)
                    rows = queries[request, tokens, group].reshape(-1, width)
                    of_block = keys[request, seen, head], values[request, seen, head]
                    output = self._block(rows, *of_block, block, run, step)
                    found[request, tokens, group] = output.reshape(-1, model.group, width)
        return found.reshape(step.batch * step.tokens, -1)

    def _block(
        self,
        rows: F32,
        keys: F32,
        values: F32,
        block: ScoreBlock,
        run: AttentionRun,
        step: Step,
    ) -> F32:
        """Of each row (rows, head width)."""
        starts, counts = seen_keys(block, step, self.model.is_causal, run.window)
        starts, ends = (np.repeat(each, self.model.group) for each in (starts, starts + counts))
        cuts = key_tiles(block, run.residency, run.query_block)
        tiles = [
            (keys[first:end], values[first:end], starts - first, ends - first)
            for first, end in cuts
        ]
        if run.residency == "tiles":
            return self._online(rows, tiles)
        ((keys, values, starts, ends),) = tiles
        scores, is_seen = _from_first(self._product(keys, rows), starts, ends)
        most = np.where(is_seen, scores, -np.inf).max(axis=1)
        shares = self._exp(scores, is_seen, most)
        whole = self.unit.written(self.unit.sums(shares), "the sum of a softmax")
        shares = self.unit.written(shares * self.unit.inverse(whole)[:, None], "a softmax")
        return self._product(values.T, _in_place(shares, is_seen, starts, len(keys)))

    def _online(self, rows: F32, tiles: "list[tuple[F32, F32, Keys, Keys]]") -> F32:
        """Softmax over one tile of keys after the other; what is summed so far is rescaled."""
        unit = self.unit
        most = np.full(len(rows), -np.inf, np.float32)
        sums, output = np.zeros(len(rows), np.float32), np.zeros(rows.shape, np.float32)
        for keys, values, starts, ends in tiles:
            scores, is_seen = _from_first(self._product(keys, rows), starts, ends)
            # Nothing changes for rows that see none of the tile.
            now = np.maximum(most, np.where(is_seen, scores, -np.inf).max(axis=1, initial=-np.inf))
            sees = is_seen.any(axis=1)
            shares = np.zeros(scores.shape, np.float32)
            shares[sees] = self._exp(scores[sees], is_seen[sees], now[sees])
            ratio = np.ones(len(rows), np.float32)
            ratio[sees] = unit.exp(most[sees, None], now[sees], self._scale)[:, 0]
            of_tile = unit.sums(shares)
            sums[sees] = unit.written(sums * ratio + of_tile, "the sum of a softmax")[sees]
            scaled = unit.written(output * ratio[:, None], "the output of a head")
            added = self._product(values.T, _in_place(shares, is_seen, starts, len(keys)))
            output[sees] = unit.written(scaled + added, "the output of a head")[sees]
            most = now
        return unit.written(output * unit.inverse(sums)[:, None], "the output of a head")

    @property
    def _scale(self) -> np.float32:
        return np.float32(1 / np.sqrt(self.model.head_width))

    def _exp(self, scores: F32, is_seen: NDArray[np.bool_], most: F32) -> F32:
        shares = self.unit.exp(np.where(is_seen, scores, most[:, None]), most, self._scale)
        return np.where(is_seen, shares, np.float32(0))

    def _product(self, weight: F32, x: F32) -> F32:
        """The dense product of (outputs, inputs) with rows (rows, inputs): (rows, outputs)."""
        outputs, inputs = weight.shape
        multiply = self.products.multiplication(outputs, inputs, len(x))
        found = multiply(np.ascontiguousarray(weight), np.ascontiguousarray(x))
        return self.unit.written(found.T, "a product of attention")


Keys = NDArray[np.int64]
"""A key of each row, (rows,), counted from the first one of a tile; may lie outside of it."""


def _from_first(scores: F32, starts: Keys, ends: Keys) -> tuple[F32, NDArray[np.bool_]]:
    """Scores (rows, keys) of each row from the first key that it sees, and which are seen.

    A row of softmax begins with its first key, and lanes are counted from there.
    """
    size = scores.shape[1]
    first, end = np.maximum(starts, 0), np.minimum(ends, size)
    longest = max(int((end - first).max(initial=0)), 1)
    places = first[:, None] + np.arange(longest)
    return (
        np.take_along_axis(scores, np.minimum(places, size - 1), axis=1),
        places < end[:, None],
    )


def _in_place(shares: F32, is_seen: NDArray[np.bool_], starts: Keys, size: int) -> F32:
    """(rows, keys) from what `_from_first` moved; 0 where a key is not seen."""
    found = np.zeros((len(shares), size), np.float32)
    rows, places = np.nonzero(is_seen)
    found[rows, np.maximum(starts, 0)[rows] + places] = shares[rows, places]
    return found
