"""The two loops that every product runs in: over panels of tokens, or for one token.

A matrix is the sum of three parts, each possibly empty; both loops add up all three.
"""

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from kernels.loops import panels, rows, segments, strips
from kernels.loops.counters import take
from kernels.loops.lines import LINE
from kernels.loops.simd import size, to_line, zeros

PANEL_BYTES = 1 << 18
"""Of activations packed at once: half of a small second cache (512 KiB)."""

SOURCES = sha256(
    b"".join(
        Path(__file__).with_name(f"{name}.py").read_bytes()
        for name in ("lines", "panels", "rows", "segments", "simd", "strips")
    )
).hexdigest()
"""Of what is compiled into the loops. Numba's cache looks for changes in this file only, but takes
the values that a function closes over for a part of its key."""


@cache
def many_tokens(lanes: int, count: int, side: int) -> Any:
    """The compiled loop for panels of `count` vectors of `lanes` tokens.

    side: 4, 8 or 16 outputs of a strip, or inputs of a segment, are multiplied at once; 0: the loop
        has the code for rows only.
    """
    sources = SOURCES
    has_long, has_8, has_4 = side > 0, side > 8, side > 4
    whole, eight, four = side * count, 8 * count, 4 * count

    @njit(cache=True, nogil=True)
    def multiply(
        shape: Any,
        chunk: int,
        height: int,
        strip_indptr: Any,
        strip_columns: Any,
        strip_values: Any,
        length: int,
        segment_indptr: Any,
        segment_rows: Any,
        segment_values: Any,
        block: int,
        row_indptr: Any,
        row_order: Any,
        row_columns: Any,
        row_values: Any,
        x: Any,
        x_stride: int,
        x_innermost: bool,
        out: Any,
        out_stride: int,
        out_innermost: bool,
        bias: Any,
        activation: int,
        counters: Any,
        mine: int,
        first_token: int,
        last_token: int,
    ) -> None:
        """Take pieces of work until there are none: threads share them.

        Each has its part of the rows, whose weights stay in its own cache, and a counter of the
        pieces that were taken of them. `mine` is the number of the thread; what others have not
        taken when it is finished, it takes too.
        """
        _ = sources
        outputs, inputs = shape
        vector = zeros(out, lanes, count)
        width = size(vector)
        padded = -(-inputs // 16) * 16
        blocks = max(1, -(-inputs // block))
        # A line of a panel is `width` tokens; whole panels that fit, but at least one.
        at_once = max(1, PANEL_BYTES // max(1, padded * width * out.itemsize)) * width
        at_once = min(at_once, -(-(last_token - first_token) // width) * width)
        # A vector that reaches over two lines of the cache takes twice as long to read.
        packed = np.empty(padded * at_once + LINE, out.dtype)
        packed = packed[to_line(packed) :]
        sums = np.empty(chunk * width + LINE, out.dtype)
        sums = sums[to_line(sums) :][: chunk * width]
        chunks = -(-outputs // chunk)
        groups = -(-(last_token - first_token) // at_once)
        filled, threads = -1, len(counters)
        for turn in range(threads):
            whose = (mine + turn) % threads
            begin, end = chunks * whose // threads, chunks * (whose + 1) // threads
            while True:
                number = take(counters, whose)
                if number >= groups * (end - begin):
                    break
                group, piece = number // (end - begin), begin + number % (end - begin)
                first = first_token + group * at_once
                last = min(first + at_once, last_token)
                if group != filled:
                    filled = group
                    panels.fill(
                        zeros(out, lanes, lanes),
                        zeros(out, lanes, 1),
                        zeros(out, 1, 1),
                        width,
                        x,
                        inputs,
                        padded,
                        x_stride,
                        x_innermost,
                        first,
                        last,
                        packed,
                    )
                row = piece * chunk
                here = min(chunk, outputs - row)
                for start in range(first, last, width):
                    panel = packed[(start - first) * padded :]
                    panels.begin(zeros(out, lanes, 1), sums, row, here, width, bias)
                    if has_long:
                        if len(strip_values):
                            strip, last_strip = row // height, -(-(row + here) // height)
                            arrays = (
                                strip_indptr,
                                strip_columns,
                                strip_values,
                                strip,
                                last_strip,
                                panel,
                                sums,
                            )
                            if height >= side:
                                strips.accumulate(zeros(out, lanes, whole), vector, height, *arrays)
                            if has_8 and height == 8:
                                strips.accumulate(zeros(out, lanes, eight), vector, height, *arrays)
                            if has_4 and height == 4:
                                strips.accumulate(zeros(out, lanes, four), vector, height, *arrays)
                        if len(segment_values):
                            pieces = (
                                segment_indptr,
                                segment_rows,
                                segment_values,
                                piece,
                                padded,
                                panel,
                                sums,
                            )
                            if length >= side:
                                segments.accumulate(
                                    zeros(out, lanes, whole), vector, length, *pieces
                                )
                            if has_8 and length == 8:
                                segments.accumulate(
                                    zeros(out, lanes, eight), vector, length, *pieces
                                )
                            if has_4 and length == 4:
                                segments.accumulate(
                                    zeros(out, lanes, four), vector, length, *pieces
                                )
                    if len(row_values):
                        rows.accumulate(
                            vector,
                            row_indptr,
                            row_order,
                            row_columns,
                            row_values,
                            piece,
                            blocks,
                            chunk,
                            panel,
                            sums,
                        )
                    panels.finish(sums, here * width, activation)
                    panels.write(
                        zeros(out, lanes, lanes),
                        zeros(out, lanes, 1),
                        width,
                        sums,
                        row,
                        here,
                        start,
                        min(width, last - start),
                        out,
                        out_stride,
                        out_innermost,
                    )

    return multiply


@cache
def one_token(lanes: int) -> Any:
    """The compiled loop for a single token, with vectors of `lanes` elements."""
    halves, quarters = max(1, 8 // lanes), max(1, 4 // lanes)
    sixteen, eight, four = max(1, 16 // lanes), min(lanes, 8), min(lanes, 4)
    sources = SOURCES

    @njit(cache=True, nogil=True)
    def multiply(
        height: int,
        strip_indptr: Any,
        strip_columns: Any,
        strip_values: Any,
        length: int,
        span_indptr: Any,
        span_order: Any,
        span_starts: Any,
        span_values: Any,
        block: int,
        row_indptr: Any,
        row_order: Any,
        row_columns: Any,
        row_values: Any,
        x: Any,
        out: Any,
        bias: Any,
        activation: int,
        first: int,
        last: int,
    ) -> None:
        _ = sources
        # Strips may reach over the last row, and spans over the last input.
        space = np.empty(-(-(last - first) // 16) * 16 + LINE, out.dtype)
        sums = space[to_line(space) :][: -(-(last - first) // 16) * 16]
        line = np.empty(-(-len(x) // 16) * 16 + LINE, out.dtype)
        line = line[to_line(line) :]
        panels.copy(zeros(out, lanes, 1), zeros(out, 1, 1), x, line, 0, len(x))
        for i in range(len(x), -(-len(x) // 16) * 16):
            line[i] = 0
        panels.begin(zeros(out, lanes, 1), sums, first, last - first, 1, bias)
        if len(strip_values):
            strip, end = first // height, (last + height - 1) // height
            arrays = (strip_indptr, strip_columns, strip_values, strip, end, line, sums)
            if height == 16:
                strips.accumulate_one(zeros(out, lanes, sixteen), *arrays)
            elif height == 8:
                strips.accumulate_one(zeros(out, eight, halves), *arrays)
            else:
                strips.accumulate_one(zeros(out, four, quarters), *arrays)
        if len(span_values):
            arrays = (
                span_indptr,
                span_order,
                span_starts,
                span_values,
                first,
                last,
                line,
                sums,
            )
            if length == 16:
                segments.accumulate_one(zeros(out, lanes, sixteen), *arrays)
            elif length == 8:
                segments.accumulate_one(zeros(out, eight, halves), *arrays)
            else:
                segments.accumulate_one(zeros(out, four, quarters), *arrays)
        if len(row_values):
            rows.accumulate_one(
                zeros(out, lanes, 1),
                zeros(out, 1, 1),
                row_indptr,
                row_columns,
                row_values,
                first,
                last,
                line,
                sums,
            )
        panels.finish(sums, last - first, activation)
        panels.copy(zeros(out, lanes, 1), zeros(out, 1, 1), sums, out, first, last - first)

    return multiply
