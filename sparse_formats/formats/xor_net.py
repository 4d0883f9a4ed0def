"""XOR-Net: the bits of kept weights as what a network of XOR gates makes of fewer bits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sparse_formats.formats.parts.bitstream import BitReader, Section, flags, pack, read_flags
from sparse_formats.formats.parts.descriptor import Descriptor
from sparse_formats.formats.parts.kept_values import put_by_row, take_by_row
from sparse_formats.formats.parts.value_types import (
    bit_view,
    from_patterns,
    value_bits,
    value_type_of,
)
from sparse_formats.formats.parts.xor_network import (
    MOST_MEMORY,
    MOST_OUTPUTS,
    WORD_BITS,
    XorNetwork,
)
from sparse_formats.formats.sparse_matrix import SparseMatrix
from sparse_formats.masks.matrix import copy_of_mask
from sparse_formats.storage import Storage

GROUP = 512
"""Bits of a plane whose patches are listed together, each by its place among them."""
PATCH_BITS = 10
"""Of a patch: a bit that says that there is one, and its place."""
SAMPLES, SAMPLED_WORDS = 8, 256
"""Of random bits that stand for weights that are not known."""


@dataclass(frozen=True, eq=False)
class XorNet(SparseMatrix):
    """Words of 8 bits from which a decoder makes planes of bits, and the patches of what it misses.

    Plane b holds bit b of every weight, row by row. network: the decoder. keep: bool (rows, cols).
    words: uint8 (planes, words), None if encoded without weights; patches: of each plane the
    flipped places, int64, ascending. data: the kept weights (nnz) row by row, as decoded.
    Stream: mask (one bit an entry); of each plane its words, of each group of 512 bits a 1 for each
    patch and a 0, and the places of the patches in their groups (9 bits each). Descriptor: outputs,
    memory.

    Many words give the same weights; `encode` finds some that need few patches.

    Source: Kwon et al., CVPR 2020; Park et al., ICLR 2022; the order of the stream is ours.
    """

    shape: tuple[int, int]
    network: XorNetwork
    keep: NDArray[np.bool_]
    words: NDArray[np.uint8] | None
    patches: tuple[NDArray[np.int64], ...]
    data: NDArray[Any] | None

    @property
    def nnz(self) -> int:
        return int(np.count_nonzero(self.keep))

    @classmethod
    def encode(
        cls,
        keep: NDArray[np.bool_],
        weight: NDArray[Any] | None = None,
        outputs: int | None = None,
        memory: int = 1,
    ) -> Self:
        """Encode mask `keep` (bool, out × in) and `weight` of the same shape.

        outputs: bits that a decoder makes of a word, without it as many as 8 kept weights lie
        among, 8 … 255; memory: how many earlier words it combines with it, 0 … 2. Memory saves
        patches and takes time: about 0.3, 8 and 2000 µs a word.
        """
        (rows, cols), nnz = keep.shape, int(np.count_nonzero(keep))
        if outputs is None:
            outputs = min(max(WORD_BITS * keep.size // max(nnz, 1), WORD_BITS), MOST_OUTPUTS)
        network = XorNetwork(outputs, memory)
        kept = copy_of_mask(keep)
        if weight is None:
            return cls((rows, cols), network, kept, None, (), None)
        data = take_by_row(keep, weight)
        care, patterns = kept.reshape(-1), bit_view(np.ascontiguousarray(data))
        words, patches = [], []
        for place in range(8 * data.dtype.itemsize):
            bits = np.zeros(keep.size, np.bool_)
            bits[care] = patterns >> patterns.dtype.type(place) & patterns.dtype.type(1)
            words.append(network.encode(care, bits))
            patches.append(network.missed(care, bits, words[-1]))
        every = np.array(words, np.uint8)
        decoded = _decoded(network, kept, every, patches).view(data.dtype)
        return cls((rows, cols), network, kept, every, tuple(patches), decoded)

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        weight = None if self.data is None else put_by_row(self.keep, self.data)
        return copy_of_mask(self.keep), weight

    def storage(self, value_bits: int) -> Storage:
        """Words of `value_bits` planes, a bit an entry for the mask, and 10 bits a patch.

        Planes beyond those of the weights have as many patches as these in the mean. Without
        weights the patches are those of random bits, as counted on a sample.
        """
        planes, entries = len(self.patches), self.keep.size
        patches = sum(len(each) for each in self.patches[:value_bits])
        if planes == 0:
            patches = round(value_bits * self._patches_of_random_plane)
        elif value_bits > planes:
            patches = round(patches * value_bits / planes)
        return Storage(
            values=value_bits * self.network.words_of(entries) * WORD_BITS,
            indices=entries + patches * (PATCH_BITS - 1),
            pointers=patches + value_bits * -(-entries // GROUP),
        )

    @cached_property
    def _patches_of_random_plane(self) -> float:
        """Patches of a plane of random bits, from some samples all over the matrix."""
        network, care = self.network, self.keep.reshape(-1)
        span, rng = SAMPLED_WORDS * network.outputs, np.random.default_rng(0)
        starts = range(0, len(care), span)
        step = max(-(-len(starts) // SAMPLES), 1)
        missed = cared = 0
        for first in starts[::step]:
            part = care[first : first + span]
            bits = rng.random(len(part)) < 0.5
            missed += len(network.missed(part, bits, network.encode(part, bits)))
            cared += int(np.count_nonzero(part))
        return missed * self.nnz / cared if cared else 0.0

    @property
    def parameters(self) -> Mapping[str, Any]:
        """See `SparseMatrix`."""
        return {"outputs": self.network.outputs, "memory": self.network.memory}

    def sections(self) -> list[Section]:
        """See `SparseMatrix`."""
        return flags(self.keep)

    def to_bytes(self, value_type: str | None = None) -> bytes:
        """See `SparseMatrix`; words and patches stand where other formats have values."""
        typed = value_type_of(self.data, value_type)
        sections = self.sections()
        for place in range(value_bits(typed)):
            assert self.words is not None
            patches = self.patches[place]
            ends = np.arange(1, -(-self.keep.size // GROUP) + 1) * GROUP
            counts = np.diff(np.searchsorted(patches, ends), prepend=0)
            said = np.ones(len(patches) + len(ends), np.bool_)
            said[np.cumsum(counts + 1) - 1] = False
            sections += [
                Section(self.words[place], WORD_BITS),
                *flags(said),
                Section(patches % GROUP, PATCH_BITS - 1),
            ]
        return pack(sections)

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        (rows, cols), typed = descriptor.shape, descriptor.value_type
        network = XorNetwork(
            descriptor.number("outputs", 1, MOST_OUTPUTS),
            descriptor.number("memory", 0, MOST_MEMORY),
        )
        reader = BitReader(data, "xor_net")
        keep = read_flags(reader, "mask", rows * cols).reshape(rows, cols)
        words, patches = [], []
        for _ in range(value_bits(typed)):
            count = network.words_of(keep.size)
            words.append(reader.read("words", count, WORD_BITS, np.uint8))
            patches.append(_read_patches(reader, keep.reshape(-1)))
        reader.finish()
        if typed is None:
            return cls((rows, cols), network, keep, None, (), None)
        kept = from_patterns(_decoded(network, keep, np.array(words, np.uint8), patches), typed)
        # The upper half of an int8 repeats the sign of an int4.
        further = 8 * kept.dtype.itemsize - typed.bits
        words += words[-1:] * further
        patches += patches[-1:] * further
        every = np.array(words, np.uint8)
        return cls((rows, cols), network, keep, every, tuple(patches), kept)


def _decoded(
    network: XorNetwork,
    keep: NDArray[np.bool_],
    words: NDArray[np.uint8],
    patches: Sequence[NDArray[np.int64]],
) -> NDArray[Any]:
    """The bit patterns of the kept weights, row by row, unsigned and as wide as the planes are."""
    care = keep.reshape(-1)
    patterns = np.zeros(np.count_nonzero(care), f"u{-(-len(words) // 8)}")
    for place, (of_plane, flipped) in enumerate(zip(words, patches, strict=True)):
        bits = network.decode(of_plane, len(care))
        bits[flipped] ^= True
        patterns |= bits[care].astype(patterns.dtype) << patterns.dtype.type(place)
    return patterns


def _read_patches(reader: BitReader, care: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The flipped places of the next plane; errors as `BitReader.read`."""
    groups = -(-len(care) // GROUP)
    said, missing = [np.zeros(0, np.bool_)], groups
    while missing:
        # Each group ends with a 0, so that at least as many flags follow as groups are missing.
        said.append(read_flags(reader, "patches of each group", missing))
        missing = int(np.count_nonzero(said[-1]))
    every = np.concatenate(said)
    group = np.cumsum(~every)[every]
    start = reader.at
    within = reader.read("places of patches", len(group), PATCH_BITS - 1, np.int64)
    places = group * GROUP + within
    wrong = (places >= len(care)) | (np.diff(places, prepend=-1) <= 0)
    wrong[~wrong] = ~care[places[~wrong]]
    if wrong.any():
        bit = start + int(wrong.argmax()) * (PATCH_BITS - 1)
        raise reader.fail(bit, "patches must be of kept weights, and ascend within their group")
    return places
