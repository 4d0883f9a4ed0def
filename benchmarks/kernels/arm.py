"""Are the kernels right on Arm? Compiled for it by LLVM, run in emulation, read for spills.

    apt-get install qemu-user gcc-aarch64-linux-gnu
    python -m benchmarks.kernels.arm [TEXT]          only cases whose name contains it

The loops of `kernels/loops/multiply.py` are compiled for AArch64 with the register tiles of NEON,
linked with a small C program that calls them, and run by `qemu-aarch64`; the outputs are compared
with a float64 product. The emulator says nothing about speed, which has not been measured. Of each
loop over multiply-adds it is printed how many instructions of which kind it has, and how many of
them are spills: vector registers that are written to the stack or read from it.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TRIPLE = "aarch64-unknown-linux-gnu"
CPU = "neoverse-n1"
TOOLS = ("qemu-aarch64", "aarch64-linux-gnu-gcc")
TOLERANCE = 1e-5
"""Of errors, relative to |W|·|x|."""

RUNTIME = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What of Numba's runtime the loops call: counted memory. */
typedef struct { size_t count; void *end, *end_info, *data; size_t size; void *by; } Memory;
void *NRT_MemInfo_alloc_safe_aligned(size_t size, uint32_t align) {
    Memory *memory = calloc(1, sizeof(Memory));
    memory->count = 1; memory->size = size;
    memory->data = aligned_alloc(align, (size / align + 1) * align);
    return memory;
}
void *NRT_MemInfo_alloc_aligned(size_t size, uint32_t align) {
    return NRT_MemInfo_alloc_safe_aligned(size, align);
}
void *NRT_Allocate(size_t size) { return malloc(size); }
void NRT_Free(void *at) { free(at); }
void NRT_MemInfo_call_dtor(Memory *memory) { free(memory->data); free(memory); }

static void *from(const char *name, size_t size) {
    void *at = malloc(size + 64);
    FILE *file = fopen(name, "rb");
    if (!file || fread(at, 1, size, file) != size) exit(3);
    fclose(file);
    return at;
}
static void to(const char *name, const void *at, size_t size) {
    FILE *file = fopen(name, "wb");
    if (!file || fwrite(at, 1, size, file) != size) exit(4);
    fclose(file);
}
"""


@dataclass(frozen=True)
class Case:
    """One product: pieces of `height` × `width` are kept with this density."""

    rows: int
    cols: int
    tokens: int
    height: int
    width: int
    density: float

    @property
    def name(self) -> str:
        return f"{self.height}×{self.width} pieces of {self.rows}×{self.cols}, {self.tokens} tokens"


CASES = tuple(
    Case(200, 341, tokens, height, width, 0.3)
    for height, width in ((1, 1), (16, 1), (1, 16))
    for tokens in (1, 4, 8, 17, 32, 61)
)


@dataclass(frozen=True)
class Loop:
    """An innermost loop over multiply-adds: how many of them, of loads, stores, and of spills."""

    multiply_adds: int
    loads: int
    stores: int
    spills: int


@dataclass(frozen=True)
class Checked:
    """error: the largest of an output, relative to |W|·|x|."""

    case: Case
    error: float
    loops: tuple[Loop, ...]


