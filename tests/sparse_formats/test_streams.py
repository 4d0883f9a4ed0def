"""Is a stream as long as its storage, does it give the matrix back, is a damaged one refused?"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.formats.bsr import BSR
from sparse_formats.formats.csr import CSR
from sparse_formats.formats.dense import Dense
from sparse_formats.formats.hierarchical_n_m import HierarchicalNM
from sparse_formats.formats.lane_select import LaneSelect
from sparse_formats.formats.mixed_vectors import MixedVectors
from sparse_formats.formats.n_m import NM
from sparse_formats.formats.n_m_or_dense import NMOrDense
from sparse_formats.formats.parts.bitstream import BitReader, Section, flags, pack, read_flags
from sparse_formats.formats.parts.descriptor import Descriptor
from sparse_formats.formats.parts.value_types import VALUE_TYPES
from sparse_formats.formats.parts.zero_runs import Runs
from sparse_formats.formats.registry import FORMATS
from sparse_formats.formats.relative_csc import RelativeCSC
from sparse_formats.formats.run_length import RunLength
from sparse_formats.formats.sa_rcsc import SARCSC
from sparse_formats.formats.sum_n_m import SumNM
from sparse_formats.formats.two_level import TwoLevel
from sparse_formats.formats.vector_wise import VectorWise
from sparse_formats.formats.xor_net import XorNet
from tests.sparse_formats.slot_masks import hierarchical, selected, whole_or_n_m

# Small parameters, so that small matrices reach every rule. All keys of FORMATS and some more.
VARIANTS: dict[str, tuple[Any, dict[str, int]]] = {
    **{name: (cls, {}) for name, cls in FORMATS.items()},
    "relative_csc on 3 elements": (RelativeCSC, {"run_bits": 2, "pes": 3}),
    "run_length of 1 bit": (RunLength, {"run_bits": 1}),
    "1:3": (NM, {"kept": 1, "length": 3}),
    "3:8": (NM, {"kept": 3, "length": 8}),
    "1 of 2": (VectorWise, {"kept": 1, "length": 2}),
    "2:3 groups of 1:3": (
        HierarchicalNM,
        {"groups": 2, "of_groups": 3, "count": 1, "length": 3},
    ),
    "1:3 + 1:6": (SumNM, {"count": 1, "length": 3, "further": 1, "of": 6}),
    "3:5 or 2 dense rows": (NMOrDense, {"count": 3, "length": 5, "height": 2}),
    "blocks of 3": (BSR, {"block": 3}),
    "sa_rcsc of 3 sets": (SARCSC, {"sets": 3, "window": 5}),
    "two levels of 3": (TwoLevel, {"length": 3}),
    "3 lanes that select of 3": (LaneSelect, {"lanes": 3, "choices": 3}),
    "xor_net of one word": (XorNet, {"outputs": 11, "memory": 0}),
}
TYPES = tuple(VALUE_TYPES)


def fitted(variant: str, keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask near `keep` that the variant can hold."""
    cls, given_ = VARIANTS[variant]
    (rows, cols), keep = keep.shape, keep.copy()
    if cls is BSR:
        block = given_.get("block", 16)
        return np.kron(keep[::block, ::block], np.ones((block, block), bool))[:rows, :cols]
    if cls in (NM, VectorWise):
        most = given_.get("kept", 2 if cls is NM else 3)
        length = given_.get("length", 4 if cls is NM else 16)
        for first in range(0, cols, length):
            group = keep[:, first : first + length]
            if (cls is VectorWise and group.shape[1] == min(length, cols)) or most == 1:
                group[:] = np.argsort(np.argsort(~group, axis=1, kind="stable"), axis=1) < most
            group[np.cumsum(group, axis=1) > most] = False
    if cls is HierarchicalNM:
        groups, of_groups, count, length = given_.values() if given_ else (4, 8, 2, 4)
        return hierarchical(keep, groups, of_groups, count, length)
    if cls is NMOrDense:
        count, length, height = given_.values() if given_ else (2, 4, 16)
        return whole_or_n_m(keep, count, length, height)
    if cls is LaneSelect:
        is_vertical = bool(keep.sum() % 2)
        return selected(keep, given_.get("lanes", 16), given_.get("choices", 4), is_vertical)
    return keep


