"""How long do many points take, and what do two processes save?

Run: python benchmarks/exploration/speed.py --mask out/demo/out.npz [--points 1000] [--jobs 1,2]

Different points of space_speed.toml at random, in a process of its own for each number of jobs. The
time of a study of one point, which loads the compiled code and reads the mask, is taken off: what
is left is the time after warm-up. CPU seconds are those of all processes together.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SPACE = Path(__file__).with_name("space_speed.toml")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mask", required=True, type=Path, help="made by `make demo`")
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--jobs", default="1,2")
    given = parser.parse_args()
    mask = given.mask.resolve()
    _taken(mask, 1, 1)  # compiles
    wall_1, cpu_1 = _taken(mask, 1, 1)
    print(f"warm-up: {wall_1:.1f} s, {cpu_1:.1f} CPU s", flush=True)
    first = 0.0
    for jobs in map(int, given.jobs.split(",")):
        wall, cpu = (
            all_ - warm
            for all_, warm in zip(_taken(mask, given.points, jobs), (wall_1, cpu_1), strict=True)
        )
        first = first or wall
        print(
            f"{given.points} points, {jobs} jobs: {wall:.1f} s ({first / wall:.2f} times as fast "
            f"as the first), {cpu:.1f} CPU s, {1000 * cpu / given.points:.0f} CPU ms a point",
            flush=True,
        )


def _taken(mask: Path, points: int, jobs: int) -> tuple[float, float]:
    """Seconds on the clock and CPU seconds of a study."""
    words = ["--space", str(SPACE), "--mask", str(mask), "--sampler", "random", "--study", "study"]
    words += ["--trials", str(points), "--jobs", str(jobs)]
    before, begun = _cpu(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "accel_sim", "explore", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
    return time.monotonic() - begun, _cpu() - before


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