def missing() -> list[str]:
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def check(case: Case, folder: Path) -> Checked:
    """Compile the loops that a product runs, run them in emulation, and compare.

    To be called with NUMBA_OPT=0, so that it is LLVM's passes for Arm that see the code first.
    """
    from kernels import dispatcher, packing, products, vector_registers
    from kernels.loops import multiply
    from sparse_formats.formats.csr import CSR

    for module in (dispatcher, packing, products):
        setattr(module, "machine", lambda: vector_registers.NEON)  # noqa: B010
    rng = np.random.default_rng(0)
    pieces = (-(-case.rows // case.height), -(-case.cols // case.width))
    keep = (rng.random(pieces) < case.density).repeat(case.height, 0).repeat(case.width, 1)
    keep = keep[: case.rows, : case.cols]
    dense = np.where(keep, rng.standard_normal(keep.shape), 0).astype(np.float32)
    x = rng.standard_normal((case.cols, case.tokens)).astype(np.float32)
    calls: list[tuple[Any, tuple[Any, ...]]] = []
    found: list[NDArray[Any]] = []
    loops: list[Loop] = []

    class Recorded:
        """In place of a compiled loop: keeps its arguments, and runs it in emulation."""

        def __init__(self, loop: Any) -> None:
            self.loop = loop

        def __call__(self, *arguments: Any) -> None:
            calls.append((self.loop, arguments))
            assembly = _run(self.loop.py_func, arguments, folder)
            loops.extend(_loops(assembly))

    many, one = multiply.many_tokens, multiply.one_token
    compiled: Any = multiply
    compiled.many_tokens = lambda *shape: Recorded(many(*shape))
    compiled.one_token = lambda lanes: Recorded(one(lanes))
    products._panels.cache_clear()
    try:
        found.append(products.spmm(CSR.encode(keep, dense), x))
    finally:
        compiled.many_tokens, compiled.one_token = many, one
        products._panels.cache_clear()
    exact = dense.astype(np.float64) @ x
    size = np.abs(dense).astype(np.float64) @ np.abs(x)
    error = np.abs(found[0] - exact) / np.maximum(size, 1e-30)
    return Checked(case, float(error.max()), tuple(loops))


def _run(function: Any, arguments: Sequence[Any], folder: Path) -> str:
    """Run it in emulation; arrays among the arguments are changed as it changes them."""
    import numba
    from llvmlite import binding

    njit: Any = numba.njit  # Untyped: it knows nothing of options without a wrapper.
    compiled = njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    compiled.compile(tuple(numba.typeof(argument) for argument in arguments))
    ((signature, overload),) = compiled.overloads.items()
    code = compiled.inspect_llvm(signature)
    code = re.sub(r'target (triple|datalayout) = ".*"\n', "", code)
    code = re.sub(r'"target-(cpu|features)"="[^"]*"', "", code)
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine = binding.Target.from_triple(TRIPLE).create_target_machine(
        cpu=CPU, features="+neon", opt=3, reloc="pic"
    )
    module = binding.parse_assembly(code)
    module.triple, module.data_layout = TRIPLE, str(machine.target_data)
    tuning = binding.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = tuning.slp_vectorization = True
    builder = binding.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)
    name = overload.fndesc.llvm_func_name
    (folder / "loop.o").write_bytes(machine.emit_object(module))
    (folder / "main.c").write_text(RUNTIME + _main(name, arguments, folder), "utf-8")
    program = str(folder / "program")
    build = ["aarch64-linux-gnu-gcc", "-O1", "-static", "-w", "-o", program]
    subprocess.run([*build, str(folder / "main.c"), str(folder / "loop.o"), "-lm"], check=True)
    subprocess.run(["qemu-aarch64", program], check=True)
    for i, argument in enumerate(arguments):
        if isinstance(argument, np.ndarray) and argument.flags.writeable and argument.size:
            written = np.fromfile(folder / f"{i}.out", argument.dtype)
            argument[...] = written.reshape(argument.shape)
    return machine.emit_assembly(module)


def _main(name: str, arguments: Sequence[Any], folder: Path) -> str:
    """C that calls the function as Numba would: arrays of one axis as seven words."""
    words: list[str] = []
    lines: list[str] = []
    ends: list[str] = []
    for i, argument in enumerate(arguments):
        if isinstance(argument, np.ndarray):
            argument.tofile(folder / f"{i}.in")
            lines.append(f'void *a{i} = from("{folder}/{i}.in", {argument.nbytes});')
            words += ["0", "0", str(argument.size), str(argument.itemsize), f"(int64_t)a{i}"]
            words += [str(argument.size), str(argument.itemsize)]
            ends.append(f'to("{folder}/{i}.out", a{i}, {argument.nbytes});')
        else:
            words += [str(int(part)) for part in np.ravel(argument)]
    types = ", ".join(["void *", "void **"] + ["int64_t"] * len(words))
    call = ", ".join(["&result", "&error", *words])
    return "\n".join(
        [
            f'extern int loop({types}) __asm__("{name}");',
            "int main(void) {",
            "void *result = 0, *error = 0;",
            *lines,
            f"if (loop({call})) return 5;",
            *ends,
            "return 0; }",
        ]
    )


def _loops(assembly: str) -> list[Loop]:
    """The innermost loops that multiply: from a label to the branch back to it."""
    lines = [line.strip() for line in assembly.splitlines()]
    labels = {line.split(":")[0]: i for i, line in enumerate(lines) if re.match(r"\.L\w+:", line)}
    found: list[Loop] = []
    for end, line in enumerate(lines):
        target = re.match(r"(?:b\.?\w*|cbn?z|tbn?z)\s.*?(\.L\w+)$", line)
        if target is None or labels.get(target[1], end) >= end:
            continue
        body = lines[labels[target[1]] : end]
        if any(re.match(r"\.L\w+:", inside) for inside in body[1:]):
            continue
        products = sum(inside.startswith(("fmla", "fmadd")) for inside in body)
        if products:
            vectors = [i for i in body if re.match(r"(ldr|str|ldp|stp|ldur|stur)\s+[qds]\d", i)]
            found.append(
                Loop(
                    products,
                    sum(inside.startswith("ld") for inside in body),
                    sum(inside.startswith("st") for inside in body),
                    sum("[sp" in inside for inside in vectors),
                )
            )
    return found


def main() -> int:
    if lacking := missing():
        print(
            f"error: {', '.join(lacking)} missing; apt-get install qemu-user gcc-aarch64-linux-gnu"
        )
        return 2
    if os.environ.get("NUMBA_OPT") != "0":
        again = [sys.executable, "-m", "benchmarks.kernels.arm", *sys.argv[1:]]
        os.execve(sys.executable, again, os.environ | {"NUMBA_OPT": "0"})
    is_right = True
    for case in (case for case in CASES if "".join(sys.argv[1:]) in case.name):
        with tempfile.TemporaryDirectory() as folder:
            checked = check(case, Path(folder))
        is_right &= checked.error <= TOLERANCE
        spills = sum(loop.spills for loop in checked.loops)
        print(f"{case.name:48} error {checked.error:.1e}, {len(checked.loops)} loops", end="")
        print(f" with {sum(loop.multiply_adds for loop in checked.loops)} multiply-adds", end="")
        print(
            f" and {sum(loop.loads for loop in checked.loops)} loads, {spills} spills", flush=True
        )
    return int(not is_right)


if __name__ == "__main__":
    sys.exit(main())
