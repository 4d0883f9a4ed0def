"""Are slots stored as the formats say, bit by bit, and does a mask file tell how masks are cut?"""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_masks, write_masks
from sparse_formats.formats.lane_select import LaneSelect
from sparse_formats.formats.registry import encode
from sparse_formats.formats.two_level import TwoLevel
from sparse_formats.inspect.format_costs import inspect
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
from sparse_formats.masks.slots import Slots
from sparse_formats.storage import Storage
from tests.sparse_formats.slot_masks import lanes_of, selected

CASES = [((8, 32), 4, 2), ((9, 33), 4, 2), ((7, 50), 3, 3), ((5, 4), 8, 4), ((40, 130), 16, 4)]


def drawn(shape: tuple[int, int], density: float = 0.2) -> NDArray[np.bool_]:
    return np.random.default_rng(sum(shape)).random(shape) < density


def weights(keep: NDArray[np.bool_]) -> NDArray[np.int8]:
    values = np.random.default_rng(1).integers(1, 128, keep.shape).astype(np.int8)
    return np.where(keep, values, np.int8(0))


def bits_of(number: int, width: int) -> str:
    """Least significant bit first."""
    return format(number, f"0{width}b")[::-1] if width else ""


def packed(bits: str) -> bytes:
    return int(bits[::-1] or "0", 2).to_bytes(-(-len(bits) // 8), "little")


def counted(choices: int) -> int:
    """⌈log2 choices⌉, by doubling."""
    bits = 0
    while 2**bits < choices:
        bits += 1
    return bits


def stream_of(
    shape: tuple[int, int], lanes: int, choices: int, is_vertical: bool, weight: NDArray[np.int8]
) -> bytes:
    """The stream of either format, from its docstring, entry by entry."""
    slots = lanes_of(shape, lanes, choices, is_vertical)
    along, step = (shape[0], lanes) if is_vertical else (shape[1], lanes * choices)
    places = -(-along // step)
    lines = [slots[i : i + places] for i in range(0, len(slots), places)]
    pointers, indices, choice, values = [0], list[int](), "", ""
    for line in lines:
        for place, slot in enumerate(line):
            taken = [[weight[at] != 0 for at in lane] for lane in slot]
            if not any(any(lane) for lane in taken):
                continue
            indices.append(place)
            for lane in slot:
                kept = [i for i, at in enumerate(lane) if weight[at]]
                if choices > 1:
                    choice += bits_of(kept[0], counted(choices))
                else:
                    choice += str(len(kept))
                values += "".join(bits_of(int(weight[lane[i]]), 8) for i in kept)
            if choices == 1:
                choice += "0" * (lanes - len(slot))
        pointers.append(len(indices))
    width = counted(len(indices) + 1)
    return packed(
        ("1" if is_vertical else "0")
        + "".join(bits_of(p, width) for p in pointers)
        + "".join(bits_of(i, counted(places)) for i in indices)
        + choice
        + values
    )


@pytest.mark.parametrize("is_vertical", [False, True])
@pytest.mark.parametrize(("shape", "lanes", "choices"), CASES)
def test_is_the_stream_of_lane_select_what_the_format_says(
    shape: tuple[int, int], lanes: int, choices: int, is_vertical: bool
) -> None:
    keep = selected(drawn(shape), lanes, choices, is_vertical)
    weight = weights(keep)
    slots = Slots("vertical" if is_vertical else "horizontal", lanes, choices)
    matrix = LaneSelect.encode(keep, weight, slots=slots)
    assert matrix.to_bytes() == stream_of(shape, lanes, choices, is_vertical, weight)


@pytest.mark.parametrize("is_vertical", [False, True])
@pytest.mark.parametrize(("shape", "length", "_"), CASES)
def test_is_the_stream_of_two_levels_what_the_format_says(
    shape: tuple[int, int], length: int, _: int, is_vertical: bool
) -> None:
    keep = drawn(shape)
    weight = weights(keep)
    slots = Slots("vertical" if is_vertical else "horizontal", length)
    matrix = TwoLevel.encode(keep, weight, slots=slots)
    assert matrix.to_bytes() == stream_of(shape, length, 1, is_vertical, weight)


def test_what_does_lane_select_take() -> None:
    # 32 × 64, slots of 16 outputs × 4 inputs: 16 lines of 2 places. Three slots of 16 weights.
    keep = np.zeros((32, 64), np.bool_)
    for row, col in ((0, 0), (16, 0), (16, 60)):
        for lane in range(16):
            keep[row + lane, col + lane % 4] = True
    matrix = LaneSelect.encode(keep)
    assert matrix.slots == Slots("vertical", 16, 4)
    # 48 selects of 2 bits, 3 indices of 1, the orientation; 17 pointers that tell 0 to 3 apart.
    assert matrix.storage(8) == Storage(values=48 * 8, indices=48 * 2 + 3 + 1, pointers=17 * 2)
    # The same weights as single ones: 48 indices of 6 bits, 33 pointers of 6.
    assert encode(MaskedMatrix("m", keep), "csr").storage(8).bits == 48 * (8 + 6) + 33 * 6


def test_what_do_two_levels_take() -> None:
    # Rows of 40: three places, the last of 8. Two slots that keep 3 weights and 1.
    keep = np.zeros((4, 40), np.bool_)
    keep[1, [0, 7, 15]] = keep[1, 39] = True
    matrix = TwoLevel.encode(keep)
    assert matrix.slots == Slots("horizontal", 16)
    # Two indices of 2 bits and bitmaps of 16, the orientation; 5 pointers that tell 0 to 2 apart.
    assert matrix.storage(8) == Storage(values=4 * 8, indices=2 * (2 + 16) + 1, pointers=5 * 2)


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ([(0, 0)], "horizontal, rows 0..0, columns 0..15: only 1 of 4 lanes keep a candidate"),
        ([(0, 0), (0, 4)], "a lane keeps 2 of its 4 candidates; vertical, rows 0..3, columns 0..3"),
    ],
)
def test_what_does_a_mask_of_other_slots_say(places: list[tuple[int, int]], said: str) -> None:
    keep = np.zeros((8, 16), np.bool_)
    keep[tuple(zip(*places, strict=True))] = True
    with pytest.raises(InputError, match=said) as caught:
        LaneSelect.encode(keep, None, 4, 4)
    assert 'prune with pattern "lane_select:4:4"' in str(caught.value)


def both_ways() -> NDArray[np.bool_]:
    """8 × 16, whole slots of 4 lanes with 4 candidates in either orientation in the upper half."""
    keep = np.zeros((8, 16), np.bool_)
    for group in range(4):
        for lane in range(4):
            keep[lane, 4 * group + (lane + group) % 4] = True
    return keep


def test_has_the_makers_cut_precedence(tmp_path: Path) -> None:
    keep = both_ways()
    assert LaneSelect.encode(keep, None, 4, 4).slots.orientation == "horizontal"
    vertical = MaskedMatrix("m", keep, slots=Slots("vertical", 4, 4))
    write_masks(tmp_path / "m.npz", MaskSet((vertical, MaskedMatrix("n", keep))))
    first, second = read_masks(tmp_path / "m.npz").matrices
    assert (first.slots, second.slots) == (vertical.slots, None)
    told = encode(first, "lane_select", lanes=4, choices=4)
    found = encode(first, "lane_select")
    for matrix in (told, found):
        assert isinstance(matrix, LaneSelect) and matrix.slots == vertical.slots
    # Asked for others, the format looks for itself.
    other = encode(first, "two_level", length=8)
    assert isinstance(other, TwoLevel) and other.slots.lanes == 8
    assert inspect(first, 16).storage["lane_select"] == found.storage(16)
    assert (inspect(first, 16).orientation, inspect(first, 16).vectors) == ("vertical", 4)
    # 16 lanes are what the format takes unless told: this mask has them only as its maker said.
    assert "lane_select" in inspect(second, 16).cannot_hold


def test_are_slots_that_do_not_fit_their_mask_refused(tmp_path: Path) -> None:
    keep = both_ways()
    keep[0, 0] = False
    wrong = MaskedMatrix("m", keep, slots=Slots("horizontal", 4, 4))
    with pytest.raises(InputError, match="matrix m: its slots of 4 lanes with 4 candidates each"):
        write_masks(tmp_path / "m.npz", MaskSet((wrong,)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("said_in_the_file", "said"),
    [
        (0, "slots have 0 lanes; give 1..65536"),
        (3, "matrix m: its slots of 3 lanes with 4 candidates each do not make up its mask"),
        ("four", "not well-formed"),
    ],
)
def test_what_does_a_file_with_other_slots_say(
    tmp_path: Path, said_in_the_file: object, said: str
) -> None:
    path = tmp_path / "m.npz"
    write_masks(path, MaskSet((MaskedMatrix("m", both_ways(), slots=Slots("horizontal", 4, 4)),)))
    with np.load(path) as archive:
        arrays = dict(archive)
    header = json.loads(arrays["mvpsim/header"].tobytes())
    assert header["matrices"][0]["slots"] == {"orientation": "horizontal", "lanes": 4, "choices": 4}
    header["matrices"][0]["slots"]["lanes"] = said_in_the_file
    arrays["mvpsim/header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=said):
        read_masks(path)