def drawn(
    variant: str, shape: tuple[int, int], density: float, seed: int, value_type: str
) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """A mask that fits and random weights, every bit pattern among them but zero."""
    rng = np.random.default_rng(seed)
    keep = fitted(variant, rng.random(shape) < density)
    typed = VALUE_TYPES[value_type]
    dtype = np.dtype(typed.dtype)
    bits = rng.integers(1, 1 << min(typed.bits, 63), shape, np.uint64)
    weight = bits.astype(f"u{dtype.itemsize}")
    if value_type == "int4":
        weight = ((weight << 4).astype(np.uint8).view(np.int8) >> np.int8(4)).view(np.uint8)
    weight[~keep] = 0
    return keep, weight.view(dtype)


def encoded(variant: str, keep: NDArray[np.bool_], weight: NDArray[Any] | None) -> Any:
    cls, given_ = VARIANTS[variant]
    return cls.encode(keep, weight, **given_)


cases = st.tuples(
    st.sampled_from(sorted(VARIANTS)),
    st.tuples(st.integers(0, 40), st.integers(0, 140)),
    st.sampled_from([0.0, 0.05, 0.3, 0.7, 1.0]),
    st.integers(0, 2**32 - 1),
    st.sampled_from(TYPES),
)


@given(cases)
@settings(max_examples=3 * settings().max_examples)
def test_is_it_as_long_as_its_storage_and_gives_the_matrix_back(case: Any) -> None:
    variant, value_type = case[0], case[4]
    keep, weight = drawn(*case)
    matrix = encoded(variant, keep, weight)
    stream = matrix.to_bytes(value_type)
    bits = VALUE_TYPES[value_type].bits
    assert len(stream) == -(-matrix.storage(bits).bits // 8)
    again = type(matrix).from_bytes(stream, matrix.descriptor(value_type))
    kept, weights = again.decode()
    assert kept.tobytes() == keep.tobytes()
    assert weights.dtype == weight.dtype and weights.tobytes() == weight.tobytes()
    assert again.to_bytes(value_type) == stream
    assert again.storage(16) == matrix.storage(16)


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_is_a_mask_without_weights_packed(variant: str) -> None:
    keep, _ = drawn(variant, (21, 70), 0.5, 3, "int8")
    matrix = encoded(variant, keep, None)
    try:
        stream = matrix.to_bytes()
    except InputError as error:
        # Formats that tell padding, or what is dropped, by the value.
        assert any(word in str(error) for word in ("without a value", "cannot distinguish"))
        return
    assert len(stream) == -(-matrix.storage(0).bits // 8)
    kept, weights = type(matrix).from_bytes(stream, matrix.descriptor()).decode()
    assert weights is None and (kept == keep).all()


@given(cases, st.data())
@settings(max_examples=5 * settings().max_examples)
def test_is_a_damaged_stream_refused_or_another_matrix(case: Any, data: st.DataObject) -> None:
    variant, value_type = case[0], case[4]
    matrix = encoded(variant, *drawn(*case))
    stream = bytearray(matrix.to_bytes(value_type))
    damage = data.draw(st.sampled_from(["bits", "cut", "longer", "random"]))
    if damage == "bits" and stream:
        for place in data.draw(st.lists(st.integers(0, len(stream) * 8 - 1), max_size=3)):
            stream[place // 8] ^= 1 << place % 8
    elif damage == "cut":
        stream = stream[: data.draw(st.integers(0, len(stream)))]
    elif damage == "longer":
        stream += data.draw(st.binary(min_size=1, max_size=9))
    elif damage == "random":
        stream = bytearray(data.draw(st.binary(max_size=len(stream) + 8)))
    refused_or_canonical(variant, bytes(stream), matrix.descriptor(value_type), value_type)


@given(
    st.sampled_from(sorted(VARIANTS)),
    st.binary(max_size=200),
    st.sampled_from(TYPES),
    st.integers(0, 9),
)
@settings(max_examples=3 * settings().max_examples)
def test_are_any_bytes_refused_or_a_matrix(
    variant: str, stream: bytes, value_type: str, seed: int
) -> None:
    matrix = encoded(variant, *drawn(variant, (7, 33), 0.3, seed, value_type))
    refused_or_canonical(variant, stream, matrix.descriptor(value_type), value_type)


def refused_or_canonical(
    variant: str, stream: bytes, descriptor: Descriptor, value_type: str
) -> None:
    """Nothing but an InputError that names a place, or the only stream of the matrix decoded."""
    cls, given_ = VARIANTS[variant]
    try:
        matrix = cls.from_bytes(stream, descriptor)
    except InputError as error:
        assert "bit " in str(error) and "byte " in str(error)
        return
    assert matrix.to_bytes(value_type) == stream
    keep, weight = matrix.decode()
    if cls is VectorWise:
        given_ = {"kept": matrix.kept, "length": matrix.length}
    if cls is MixedVectors:
        again = cls.encode(keep, weight, matrix.vectors)
    elif cls in (TwoLevel, LaneSelect):
        again = cls.encode(keep, weight, slots=matrix.slots)
    else:
        again = cls.encode(keep, weight, **given_)
    if cls is Dense or cls in (RelativeCSC, RunLength, XorNet):
        # A dropped weight is told by the value there: the descriptor may come out another. Of
        # xor_net many streams give the same weights.
        assert again.decode()[0].tobytes() == keep.tobytes()
        return
    assert again.to_bytes(value_type) == stream


def test_where_do_bits_stand() -> None:
    # 5 in 3 bits, 1 in 1, then 0x12 in 8: from the lowest bit 101 1 01001000 → 1101 | 0010 0001.
    sections = [Section(np.array([5]), 3), Section(np.array([1]), 1), Section(np.array([0x12]), 8)]
    assert pack(sections) == bytes([0b0010_1101, 0b0000_0001])
    reader = BitReader(pack(sections), "here")
    assert [int(reader.read("x", 1, width, np.int64)[0]) for width in (3, 1, 8)] == [5, 1, 0x12]
    reader.finish()


@given(st.lists(st.tuples(st.integers(0, 64), st.integers(0, 2**64 - 1)), max_size=60))
def test_does_every_width_come_back(fields: list[tuple[int, int]]) -> None:
    widths = np.array([width for width, _ in fields], np.uint8)
    numbers = np.array([number % 2**width for width, number in fields], np.uint64)
    # The oracle: one big number.
    whole = sum(
        int(n) << int(at)
        for n, at in zip(numbers, np.cumsum(widths, dtype=int) - widths, strict=True)
    )
    bits = int(widths.sum(dtype=int))
    stream = pack([Section(numbers, widths)])
    assert stream == whole.to_bytes(-(-bits // 8), "little")
    assert stream == pack([Section(numbers[i : i + 1], int(w)) for i, w in enumerate(widths)])
    reader = BitReader(stream, "here")
    assert (reader.read_each("x", widths, np.uint64) == numbers).all()
    reader.finish()


@given(st.lists(st.booleans(), max_size=200))
def test_do_flags_come_back(every: list[bool]) -> None:
    stream = pack(flags(np.array(every, np.bool_)))
    assert len(stream) == -(-len(every) // 8)
    assert read_flags(BitReader(stream, "here"), "x", len(every)).tolist() == every


KEEP = np.array([[True, True, False, False], [False, False, False, True]])
WEIGHT = np.where(KEEP, np.array([[1, 2, 0, 0], [0, 0, 0, 3]]), 0).astype(np.int8)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        # Pointers 0, 2, 3 of 2 bits (bits 0..5); columns 0, 1, 3 of 2 bits (6..11); values from 12.
        (lambda s: s ^ 0b1, "bit 0 (byte 0) of the stream: the first pointer must be 0, found 1"),
        (lambda s: s ^ 0b110000, "bit 4 (byte 0) of the stream: pointer 2 falls from 2 to 0"),
        (lambda s: s ^ 1 << 8, "bit 8 (byte 1) of the stream: index 0 does not ascend from 0"),
        (lambda s: s | 1 << 39, "bit 39 (byte 4) of the stream: the last byte must be filled up"),
    ],
)
def test_which_bit_is_named(change: Any, says: str) -> None:
    matrix = CSR.encode(KEEP, WEIGHT)
    stream = int.from_bytes(matrix.to_bytes(), "little")
    assert matrix.storage(8).bits == 36
    with pytest.raises(InputError) as caught:
        CSR.from_bytes(change(stream).to_bytes(5, "little"), matrix.descriptor())
    assert says in str(caught.value)


@pytest.mark.parametrize("length", [4, 6])
def test_is_a_stream_of_another_length_refused(length: int) -> None:
    matrix = CSR.encode(KEEP, WEIGHT)
    stream = (matrix.to_bytes() + b"\0")[:length]
    with pytest.raises(InputError, match=r"bit \d+ \(byte \d\)"):
        CSR.from_bytes(stream, matrix.descriptor())


def test_does_a_kept_zero_that_looks_like_padding_say_so() -> None:
    # 15 dropped, then a kept zero: EIE's stream would say (15, 0), which is a padding zero.
    keep = np.zeros((17, 1), np.bool_)
    keep[15:] = True
    weight = np.zeros((17, 1), np.float16)
    for cls in (RelativeCSC, RunLength):
        matrix = cls.encode(keep, weight)
        assert (matrix.decode()[0] == keep).all()
        with pytest.raises(InputError, match="a kept zero behind exactly 15 dropped weights"):
            matrix.to_bytes()
        assert (cls.encode(keep, weight, run_bits=5).decode()[0] == keep).all()
        cls.encode(keep, weight, run_bits=5).to_bytes()
    with pytest.raises(InputError, match="kept zero at row 15, column 0"):
        Dense.encode(keep, weight).to_bytes()


def test_is_eies_example_encoded_as_published() -> None:
    # EIE, section III: [0,0,1,2,0×18,3] is stored as v = [1,2,0,3], z = [2,0,15,2].
    column = np.array([0, 0, 1, 2, *[0] * 18, 3], np.int8)[:, None]
    matrix = RelativeCSC.encode(column != 0, column)
    assert matrix.entries.runs.tolist() == [2, 0, 15, 2]
    assert matrix.data is not None and matrix.data.tolist() == [1, 2, 0, 3]
    # Three values of 4 + 4 bits, one padding entry of 8, two pointers of ⌈log2 5⌉ = 3.
    storage = matrix.storage(4)
    assert (storage.values, storage.indices, storage.padding, storage.pointers) == (12, 12, 8, 6)


@pytest.mark.parametrize("cls", [RelativeCSC, RunLength])
def test_is_padding_behind_the_last_entry_refused(cls: Any) -> None:
    # The same column without its last entry: what follows an entry is dropped, and needs no 15, 0.
    column = np.array([0, 0, 1, 2, *[0] * 18, 3], np.int8)[:, None]
    whole = cls.encode(column != 0, column)
    three = Runs(np.array([0, 3]), whole.entries.runs[:3], whole.entries.is_padding[:3])
    cut = replace(whole, entries=three, data=whole.data[:3])
    with pytest.raises(InputError, match="is padding that ends it"):
        cls.from_bytes(cut.to_bytes(), cut.descriptor())


@pytest.mark.parametrize(
    ("variant", "says"),
    [
        ("n_m", "mask is not 2:4: row 1, columns 4..7 keep 3; prune with pattern"),
        ("1:3", r"mask is not 1:3: row 0, columns 0..2 keep 0; with one slot"),
        ("vector_wise", r"mask is not 0:16: row 1, columns 0..8 keep 3"),
        ("2:3 groups of 1:3", r"mask is not 2:3 groups of 1:3: row 1, columns 3..5 keep 2; prune"),
        ("blocks of 3", r"not made of 3×3 blocks: rows 0..1, columns 3..5 keep 2 of 6"),
    ],
)
def test_where_does_a_mask_break_the_rule(variant: str, says: str) -> None:
    keep = np.zeros((2, 9), np.bool_)
    keep[1, 4:7] = True
    with pytest.raises(InputError, match=says):
        encoded(variant, keep, None)


@pytest.mark.parametrize(
    ("weight", "name", "says"),
    [
        (WEIGHT, "int3", "unknown value type 'int3'"),
        (WEIGHT.astype(np.int32), None, "cannot be packed as any known type"),
        (WEIGHT, "float16", "cannot be packed as float16; convert them to float16"),
        (WEIGHT * np.int8(9), "int4", "int4 holds −8 … 7, found 0 … 27|found 9"),
        (None, "int4", "encoded without weights"),
    ],
)
def test_what_does_a_wrong_value_type_say(weight: Any, name: str | None, says: str) -> None:
    with pytest.raises(InputError, match=says):
        CSR.encode(KEEP, weight).to_bytes(name)


@pytest.mark.parametrize("name", ["entries", "nothing"])
@pytest.mark.parametrize("value", [-1, 10**12, 1.5, None])
def test_is_a_wrong_descriptor_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError, match="descriptor: entries is"):
        CSR.from_bytes(b"", Descriptor((2, 4), None, {name: value}))
