"""Are the loops right on Arm? Compiled for it and run in emulation, where the tools are at hand."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.kernels import arm

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(bool(arm.missing()), reason="needs qemu-user and gcc-aarch64-linux-gnu")
def test_the_loops_are_right_on_arm_and_spill_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kernels.arm", "17 tokens"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3 and all(line.endswith(" 0 spills") for line in lines)


def test_a_vector_that_goes_to_the_stack_in_a_loop_is_a_spill() -> None:
    assembly = """
    str q1, [sp, #16]
    .LBB0_1:
    ldr q0, [x1], #16
    ldr q2, [sp, #32]
    fmla v3.4s, v0.4s, v2.s[0]
    str q3, [sp, #48]
    subs x2, x2, #1
    b.ne .LBB0_1
    """
    assert arm._loops(assembly) == [arm.Loop(multiply_adds=1, loads=2, stores=1, spills=2)]
