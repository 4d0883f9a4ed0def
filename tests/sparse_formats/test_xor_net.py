"""Do XOR networks decode what was encoded, miss as few bits as they can, and cost what they say?"""

from functools import reduce
from itertools import product
from math import comb
from operator import xor

import numpy as np
import pytest
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.formats.bitmap import Bitmap
from sparse_formats.formats.parts.xor_network import SLICE, XorNetwork
from sparse_formats.formats.xor_net import XorNet
from sparse_formats.storage import Storage


def decoded(network: XorNetwork, words: list[int], count: int) -> list[int]:
    """What a decoder makes of words, gate by gate."""
    bits: list[int] = []
    for i in range(len(words)):
        since = i % SLICE
        seen = [words[i - age] if age <= since else 0 for age in range(network.memory + 1)]
        every = [word >> place & 1 for word in seen for place in range(8)]
        for row in network.rows.tolist():
            chosen = [every[place] for place in range(len(every)) if row >> place & 1]
            bits.append(reduce(xor, chosen))
    return bits[:count]


def drawn(
    network: XorNetwork, blocks: float, density: float, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    count = round(blocks * network.outputs)
    return rng.random(count) < density, rng.random(count) < 0.5


@pytest.mark.parametrize("memory", [0, 1, 2])
def test_does_a_decoder_give_what_its_gates_give(memory: int) -> None:
    network = XorNetwork(11, memory)
    words = np.random.default_rng(memory).integers(0, 256, SLICE + 40, np.uint8)
    bits = network.decode(words, 11 * len(words) - 4)
    assert bits.astype(int).tolist() == decoded(network, words.tolist(), len(bits))


@pytest.mark.parametrize("outputs", [1, 40, 255])
@pytest.mark.parametrize("memory", [0, 1, 2])
def test_are_no_two_outputs_alike(outputs: int, memory: int) -> None:
    network = XorNetwork(outputs, memory)
    rows = network.rows.tolist()
    assert len(set(rows)) == outputs and min(rows) > 0 and max(rows) < 1 << 8 * (memory + 1)
    assert network.gates == sum(bin(row).count("1") - 1 for row in rows)
    assert 2**network.levels >= max(bin(row).count("1") for row in rows)


# Few bits that matter, more than the search on the cube takes, and more than a word of 64.
@pytest.mark.parametrize(
    ("memory", "outputs", "density"),
    [(1, 10, 0.8), (1, 12, 0.2), (1, 20, 1.0), (1, 100, 0.9), (2, 10, 0.8), (2, 20, 1.0)],
)
def test_does_no_other_choice_of_two_words_miss_fewer_bits(
    memory: int, outputs: int, density: float
) -> None:
    network = XorNetwork(outputs, memory)
    care, bits = drawn(network, 2, density, outputs)
    words = network.encode(care, bits)
    found = len(network.missed(care, bits, words))
    table = np.array([decoded(network, [word], outputs) for word in range(256)], bool)
    later = np.array(
        [decoded(network, [word, 0], 2 * outputs)[outputs:] for word in range(256)], bool
    )
    first = np.count_nonzero((table != bits[:outputs]) & care[:outputs], axis=1)
    # The gates are linear: the second block is what the new word gives and what the old one adds.
    care_then, bits_then = care[outputs:], bits[outputs:]
    least = min(
        int(first[old])
        + int(np.count_nonzero((table ^ later[old] ^ bits_then) & care_then, axis=1).min())
        for old in range(256)
    )
    assert found == least


def closed_form(outputs: int, density: float) -> float:
    """Share of the bits of kept weights that a word meets, where every network is as likely.

    Bits are met one by one. The next row is one of the 255 not yet used, and lies in the span of
    the r independent ones, less those used, with probability (2^r − 1 − used)/(255 − used). Then
    its bit is given, and is right half of the time.
    """
    met = cared = 0.0
    for count in range(outputs + 1):
        likely = comb(outputs, count) * density**count * (1 - density) ** (outputs - count)
        ranks = {0: 1.0}
        for used in range(count):
            after: dict[int, float] = {}
            for rank, share in ranks.items():
                given = (2**rank - 1 - used) / (255 - used)
                after[rank] = after.get(rank, 0.0) + share * given
                after[rank + 1] = after.get(rank + 1, 0.0) + share * (1 - given)
            ranks = after
        rank = sum(rank * share for rank, share in ranks.items())
        met += likely * (rank + (count - rank) / 2)
        cared += likely * count
    return met / cared


@pytest.mark.parametrize(("outputs", "density"), [(40, 0.2), (32, 0.2), (80, 0.1), (20, 0.4)])
def test_meets_a_word_as_many_bits_as_the_closed_form_says(outputs: int, density: float) -> None:
    network = XorNetwork(outputs, 0)
    care, bits = drawn(network, 20_000, density, 1)
    met = 1 - len(network.missed(care, bits, network.encode(care, bits))) / care.sum()
    # Sampling adds about 0.0007 and one network differs from the mean of all by 0.003 or less.
    assert met == pytest.approx(closed_form(outputs, density), abs=0.006)


def test_is_a_block_met_whose_rows_are_independent() -> None:
    # With three outputs of 8 bits the rows drawn are independent: every bit is met.
    network = XorNetwork(3, 0)
    spans = {reduce(xor, parts) for parts in product(*((0, row) for row in network.rows.tolist()))}
    assert len(spans) == 8
    care, bits = drawn(network, 500, 1.0, 2)
    assert not len(network.missed(care, bits, network.encode(care, bits)))


@pytest.mark.parametrize("dtype", [np.int8, np.float16, np.float32])
@pytest.mark.parametrize("memory", [0, 1])
def test_are_words_and_patches_all_that_is_needed(dtype: type, memory: int) -> None:
    rng = np.random.default_rng(5)
    keep = rng.random((90, 101)) < 0.25
    weight = np.where(keep, 40 * rng.standard_normal(keep.shape), 0).astype(dtype)
    matrix = XorNet.encode(keep, weight, memory=memory)
    assert matrix.words is not None and matrix.network.outputs == 8 * keep.size // matrix.nnz
    # By hand: gate by gate, flip by flip, plane by plane.
    patterns = [0] * keep.size
    for plane, (words, flipped) in enumerate(zip(matrix.words, matrix.patches, strict=True)):
        bits = decoded(matrix.network, words.tolist(), keep.size)
        for place in flipped.tolist():
            bits[place] ^= 1
        patterns = [sofar | bit << plane for sofar, bit in zip(patterns, bits, strict=True)]
    unsigned = np.array(patterns, np.uint64).astype(f"u{np.dtype(dtype).itemsize}")
    by_hand = np.where(keep.reshape(-1), unsigned, 0).view(dtype)
    assert by_hand.tobytes() == weight.tobytes() == np.asarray(matrix.decode()[1]).tobytes()


def test_is_a_wrong_word_seen() -> None:
    keep = np.random.default_rng(6).random((40, 50)) < 0.3
    weight = np.where(keep, np.random.default_rng(7).standard_normal((40, 50)), 0)
    matrix = XorNet.encode(keep, weight.astype(np.float16))
    stream = bytearray(matrix.to_bytes())
    stream[keep.size // 8 + 3] ^= 1  # a word of plane 0
    again = XorNet.from_bytes(bytes(stream), matrix.descriptor())
    assert np.asarray(again.decode()[1]).tobytes() != np.asarray(matrix.decode()[1]).tobytes()


def test_what_does_it_store() -> None:
    # 600 entries, 60 kept: 8 outputs of a word for 10 entries each make blocks of 80, 8 words a
    # plane. 2 groups of 512 end with a 0 each. int8 has 8 planes; a patch is a 1 and 9 bits.
    keep = np.zeros((20, 30), np.bool_)
    keep[:, ::10] = True
    weight = np.where(keep, np.random.default_rng(8).integers(1, 99, keep.shape), 0).astype(np.int8)
    matrix = XorNet.encode(keep, weight)
    patches = sum(map(len, matrix.patches))
    assert matrix.storage(8) == Storage(8 * 8 * 8, 600 + 9 * patches, 8 * 2 + patches)
    assert XorNet.encode(keep).storage(0) == Storage(0, 600, 0)


def test_is_a_sample_of_random_bits_near_what_random_weights_need() -> None:
    rng = np.random.default_rng(9)
    keep = rng.random((256, 500)) < 0.2
    weight = np.where(keep, rng.integers(-128, 128, keep.shape), 0).astype(np.int8)
    known = XorNet.encode(keep, weight).storage(8)
    guessed = XorNet.encode(keep).storage(8)
    assert guessed.values == known.values
    assert guessed.bits == pytest.approx(known.bits, rel=0.01)
    # The rate is fixed, and the mask comes on top: a bitmap with its values is smaller here.
    assert Bitmap.encode(keep, weight).storage(8).bits < known.bits


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"outputs": 0}, "outputs is 0; give a whole number from 1 to 255"),
        ({"outputs": 256}, "outputs is 256"),
        ({"memory": 3}, "memory is 3; give a whole number from 0 to 2"),
    ],
)
def test_is_an_impossible_decoder_refused(parameters: dict[str, int], says: str) -> None:
    with pytest.raises(InputError, match=says):
        XorNet.encode(np.ones((2, 2), np.bool_), None, **parameters)
