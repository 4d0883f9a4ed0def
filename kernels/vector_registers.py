"""The vector registers that the compiled kernels may use."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Machine:
    """bytes: of one vector register. registers: how many. has_half: float16 in hardware."""

    name: str
    bytes: int
    registers: int
    has_half: bool

    def lanes(self, dtype: np.dtype[Any]) -> int:
        """Elements of `dtype` in one register."""
        return self.bytes // dtype.itemsize

    def side(self, vectors: int) -> int:
        """Outputs (16, 8 or 4) whose sums stay in registers together, for so many vectors each.

        0 where not even 4 do.
        """
        # Beside them there must be room for the vectors of one input, and for one weight.
        fitting = (side for side in (16, 8, 4) if (side + 1) * vectors < self.registers)
        return next(fitting, 0)

    @property
    def chunk(self) -> int:
        """Rows whose sums are kept at once: those of the widest tile stay in the first cache.

        Divisible by 16, and so that the usual 384, 768, 1536, 3072 rows make equal halves.
        """
        return 96 if self.registers == 32 else 192


NEON = Machine("NEON", 16, 32, True)


@cache
def machine() -> Machine:
    """Where Numba compiles for: its host, or what NUMBA_CPU_FEATURES says."""
    from numba.core.registry import cpu_target

    context: Any = cpu_target.target_context
    triple, _, told = context.codegen().magic_tuple()
    features = told.split(",")
    if triple.startswith(("aarch64", "arm64")):
        # Also where there is SVE, whose registers are no longer on most processors. The conversion
        # of float16 is part of the base.
        return NEON
    has_half = "+f16c" in features
    if "+avx512f" in features:
        return Machine("AVX-512", 64, 32, has_half)
    if "+avx2" in features:
        return Machine("AVX2", 32, 16, has_half)
    return Machine("128-bit", 16, 16, has_half)
