"""Run the cells that are missing, one after another, each with the product's own commands.

    python -m benchmarks.quality --data <folder with wikitext-2, sst-2, dlmc> [--only REGEX]
        [--seed N] [--limit N]

A finished cell is a JSON file in `cells/`, which stays in the repository; a cell that is there, of
its group's edition, is not run again. With `--seed` cells are run with that one, and the means on
the page take them in. After each, `docs/quality.md` is written anew from all cells and from
`findings.md`, which is written by hand.
"""

import argparse
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.quality.cells import CELLS, every_cell, is_done, with_seed, write_cell
from benchmarks.quality.groups import GROUPS
from benchmarks.quality.page import PAGE, write_page
from sparse_formats.errors import InputError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default="", help="regular expression of cell names")
    parser.add_argument("--seed", type=int, help="another one than the tables' own")
    parser.add_argument("--limit", type=int, default=10**6, help="at most so many cells")
    given = parser.parse_args(arguments)
    CELLS.mkdir(exist_ok=True)
    wanted = every_cell() if given.seed is None else with_seed(given.seed)
    missing = [
        cell for name, cell in wanted.items() if re.search(given.only, name) and not is_done(cell)
    ][: given.limit]
    failed: list[str] = []
    for number, cell in enumerate(missing, 1):
        print(f"{number} of {len(missing)}: {cell.name}", end="", flush=True)
        started = time.monotonic()
        measure, _ = GROUPS[cell.group]
        try:
            with tempfile.TemporaryDirectory() as folder:
                found = measure(cell, given.data, Path(folder))
        except (InputError, OSError) as error:
            failed.append(cell.name)
            print(f": failed, {error}", flush=True)
            continue
        seconds = time.monotonic() - started
        write_cell(cell, seconds, found)
        print(f": {seconds:.0f} s", flush=True)
        # After every cell: a run that is stopped leaves a page of what it has.
        write_page(CELLS, PAGE)
    write_page(CELLS, PAGE)
    if failed:
        raise SystemExit(f"error: {len(failed)} cells failed: {', '.join(failed)}")
