"""Kill the commands that write, run them twice at once, and give every reader odd files.

python -m benchmarks.reliability kills [--count 200] [--only train]
python -m benchmarks.reliability pairs [--count 40]
python -m benchmarks.reliability fuzz [--count 100000] [--seed 0]
python -m benchmarks.reliability memory
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from benchmarks.reliability.commands import COMMANDS, Writer, write_inputs
from benchmarks.reliability.fuzz.readers import READERS
from benchmarks.reliability.fuzz.run import fuzz
from benchmarks.reliability.kills import kill
from benchmarks.reliability.memory import measure
from benchmarks.reliability.pairs import pair
from benchmarks.reliability.processes import import_once


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["kills", "pairs", "fuzz", "memory"], nargs="+")
    parser.add_argument("--count", type=int, default=200, help="of all commands together")
    parser.add_argument("--seed", type=int, default=0, help="of the odd files")
    parser.add_argument("--only", choices=list(COMMANDS), action="append", default=[])
    given = parser.parse_args()
    if "fuzz" in given.what:
        _fuzz(given.count, given.seed)
    if "memory" in given.what:
        _memory()
    if not {"kills", "pairs"} & set(given.what):
        return
    names = given.only or list(COMMANDS)
    draw = random.Random(0)
    import_once()
    with tempfile.TemporaryDirectory() as made:
        inputs = write_inputs(Path(made))
        for i, name in enumerate(names):
            writer = Writer(name, Path(made) / name, inputs)
            writer.folder.mkdir()
            count = given.count // len(names) + (i < given.count % len(names))
            if "kills" in given.what:
                killed = kill(writer, count, draw)
                print(
                    f"{name}: {killed.kills} kills in {killed.seconds:.0f} s; of {killed.reads} "
                    f"reads after them {killed.old} found the old output, "
                    f"{killed.reads - killed.old} the new one",
                    flush=True,
                )
            if "pairs" in given.what:
                pairs = pair(writer, count)
                print(f"{name}: {pairs.pairs} pairs, {pairs.refused} with one refused", flush=True)


def _fuzz(count: int, seed: int) -> None:
    """Say what was found; the exit status is 1 if anything was."""
    folder = Path(tempfile.mkdtemp(prefix="mvpsim-fuzz-"))
    found = fuzz(count, seed, folder)
    for line in found.bad:
        print(line)
    print(
        f"{found.inputs} inputs for {len(READERS)} readers: {found.refused} refused in one line, "
        f"{found.inputs - found.refused - len(found.bad)} read, {len(found.bad)} went wrong; the "
        f"longest took {found.longest_s:.2f} s, all at most {found.peak_bytes / 1e6:.0f} MB"
    )
    sys.exit(1 if found.bad else 0)


def _memory() -> None:
    with tempfile.TemporaryDirectory() as made:
        for one in measure(Path(made)):
            print(
                f"{one.what}, {one.command}: {one.read_bytes} bytes read, {one.seconds:.1f} s, "
                f"at most {one.peak_bytes / 1e6:.0f} MB. {one.said}",
                flush=True,
            )


if __name__ == "__main__":
    main()
