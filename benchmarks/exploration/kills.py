"""Is a point lost, or simulated twice, when a study or one of its processes is killed?

Run: python benchmarks/exploration/kills.py [--count 20] [--sampler nsga2] [--points 40] [--jobs 2]

A study is killed (SIGKILL) after a random number of further points, and a random moment more,
until it was killed so often; each time it is started again. By turns the study itself is killed, or
one of the processes that it forked, which the study must survive. What the record holds after each
kill must be a beginning of what an undisturbed study writes; in the end all files must be the same
bytes.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from accel_sim.commands.explore import RECORD

ROOT = Path(__file__).parents[2]
STUDY = "study"
NEWLINE = b"\n"
SPACE = (
    *("--shapes", "512x512,512x512", "--density", "0.2"),
    *("--vary", "array.lanes=8,16,32", "--vary", "array.pe_rows=4,8,12,16"),
    *("--vary", "queue.depth_entries=2,4,8,16"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--sampler", default="nsga2")
    parser.add_argument("--points", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    words = ["--sampler", given.sampler, "--trials", str(given.points), "--jobs", str(given.jobs)]
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as made:
        alone, killed = Path(made, "alone"), Path(made, "killed")
        for folder in (alone, killed):
            folder.mkdir()
        _run(words, alone)
        whole = _files(alone)
        record = (alone / STUDY / RECORD).read_bytes()
        kills = of_workers = starts = ends = 0
        while kills < given.count:
            starts += 1
            process = _start(words, killed)
            is_worker = given.jobs > 1 and kills % 2 == 1
            _wait(process, killed, draw)
            if is_worker:
                hit = _kill_a_worker(process, draw)
                assert process.wait() == 0, "the study did not survive the death of a process"
                kills, of_workers = kills + hit, of_workers + hit
            else:
                process.kill()
                kills += process.wait() < 0
            found = _record(killed)
            print(f"{kills} of {given.count} kills, {found.count(NEWLINE)} points", flush=True)
            assert record.startswith(found[: found.rfind(NEWLINE) + 1]), (
                "a point is lost or changed"
            )
            if process.returncode == 0:  # it came to its end: begin anew
                assert _files(killed) == whole, "the study differs from an undisturbed one"
                ends += 1
                shutil.rmtree(killed / STUDY)
        _run(words, killed)
        assert _files(killed) == whole, "the study differs from an undisturbed one"
    print(
        f"{kills} kills, {of_workers} of them of a worker, in {starts} starts, {ends + 1} of which "
        f"came to their end: no point of {given.points} was lost, changed or there twice"
    )


def _start(words: list[str], folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "accel_sim", "explore", *SPACE, *words, "--study", STUDY]
    path = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=folder, env=path, stdout=subprocess.DEVNULL)


def _run(words: list[str], folder: Path) -> None:
    """An undisturbed study."""
    assert _start(words, folder).wait() == 0


def _wait(process: subprocess.Popen[bytes], folder: Path, draw: random.Random) -> None:
    """Until a random number of further points is kept, or the study writes its files; then a bit.

    Moments of a clock would fall before the first point or behind the last one, mostly.
    """
    points = _record(folder).count(NEWLINE) + draw.randint(0, 6)
    while process.poll() is None and _record(folder).count(NEWLINE) < points:
        if (folder / STUDY / "explore.json").exists():
            break
        time.sleep(0.002)
    time.sleep(draw.uniform(0, 0.2))


def _kill_a_worker(process: subprocess.Popen[bytes], draw: random.Random) -> int:
    """Whether there was one to kill; waits for it while the study runs."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        try:
            found = children.read_text().split()
        except OSError:
            break
        if found:
            os.kill(int(draw.choice(found)), signal.SIGKILL)
            return 1
        time.sleep(0.01)
    return 0


def _record(folder: Path) -> bytes:
    path = folder / STUDY / RECORD
    return path.read_bytes() if path.exists() else b""


def _files(folder: Path) -> dict[str, bytes]:
    study = folder / STUDY
    return {str(p.relative_to(study)): p.read_bytes() for p in study.rglob("*") if p.is_file()}


if __name__ == "__main__":
    main()
