"""What XOR decoders between the DRAM and the weight buffer are sent (docs/rivals.md §16).

Source: stacked XOR-Net compression as a memory interface (Byun et al., MLSys 2023; abstract). What
is sent, in which order, and how patches are taken is ours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import Delivery, LayerRun
from accel_sim.dataflows.abstract.machine_sections import XorDecoder
from accel_sim.inputs.datatypes import Datatype
from sparse_formats.errors import InputError
from sparse_formats.formats.parts.xor_network import SLICE, WORD_BITS, XorNetwork
from sparse_formats.formats.xor_net import GROUP, PATCH_BITS
from sparse_formats.masks.matrix import MaskedMatrix

MOST_WORDS = {0: 2**15, 1: 2**11, 2: 2**8}
"""By the decoders' memory: words of a matrix up to which all are searched, more are sampled."""
SAMPLED_WORDS = 256
"""Words in a row of a sample."""

Region = tuple[slice, slice]


@dataclass(frozen=True)
class _Part:
    """Consecutive bits of a plane: those of `bits` in the row-major order of a region."""

    region: int
    plane: int
    bits: slice


def deliveries(
    run: LayerRun, matrix: MaskedMatrix, planes: int, numbers: Datatype, decoder: XorDecoder
) -> list[Delivery | None]:
    """Of each tile; None where it comes in the machine's own format, which is not longer.

    planes: bits of a weight in the machine. Weights that are not known, or whose operands have
    other bits than the machine stores, are taken to have random bits.
    """
    if matrix.keep.all():  # nothing that the decoders could leave out
        return [None] * len(run.tiles)
    network = XorNetwork(decoder.decoder_outputs, decoder.decoder_memory)
    regions = [(slice(*tile.rows), slice(*tile.cols)) for tile in run.tiles]
    patterns = _patterns(matrix, numbers) if numbers.operand_bits == planes else None
    missed, is_sampled = _missed(matrix.keep, patterns, regions, planes, network)
    found: list[Delivery | None] = []
    for tile, region, patches in zip(run.tiles, regions, missed, strict=True):
        entries = matrix.keep[region].size
        words = planes * network.words_of(entries)
        bits = WORD_BITS * words + entries + planes * -(-entries // GROUP) + PATCH_BITS * patches
        at_full_rate = -(-words // decoder.decoders)
        delivery = Delivery(
            bits=bits,
            words=words,
            patches=patches,
            decoded_bits=words * network.outputs,
            cycles=max(at_full_rate, -(-patches // decoder.patches_per_cycle)),
            is_sampled=is_sampled,
        )
        found.append(delivery if delivery.bytes < tile.bytes else None)
    return found


def _patterns(matrix: MaskedMatrix, numbers: Datatype) -> NDArray[Any] | None:
    """The bits of the operands, unsigned, (outputs, inputs); None where weights are not known."""
    if matrix.weight is None:
        return None
    try:
        return numbers.patterns(numbers.operands(matrix.weight, matrix.name))
    except InputError:
        return None  # beyond the datatype, as the product's check tells


def _missed(
    keep: NDArray[np.bool_],
    patterns: NDArray[Any] | None,
    regions: Sequence[Region],
    planes: int,
    network: XorNetwork,
) -> tuple[list[int], bool]:
    """Patches of each region, and whether they are those of a sample, as many to a kept bit."""
    sizes = [keep[region].size for region in regions]
    most = MOST_WORDS[network.memory]
    whole = planes * sum(network.words_of(size) for size in sizes)
    is_sampled = whole > most
    span = SAMPLED_WORDS if is_sampled else SLICE
    parts = list(_parts(sizes, planes, span * network.outputs))
    if is_sampled:
        words = sum(network.words_of(part.bits.stop - part.bits.start) for part in parts)
        parts = parts[:: -(-words // most)]
    rng = np.random.default_rng(0)
    found, cared, flat = [0] * len(regions), 0, (-1, keep[:0], patterns)
    for part in parts:
        if flat[0] != part.region:
            region = regions[part.region]
            values = None if patterns is None else patterns[region].reshape(-1)
            flat = (part.region, keep[region].reshape(-1), values)
        _, kept, values = flat
        care = kept[part.bits]
        if values is None:
            bits = rng.random(len(care)) < 0.5
        else:
            bits = (values[part.bits] >> values.dtype.type(part.plane) & 1).astype(np.bool_)
        found[part.region] += len(network.missed(care, bits, network.encode(care, bits)))
        cared += int(np.count_nonzero(care))
    if is_sampled:
        rate = planes * sum(found) / max(cared, 1)
        found = [round(rate * int(np.count_nonzero(keep[region]))) for region in regions]
    return found, is_sampled


def _parts(sizes: Sequence[int], planes: int, span: int) -> Iterator[_Part]:
    """All planes of all regions in pieces of `span` bits, each of which begins a slice."""
    for region, size in enumerate(sizes):
        for plane in range(planes):
            for first in range(0, size, span):
                yield _Part(region, plane, slice(first, min(first + span, size)))


def said_of_decoders(runs: Sequence[LayerRun], decoder: XorDecoder, is_resident: bool) -> str:
    """What the decoders were sent, for a report; nothing where the machine has none."""
    if not decoder.decoders:
        return ""
    if is_resident:
        return (
            "XOR decoders: nothing is sent to the decoders, because the weights stay on the chip."
        )
    tiles = [tile for run in runs for tile in run.tiles]
    sent = [(tile.bytes, tile.delivery) for tile in tiles if tile.delivery is not None]
    deliveries = [delivery for _, delivery in sent]
    if not sent:
        return (
            "XOR decoders: no tile is sent to the decoders, because none takes fewer bytes than in "
            "the machine's own format."
        )
    patches = sum(delivery.patches for delivery in deliveries)
    said = (
        f"XOR decoders: {len(sent):,} of {len(tiles):,} tiles are sent to the decoders, "
        f"{sum(delivery.bytes for delivery in deliveries):,} bytes in place of "
        f"{sum(count for count, _ in sent):,}, with {patches:,} patches"
    )
    if any(delivery.is_sampled for delivery in deliveries):
        said += " (of large matrices estimated from a sample of their words)"
    if len(sent) < len(tiles):
        said += "; the others take fewer bytes in the machine's own format"
    return f"{said}."
