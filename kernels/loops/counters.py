"""Counters that several threads share, and the wait for one, for Numba."""

from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils
from numba.np.arrayobj import make_array

intrinsic: Any = extending.intrinsic  # Untyped, as in simd.py.


@intrinsic
def take(typing: Any, counters: Any, place: Any) -> Any:
    """counters[place], which is one more after it: no two threads are given the same number."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = builder.gep(make_array(counters)(context, builder, args[0]).data, [args[1]])
        return builder.atomic_rmw("add", at, ir.Constant(ir.IntType(64), 1), "seq_cst")

    return types.int64(counters, types.intp), generate


@intrinsic
def now(typing: Any, counter: Any) -> Any:
    """counter[0], read anew each time, for another thread may have written it."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = make_array(counter)(context, builder, args[0]).data
        return builder.load_atomic(at, "seq_cst", 8)

    return types.int64(counter), generate


@intrinsic
def pause(typing: Any) -> Any:
    """Tell the processor that the thread waits in a loop, where there is an instruction for it."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target = builder.module.triple
        if target.startswith("x86_64"):
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(
                cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), []
            )
        elif target.startswith(("aarch64", "arm64")):
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(32)])
            hint = cgutils.get_or_insert_function(builder.module, kind, "llvm.aarch64.hint")
            builder.call(hint, [ir.Constant(ir.IntType(32), 1)])  # YIELD
        return context.get_dummy_value()

    return types.void(), generate
