"""Masks as 64-bit words, one bit an entry: bit i of word w of a line is its entry 64·w + i."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

Words = NDArray[np.uint64]


def _trailing_zeros(typing_context: Any, word: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        # True: the result for 0 may be anything.
        return builder.cttz(arguments[0], cgutils.true_bit)

    return types.int64(types.uint64), generate


def _set_bits(typing_context: Any, word: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


def _prefetch(typing_context: Any, array: Any, item: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch")
        # To be read, to stay in the second-level cache, data.
        builder.call(fetch, [address, number(0), number(2), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.uint64), generate


trailing_zeros: Callable[[Any], int] = cast(Any, intrinsic(_trailing_zeros))
"""The place of the lowest set bit of a uint64 that is not 0: one instruction, compiled only."""

set_bits: Callable[[Any], int] = cast(Any, intrinsic(_set_bits))
"""How many bits of a uint64 are set: one instruction, compiled only."""

prefetch: Callable[[Any, Any], None] = cast(Any, intrinsic(_prefetch))
"""Have the cache line with item `item` of a C-contiguous array fetched, and go on meanwhile.

One instruction, compiled only. An item beyond the array is no error: it is not fetched.
"""


def words_by_row(keep: NDArray[np.bool_]) -> Words:
    """uint64 (rows, ⌈cols/64⌉) from a bool mask; bits beyond a row are 0."""
    rows, cols = keep.shape
    width = -(-cols // 64)
    packed = np.packbits(np.ascontiguousarray(keep), axis=1, bitorder="little")
    if cols % 64 == 0:
        return packed.view("<u8").reshape(rows, width)
    padded = np.zeros((rows, width * 8), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view("<u8")


def words_by_column(by_row: Words, cols: int) -> Words:
    """uint64 (cols, ⌈rows/64⌉) from the words of the rows."""
    rows = len(by_row)
    turned = np.empty((by_row.shape[1] * 64, -(-rows // 64)), np.uint64)
    _turn(by_row, turned)
    return turned[:cols]


@njit(cache=True)
def _turn(by_row: Words, turned: Words) -> None:
    block = np.empty(64, np.uint64)
    rows, width = by_row.shape
    for word in range(width):
        for first in range(0, rows, 64):
            height = min(64, rows - first)
            for i in range(64):
                block[i] = by_row[first + i, word] if i < height else np.uint64(0)
            turn_block(block)
            for i in range(64):
                turned[np.uint64(word * 64 + i), np.uint64(first >> 6)] = block[np.uint64(i)]


@njit(cache=True)
def prefetch_word(weight: NDArray[Any], item: Any) -> None:
    """`prefetch` the 64 weights from `item` on: those of one word of the mask."""
    for i in range(0, 64, 64 // weight.itemsize):
        prefetch(weight, item + np.uint64(i))


@njit(cache=True)
def turn_block(block: Words) -> None:
    """Transpose a 64×64 bit matrix in place: blocks of 32, then 16, … swapped across.

    Source: Warren, Hacker's Delight, 7-3.
    """
    # Six calls with constants, so that the compiler knows which words are apart and takes several
    # at once.
    _swap_across(block, 32, np.uint64(0x00000000FFFFFFFF))
    _swap_across(block, 16, np.uint64(0x0000FFFF0000FFFF))
    _swap_across(block, 8, np.uint64(0x00FF00FF00FF00FF))
    _swap_across(block, 4, np.uint64(0x0F0F0F0F0F0F0F0F))
    _swap_across(block, 2, np.uint64(0x3333333333333333))
    _swap_across(block, 1, np.uint64(0x5555555555555555))


@njit(cache=True)
def _swap_across(block: Words, half: int, mask: Any) -> None:
    shift = np.uint64(half)
    for first in range(0, 64, 2 * half):
        for i in range(first, first + half):
            upper, lower = np.uint64(i), np.uint64(i + half)
            swap = ((block[upper] >> shift) ^ block[lower]) & mask
            block[upper] ^= swap << shift
            block[lower] ^= swap
