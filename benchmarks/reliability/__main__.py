"""Kill the real commands at random moments, and look at what they leave.

    python -m benchmarks.reliability kills [--count 200] [--model FOLDER]

After each kill, the output must be the old one or the new one, whole, with nothing left over once
the next reader was there. With --model, a Hugging Face folder, `shrink` is killed too.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sparse_formats.files.leftovers import PREFIX
from sparse_formats.files.mask_file import read_masks
from sparse_formats.files.output_folder import MANIFEST, check_owned, read_manifest, settle

SHAPES = {"encoder.0.attention.query": (48, 32), "encoder.0.output.dense": (32, 64)}


def commands(folder: Path, model: Path | None) -> dict[str, list[str]]:
    """The words of each command; {} stands for a number that changes from run to run."""
    mask, weights = f"{folder / 'mask.npz'}", f"{folder / 'weights.npz'}"
    found = {
        "run": ["accel_sim", "run", "--mask", mask, "--tokens", "{}", "--out"],
        "compare": ["accel_sim", "compare", "--mask", mask, "--tokens", "{}", "--out"],
        "inspect": ["sparse_formats", "inspect", "--mask", mask, "--value-bits", "{}", "--plot"],
        "prune": ["pruning", "prune", "--model", weights, "--sparsity", "0.5{}", "--out"],
    }
    if model is not None:
        found["shrink"] = ["pruning", "shrink", "--model", f"{model}", "--out"]
    return found


def start(words: Sequence[str], number: int, out: Path) -> "subprocess.Popen[bytes]":
    filled = [word.format(number) for word in words]
    command = [sys.executable, "-m", *filled, str(out)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def check(out: Path) -> None:
    """Refuse anything but a whole output and no leftovers."""
    settle(out)
    if out.suffix == ".npz":
        if out.exists():
            read_masks(out)
    elif out.exists():
        held = {name for files in read_manifest(out).values() for name in files}
        check_owned(out, held)
        there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
        assert there - {MANIFEST} == held, f"{out} holds {there}, its manifest names {held}"
    left = [path.name for path in out.parent.glob(f"{PREFIX}*")]
    left += [path.name for path in out.glob(f"{PREFIX}*") if path.name != MANIFEST]
    assert not left, f"left over beside or in {out}: {left}"


def kills(count: int, model: Path | None) -> None:
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng(0)
        arrays = {key: rng.standard_normal(shape) for key, shape in SHAPES.items()}
        np.savez(folder / "weights.npz", **arrays)  # type: ignore[arg-type]
        masks = {key: array * (abs(array) > 1) for key, array in arrays.items()}
        np.savez(folder / "mask.npz", **masks)  # type: ignore[arg-type]
        known = commands(folder, model)
        for command, words in known.items():
            out = folder / (f"{command}.npz" if command == "prune" else command)
            began, killed = time.monotonic(), 0
            first = start(words, 9, out)
            _, said = first.communicate()
            assert first.returncode == 0, said.decode()
            seconds = time.monotonic() - began
            for number in range(count // len(known)):
                if command == "shrink":
                    out = folder / f"{command}-{number}"  # it wants a new folder each time
                process = start(words, 10 + number % 50, out)
                # The last part of a run is where it writes.
                time.sleep(seconds * draw.uniform(0.5, 1.05))
                process.kill()
                process.communicate()
                killed += process.returncode < 0
                check(out)
            print(f"{command}: {killed} kills, each left a whole output and nothing else")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=["kills"])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--model", type=Path)
    given = parser.parse_args()
    kills(given.count, given.model)
