"""Kill the commands that write, or run them twice at once, and look at what is left.

python -m benchmarks.reliability kills [--count 200] [--only train]
python -m benchmarks.reliability pairs [--count 40]
"""

import argparse
import random
import tempfile
from pathlib import Path

from benchmarks.reliability.commands import COMMANDS, Writer, write_inputs
from benchmarks.reliability.kills import kill
from benchmarks.reliability.pairs import pair
from benchmarks.reliability.processes import import_once


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["kills", "pairs"], nargs="+")
    parser.add_argument("--count", type=int, default=200, help="of all commands together")
    parser.add_argument("--only", choices=list(COMMANDS), action="append", default=[])
    given = parser.parse_args()
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


if __name__ == "__main__":
    main()
