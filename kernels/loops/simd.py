"""Register tiles for Numba: a few vectors of one element type that stay in CPU registers.

Numba's own loops become 256-bit code with one or two sums in flight. A *tile* is `count` vectors of
`lanes` elements held as one value; LLVM splits it into registers, so a kernel written with tiles
reads like scalar Python and compiles to what one would write in C with vector intrinsics. Shapes
travel in the types: `load(tile, …)` gives another tile like `tile`. LLVM makes any width fit any
machine, in several registers or one element at a time, so a kernel is right everywhere, and fast
where `lanes` is the machine's own.

Arrays are one-dimensional and contiguous; offsets count elements and are trusted. Stored elements
may be narrower than the tile's and are widened as they are read; next to a floating tile `uint16`
stands for float16 bit patterns and `int16` for bfloat16 ones, which Numba has no types for.
"""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils
from numba.extending import models, register_model
from numba.np.arrayobj import make_array

from kernels.loops.lines import LINE

INSIDE: dict[str, Any] = {"nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of a function that only compiled code calls: it takes half as long to compile.

Without a wrapper, a call from Python crashes. Not cached: it is part of its callers, which are.
"""

# Untyped: what is called has neither the first parameter nor the result of what is written.
intrinsic: Any = extending.intrinsic
constant_intrinsic: Any = extending.intrinsic(prefer_literal=True)


class TileType(types.Type):
    """`count` vectors of `lanes` elements, as Numba knows it."""

    def __init__(self, element: types.Type, lanes: int, count: int) -> None:
        self.element, self.lanes, self.count = element, lanes, count
        super().__init__(name=f"Tile({element}, {lanes}, {count})")


@register_model(TileType)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager: Any, tile: TileType) -> None:
        vector = ir.VectorType(manager[tile.element].get_value_type(), tile.lanes)
        super().__init__(manager, tile, ir.ArrayType(vector, tile.count))


@constant_intrinsic
def zeros(typing: Any, array: Any, lanes: Any, count: Any) -> Any:
    """A tile of zeros with `array`'s element type; `lanes` and `count` are constants."""
    tile = TileType(array.dtype, lanes.literal_value, count.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(context.get_value_type(tile), None)

    return tile(array, lanes, count), generate


@intrinsic
def size(typing: Any, tile: Any) -> Any:
    """Elements of the tile: a constant."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(64), tile.lanes * tile.count)

    return types.intp(tile), generate


@intrinsic
def vectors(typing: Any, tile: Any) -> Any:
    """Vectors of the tile: a constant."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(64), tile.count)

    return types.intp(tile), generate


@intrinsic
def to_line(typing: Any, array: Any) -> Any:
    """Elements from `array[0]` on to the first that begins a line of the cache (64 bytes)."""
    bytes_each = array.dtype.bitwidth // 8

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start = make_array(array)(context, builder, args[0]).data
        address = builder.ptrtoint(start, ir.IntType(64))
        missing = builder.and_(builder.neg(address), _integer(LINE - 1))
        return builder.udiv(missing, _integer(bytes_each))

    return types.intp(array), generate


@intrinsic
def prefetch(typing: Any, array: Any, offset: Any) -> Any:
    """Ask for the line of `array[offset]`, which may lie beyond the end, before it is needed."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _pointer(context, builder, array, args[0], args[1])
        at = builder.bitcast(at, cgutils.voidptr_t)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t] + [ir.IntType(32)] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        # To read; into the first cache; data.
        builder.call(function, [at, _lane(0), _lane(3), _lane(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@intrinsic
def load(typing: Any, tile: Any, array: Any, offset: Any) -> Any:
    """The elements from `array[offset]` on, as many as `tile` has."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _pointer(context, builder, array, args[1], args[2])
        steps = [_integer(i * tile.lanes) for i in range(tile.count)]
        return _collect(context, tile, builder, array, [builder.gep(at, [step]) for step in steps])

    return tile(tile, array, types.intp), generate


@intrinsic
def load_rows(typing: Any, tile: Any, array: Any, offset: Any, stride: Any) -> Any:
    """One vector from each of `array[offset + i · stride]`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _pointer(context, builder, array, args[1], args[2])
        steps = [builder.mul(args[3], _integer(i)) for i in range(tile.count)]
        return _collect(context, tile, builder, array, [builder.gep(at, [step]) for step in steps])

    return tile(tile, array, types.intp, types.intp), generate


@intrinsic
def store(typing: Any, tile: Any, array: Any, offset: Any) -> Any:
    """Write the tile to `array[offset]` and on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _pointer(context, builder, array, args[1], args[2])
        steps = [_integer(i * tile.lanes) for i in range(tile.count)]
        _spread(builder, args[0], [builder.gep(at, [step]) for step in steps])
        return context.get_dummy_value()

    return types.void(tile, array, types.intp), generate


@intrinsic
def store_rows(typing: Any, tile: Any, array: Any, offset: Any, stride: Any) -> Any:
    """Write one vector to each of `array[offset + i · stride]`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _pointer(context, builder, array, args[1], args[2])
        steps = [builder.mul(args[3], _integer(i)) for i in range(tile.count)]
        _spread(builder, args[0], [builder.gep(at, [step]) for step in steps])
        return context.get_dummy_value()

    return types.void(tile, array, types.intp, types.intp), generate


@intrinsic
def outer(typing: Any, tile: Any, scalars: Any, first: Any, right: Any) -> Any:
    """tile + scalars[first …] ⊗ right: row i of the tile gets scalar i times `right`."""
    width = right.count

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _pointer(context, builder, scalars, args[1], args[2])
        value = args[0]
        for row in range(tile.count // width):
            left = _scalar(context, builder, tile, scalars, at, row)
            for i in range(width):
                place = row * width + i
                vector = builder.extract_value(args[3], i)
                total = _multiply_add(builder, left, vector, builder.extract_value(value, place))
                value = builder.insert_value(value, total, place)
        return value

    return tile(tile, scalars, types.intp, right), generate


@intrinsic
def inner(typing: Any, tile: Any, scalars: Any, first: Any, block: Any) -> Any:
    """tile + Σ scalars[first + i] · row i of `block`, whose rows are as many vectors as `tile`."""
    width = tile.count

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _pointer(context, builder, scalars, args[1], args[2])
        value = args[0]
        for row in range(block.count // width):
            left = _scalar(context, builder, tile, scalars, at, row)
            for i in range(width):
                right = builder.extract_value(args[3], row * width + i)
                total = _multiply_add(builder, left, right, builder.extract_value(value, i))
                value = builder.insert_value(value, total, i)
        return value

    return tile(tile, scalars, types.intp, block), generate


@intrinsic
def multiply_add(typing: Any, left: Any, right: Any, tile: Any) -> Any:
    """left · right + tile, element by element."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = args[2]
        for i in range(tile.count):
            a, b, c = (builder.extract_value(arg, i) for arg in args)
            value = builder.insert_value(value, _multiply_add(builder, a, b, c), i)
        return value

    return tile(tile, tile, tile), generate


@intrinsic
def gather(typing: Any, tile: Any, array: Any, places: Any, first: Any) -> Any:
    """array[places[first + i]] for each element i; `array` has the tile's element type."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        base = make_array(array)(context, builder, args[1]).data
        at = _pointer(context, builder, places, args[2], args[3])
        size = tile.lanes * tile.count
        if size % 4:
            single = [builder.load(builder.gep(at, [_integer(i)])) for i in range(size)]
            found = [builder.zext(place, ir.IntType(64)) for place in single]
        else:
            fours = [_four(builder, builder.gep(at, [_integer(i)])) for i in range(0, size, 4)]
            found = [place for each in fours for place in each]
        value = ir.Constant(context.get_value_type(tile), ir.Undefined)
        for i in range(tile.count):
            vector = ir.Constant(_vector(context, tile), ir.Undefined)
            for lane in range(tile.lanes):
                element = builder.load(builder.gep(base, [found[i * tile.lanes + lane]]))
                vector = builder.insert_element(vector, element, _lane(lane))
            value = builder.insert_value(value, vector, i)
        return value

    return tile(tile, array, places, types.intp), generate


@intrinsic
def add(typing: Any, left: Any, right: Any) -> Any:
    """left + right."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = args[0]
        for i in range(left.count):
            a, b = (builder.extract_value(arg, i) for arg in args)
            value = builder.insert_value(value, _sum(builder, a, b), i)
        return value

    return left(left, left), generate


@intrinsic
def total(typing: Any, tile: Any) -> Any:
    """The sum of all elements, added in pairs."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts = [builder.extract_value(args[0], i) for i in range(tile.count)]
        while len(parts) > 1:
            pairs = list(zip(parts[::2], parts[1::2], strict=False))
            rest = parts[2 * len(pairs) :]
            parts = [_sum(builder, a, b) for a, b in pairs] + rest
        vector, width = parts[0], tile.lanes
        undefined = ir.Constant(vector.type, ir.Undefined)
        while width > 1:
            width //= 2
            upper = _shuffle(builder, vector, undefined, range(width, 2 * width))
            lower = _shuffle(builder, vector, undefined, range(width))
            vector = _sum(builder, lower, upper)
            undefined = ir.Constant(vector.type, ir.Undefined)
        return builder.extract_element(vector, _lane(0))

    return tile.element(tile), generate


@intrinsic
def transpose(typing: Any, tile: Any) -> Any:
    """A tile of as many vectors as lanes, with rows and columns exchanged."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes = tile.lanes
        rows = [builder.extract_value(args[0], i) for i in range(lanes)]
        distance = 1
        while distance < lanes:
            # Squares of this side swap across the diagonal of squares twice as wide.
            upper = [j if not j & distance else lanes + j - distance for j in range(lanes)]
            lower = [j + distance if not j & distance else lanes + j for j in range(lanes)]
            for i in range(lanes):
                if not i & distance:
                    a, b = rows[i], rows[i + distance]
                    rows[i] = _shuffle(builder, a, b, upper)
                    rows[i + distance] = _shuffle(builder, a, b, lower)
            distance *= 2
        value = args[0]
        for i, row in enumerate(rows):
            value = builder.insert_value(value, row, i)
        return value

    return tile(tile), generate


@intrinsic
def increase(typing: Any, array: Any, place: Any, value: Any) -> Any:
    """`array[place] += value`, without a test for a negative place."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _pointer(context, builder, array, args[0], args[1])
        builder.store(_sum(builder, builder.load(at), args[2]), at)
        return context.get_dummy_value()

    return types.void(array, types.intp, array.dtype), generate


@intrinsic
def item(typing: Any, array: Any, place: Any) -> Any:
    """`array[place]` of an unsigned array as an intp, without a test for a negative place."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        loaded = builder.load(_pointer(context, builder, array, args[0], args[1]))
        return builder.zext(loaded, ir.IntType(64))

    return types.intp(array, types.intp), generate


@intrinsic
def four(typing: Any, array: Any, place: Any) -> Any:
    """`array[place]` and the next three, of an unsigned array, as intps."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _pointer(context, builder, array, args[0], args[1])
        return context.make_tuple(builder, signature.return_type, _four(builder, at))

    return types.UniTuple(types.intp, 4)(array, types.intp), generate


def _four(builder: Any, at: Any) -> list[Any]:
    """The four unsigned integers at `at`, widened to 64 bits.

    Those of 16 bits are read by one load and taken apart by shifts: what bounds a product of single
    weights is how many loads the processor begins in a cycle.
    """
    whole, bits = ir.IntType(64), at.type.pointee.width
    if bits != 16:
        return [builder.zext(builder.load(builder.gep(at, [_integer(i)])), whole) for i in range(4)]
    word = builder.load(builder.bitcast(at, whole.as_pointer()), align=2)
    shifted = [builder.lshr(word, _integer(16 * i)) for i in range(4)]
    return [builder.and_(part, _integer(0xFFFF)) for part in shifted]


def _integer(value: int) -> Any:
    return ir.Constant(ir.IntType(64), value)


def _lane(value: int) -> Any:
    return ir.Constant(ir.IntType(32), value)


def _vector(context: Any, tile: TileType) -> Any:
    return context.get_value_type(tile).element


def _pointer(context: Any, builder: Any, kind: Any, array: Any, offset: Any) -> Any:
    return builder.gep(make_array(kind)(context, builder, array).data, [offset])


def _collect(
    context: Any, tile: TileType, builder: Any, array: Any, pointers: Sequence[Any]
) -> Any:
    """A tile of the vectors at `pointers`, at any alignment, widened."""
    stored = ir.VectorType(context.get_data_type(array.dtype), tile.lanes).as_pointer()
    value = ir.Constant(context.get_value_type(tile), ir.Undefined)
    for i, pointer in enumerate(pointers):
        vector = builder.load(builder.bitcast(pointer, stored), align=1)
        vector = _widen(builder, vector, array.dtype, _vector(context, tile))
        value = builder.insert_value(value, vector, i)
    return value


def _spread(builder: Any, value: Any, pointers: Sequence[Any]) -> None:
    vector = value.type.element.as_pointer()
    for i, pointer in enumerate(pointers):
        at = builder.bitcast(pointer, vector)
        builder.store(builder.extract_value(value, i), at, align=1)


def _scalar(context: Any, builder: Any, tile: TileType, kind: Any, at: Any, place: int) -> Any:
    """Element `place` behind `at`, in all lanes of a vector of the tile."""
    vector = _vector(context, tile)
    stored = builder.load(builder.gep(at, [_integer(place)]))
    scalar = _widen(builder, stored, kind.dtype, vector.element)
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, _lane(0))
    return _shuffle(builder, first, undefined, [0] * tile.lanes)


def _shuffle(builder: Any, a: Any, b: Any, places: Sequence[int]) -> Any:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), [_lane(i) for i in places])
    return builder.shuffle_vector(a, b, mask)


def _widen(builder: Any, value: Any, stored: types.Type, wanted: Any) -> Any:
    is_vector = isinstance(wanted, ir.VectorType)
    element = wanted.element if is_vector else wanted
    if value.type == wanted:
        return value
    if isinstance(element, ir.IntType):
        return builder.sext(value, wanted)
    if stored == types.int16:
        bits: Any = ir.IntType(32)
        bits = ir.VectorType(bits, wanted.count) if is_vector else bits
        sixteen: Any = [_lane(16)] * wanted.count if is_vector else 16
        single: Any = ir.VectorType(ir.FloatType(), wanted.count) if is_vector else ir.FloatType()
        high = builder.shl(builder.zext(value, bits), ir.Constant(bits, sixteen))
        high = builder.bitcast(high, single)
        return high if single == wanted else builder.fpext(high, wanted)
    if stored == types.uint16:
        half: Any = ir.VectorType(ir.HalfType(), wanted.count) if is_vector else ir.HalfType()
        return builder.fpext(builder.bitcast(value, half), wanted)
    if isinstance(stored, types.Integer):
        return builder.sitofp(value, wanted)
    return builder.fpext(value, wanted)


def _sum(builder: Any, a: Any, b: Any) -> Any:
    is_integer = isinstance(getattr(a.type, "element", a.type), ir.IntType)
    return builder.add(a, b) if is_integer else builder.fadd(a, b)


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a·b + c, rounded once where the machine can."""
    vector = a.type
    if isinstance(vector.element, ir.IntType):
        return builder.add(builder.mul(a, b), c)
    kind = "f64" if isinstance(vector.element, ir.DoubleType) else "f32"
    # Not llvm.fma: where no instruction does it, that is a call of the C library per element.
    name = f"llvm.fmuladd.v{vector.count}{kind}"
    fused = ir.FunctionType(vector, [vector] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, fused, name), [a, b, c])
