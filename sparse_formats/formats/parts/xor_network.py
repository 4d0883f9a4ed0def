"""A network of XOR gates that decodes at a fixed rate, and the search for what it is fed.

A decoder takes a word of 8 bits and gives `outputs` bits: each is the XOR of some of the bits of
the word and of the last `memory` words before it. A plane is one bit of each weight. Its bits are
cut into blocks of `outputs`, a word for each, and only the bits of kept weights matter. What no
word can meet is flipped afterwards: a patch.

Sources: Lee et al., ICLR 2022 (sequential decoders, Viterbi); Kwon et al., CVPR 2020 (one word).
Which bits a gate combines is drawn here once and for all; it is ours.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.masks.bit_words import set_bits

WORD_BITS = 8
MOST_OUTPUTS = 255
MOST_MEMORY = 2
SLICE = 1024
"""Blocks of a plane that are decoded with one memory: it is zero where a slice begins."""

_FAR = 200
"""The cost of what cannot be or is not worth it; costs are kept in a byte each."""
_WHOLE_CUBE = 13
"""Up to so many bits that matter the nearest word is searched on the cube of all bits."""
_FEW = 4
"""Along the first bits of the cube, a corner's neighbours are too near for a vector."""


@dataclass(frozen=True)
class XorNetwork:
    """One decoder. outputs: bits for each word, 1 … 255; memory: earlier words, 0 … 2."""

    outputs: int
    memory: int

    def __post_init__(self) -> None:
        if not 1 <= self.outputs <= MOST_OUTPUTS:
            raise InputError(
                f"xor_net: outputs is {self.outputs}; give a whole number from 1 to {MOST_OUTPUTS}"
            )
        if not 0 <= self.memory <= MOST_MEMORY:
            raise InputError(
                f"xor_net: memory is {self.memory}; give a whole number from 0 to {MOST_MEMORY}"
            )

    @cached_property
    def rows(self) -> NDArray[np.uint32]:
        """What each output combines, uint32 (outputs,): bits 0 … 7 of the word itself, bits 8 … 15
        of the one before it, and so on. No two are alike, and none is empty.

        They are drawn by SplitMix64 with seed 0 (Steele et al., OOPSLA 2014).
        """
        found: dict[int, None] = {}
        state, every = 0, (1 << 64) - 1
        while len(found) < self.outputs:
            state = (state + 0x9E3779B97F4A7C15) & every
            mixed = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & every
            mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & every
            if row := (mixed ^ mixed >> 31) & ((1 << WORD_BITS * (self.memory + 1)) - 1):
                found[row] = None
        return np.array(list(found), np.uint32)

    @property
    def gates(self) -> int:
        """XOR gates of two inputs."""
        return sum(int(row).bit_count() - 1 for row in self.rows)

    @property
    def levels(self) -> int:
        """Gates in a row on the longest way, as a tree for each output."""
        return max((int(row).bit_count() - 1).bit_length() for row in self.rows)

    def words_of(self, bits: int) -> int:
        """Words of a plane of so many bits."""
        return -(-bits // self.outputs)

    def encode(self, care: NDArray[np.bool_], bits: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """The words of a plane, uint8: of those that miss few bits.

        care: whose weight is kept; bits: of the same length, what they must be. Without memory a
        word meets each bit that is not decided by the bits met before it (Gaussian elimination);
        with memory the words together miss as few bits of a slice as possible (Viterbi).
        """
        words = np.zeros(self.words_of(len(care)), np.uint8)
        for first in range(0, len(words), SLICE):
            part = slice(first * self.outputs, (first + SLICE) * self.outputs)
            self._encode_slice(care[part], bits[part], words[first : first + SLICE])
        return words

    def decode(self, words: NDArray[np.uint8], count: int) -> NDArray[np.bool_]:
        """The first `count` bits that the words give, bool."""
        bits = np.empty(len(words) * self.outputs, np.bool_)
        _decode(words, self.rows, self.memory, bits)
        return bits[:count]

    def missed(
        self, care: NDArray[np.bool_], bits: NDArray[np.bool_], words: NDArray[np.uint8]
    ) -> NDArray[np.int64]:
        """The places of the kept weights whose bit the words do not give: those to be patched."""
        return np.flatnonzero(care & (self.decode(words, len(care)) != bits))

    def _encode_slice(
        self, care: NDArray[np.bool_], bits: NDArray[np.bool_], words: NDArray[np.uint8]
    ) -> None:
        care, bits = (np.ascontiguousarray(each, np.bool_) for each in (care, bits))
        if self.memory == 0:
            _eliminate(care, bits, self.rows, words)
        else:
            _search(care, bits, self.rows, self.memory, words)


@njit(cache=True, nogil=True)
def _parity(word: Any) -> int:
    return set_bits(np.uint64(word)) & 1


@njit(cache=True, nogil=True)
def _decode(words: Any, rows: Any, memory: int, bits: Any) -> None:
    outputs, held, mask = len(rows), 0, (1 << 8 * (memory + 1)) - 1
    for block in range(len(words)):
        if block % SLICE == 0:
            held = 0
        held = (held << 8 | np.int64(words[block])) & mask
        for i in range(outputs):
            bits[block * outputs + i] = _parity(np.int64(rows[i]) & held) == 1


@njit(cache=True, nogil=True)
def _eliminate(care: Any, bits: Any, rows: Any, words: Any) -> None:
    outputs = len(rows)
    lead = np.zeros(8, np.int64)  # of each highest bit the sum of rows that has it; 0 where none
    value = np.zeros(8, np.int64)
    for block in range(len(words)):
        lead[:] = 0
        for i in range(min(outputs, len(care) - block * outputs)):
            if not care[block * outputs + i]:
                continue
            row, bit = np.int64(rows[i]), np.int64(bits[block * outputs + i])
            for place in range(7, -1, -1):
                if not row >> place & 1:
                    continue
                if not lead[place]:
                    lead[place], value[place] = row, bit
                    break
                row, bit = row ^ lead[place], bit ^ value[place]
        word = 0
        for place in range(8):
            if lead[place]:
                word |= (value[place] ^ _parity(lead[place] & word)) << place
        words[block] = word


@njit(cache=True, nogil=True)
def _search(care: Any, bits: Any, rows: Any, memory: int, words: Any) -> None:
    """The words of a slice that miss the fewest bits. A state is the last `memory` words."""
    blocks, states, outputs = len(words), 256**memory, len(rows)
    costs = np.full((blocks + 1, states), np.uint8(_FAR))
    costs[0, 0] = 0
    tables = np.zeros((memory + 1, -(-outputs // 64), 256), np.uint64)
    for block in range(blocks):
        count = _tables(care, bits, rows, block, tables)
        if count == 0:
            _forget(costs[block], costs[block + 1])
        else:
            _advance(costs[block], costs[block + 1], tables, count)
    state = np.argmin(costs[blocks])
    for block in range(blocks - 1, -1, -1):
        count = _tables(care, bits, rows, block, tables)
        words[block] = state % 256
        state = _before(costs[block], tables, state, count)


@njit(cache=True, nogil=True)
def _tables(care: Any, bits: Any, rows: Any, block: int, tables: Any) -> int:
    """What each value of each word contributes to the bits that matter, and how many these are.

    tables: uint64 (ages, words of 64 bits, values). The bits asked for stand in those of the newest
    word, so that what is left over is missed.
    """
    outputs = len(rows)
    first, count = block * outputs, 0
    tables[:, :, :] = 0
    for i in range(min(outputs, len(care) - first)):
        if care[first + i]:
            word, place = count >> 6, np.uint64(count & 63)
            for age in range(len(tables)):
                for bit in range(8):
                    if np.int64(rows[i]) >> (8 * age + bit) & 1:
                        tables[age, word, 1 << bit] |= np.uint64(1) << place
            if bits[first + i]:
                tables[0, word, 0] |= np.uint64(1) << place
            count += 1
    for word in range(-(-count // 64)):
        for age in range(len(tables)):
            of_word = tables[age, word]
            for bit in range(1, 8):
                for value in range((1 << bit) + 1, 2 << bit):
                    of_word[value] = of_word[1 << bit] ^ of_word[value - (1 << bit)]
        asked = tables[0, word, 0]
        for value in range(1, 256):
            tables[0, word, value] ^= asked
    return count


@njit(cache=True, nogil=True)
def _forget(cost: Any, after: Any) -> None:
    """A block of which no bit matters: the oldest word is dropped, the newest is free."""
    kept_states = len(cost) // 256
    for kept in range(kept_states):
        least = _FAR
        for oldest in range(256):
            least = min(least, np.int64(cost[oldest * kept_states + kept]))
        for newest in range(256):
            after[kept * 256 + newest] = least


@njit(cache=True, nogil=True)
def _advance(cost: Any, after: Any, tables: Any, count: int) -> None:
    """The least cost of each state after a block of which `count` bits matter."""
    kept_states, words = len(cost) // 256, -(-count // 64)
    near = np.empty(1 << min(count, _WHOLE_CUBE), np.uint8)
    so_far, reached = np.empty(256, np.int64), np.empty(256, np.int64)
    left = np.empty(words, np.uint64)
    for kept in range(kept_states):
        for oldest in range(256):
            so_far[oldest] = cost[oldest * kept_states + kept]
        if count <= _WHOLE_CUBE:
            _spread(so_far, tables[-1, 0], count, near)
        for newest in range(256):
            _left_over(tables, newest, kept, left)
            if count <= _WHOLE_CUBE:
                after[kept * 256 + newest] = near[np.int64(left[0])]
            else:
                _reach(so_far, tables[-1], left, reached)
                after[kept * 256 + newest] = min(reached.min(), _FAR)
    least = np.int64(after.min())
    for state in range(len(after)):
        after[state] -= least


@njit(cache=True, nogil=True)
def _left_over(tables: Any, newest: int, kept: int, left: Any) -> None:
    """What the oldest word is asked to contribute: what all others leave over."""
    for word in range(len(left)):
        left[word] = tables[0, word, newest]
        if len(tables) > 2:
            left[word] ^= tables[1, word, kept]


@njit(cache=True, nogil=True)
def _spread(so_far: Any, table: Any, count: int, near: Any) -> None:
    """near[left]: the least cost of an oldest word plus the bits in which it differs from `left`.

    Bit after bit, a corner of the cube takes over what its neighbour costs and one bit more.
    """
    near[:] = _FAR
    for oldest in range(256):
        corner = np.int64(table[oldest])
        near[corner] = min(np.int64(near[corner]), so_far[oldest])
    for bit in range(count):
        step = 1 << bit
        for first in range(0, 1 << count, 2 * step):
            if bit < _FEW:
                for corner in range(first, first + step):
                    one, other = near[corner], near[corner + step]
                    near[corner] = min(one, other + 1)
                    near[corner + step] = min(other, one + 1)
            else:
                _take_over(near[first : first + step], near[first + step : first + 2 * step])


@njit(cache=True, nogil=True)
def _take_over(lower: Any, upper: Any) -> None:
    # Two arrays, so that the compiler takes many corners at once.
    for i in range(len(lower)):
        one, other = lower[i], upper[i]
        lower[i] = min(one, other + 1)
        upper[i] = min(other, one + 1)


@njit(cache=True, nogil=True)
def _reach(so_far: Any, table: Any, left: Any, reached: Any) -> None:
    """reached[oldest]: its cost so far, and the bits in which it differs from `left`."""
    reached[:] = so_far
    for word in range(len(left)):
        of_word, asked = table[word], left[word]
        for oldest in range(256):
            reached[oldest] += set_bits(of_word[oldest] ^ asked)


@njit(cache=True, nogil=True)
def _before(cost: Any, tables: Any, state: int, count: int) -> int:
    """The state before, on the way of least cost to `state`."""
    newest, kept, kept_states = state % 256, state // 256, len(cost) // 256
    so_far, reached = np.empty(256, np.int64), np.empty(256, np.int64)
    left = np.empty(-(-count // 64), np.uint64)
    for oldest in range(256):
        so_far[oldest] = cost[oldest * kept_states + kept]
    _left_over(tables, newest, kept, left)
    _reach(so_far, tables[-1], left, reached)
    return int(np.argmin(reached)) * kept_states + kept
