"""docs/quality.md from the cells that are there."""

import json
from pathlib import Path

from benchmarks.quality.cells import EDITIONS, every_cell, on_gpu
from benchmarks.quality.commands import ROOT
from benchmarks.quality.groups import GROUPS
from sparse_formats.files.atomic import write_text

PAGE = ROOT / "docs" / "quality.md"
FINDINGS = Path(__file__).parent / "findings.md"
"""Written by hand; everything else on the page is made."""

HEAD = """# Quality after pruning

`python -m benchmarks.quality` wrote this page from the files in `benchmarks/quality/cells/`: {done}
of {all} cells, which took {minutes} minutes on one thread. Every figure is measured, on models that
ship inside packages. Spread is one standard deviation over seeds. Cycles and energy are those of
128 tokens. In the tables of the decoder and of the tuned encoder they are of the simulated machines
of today, which choose the best lane grouping for each matrix. The other tables also hold rows that
were made earlier, on the first edition of the contract (`docs/microarchitecture.md` §10).
"""


def write_page(folder: Path, page: Path) -> None:
    """Write `page` from the cells in `folder`."""
    read = [json.loads(file.read_text("utf-8")) for file in sorted(folder.glob("*.json"))]
    wanted = every_cell()
    questions = {cell.question for cell in (*wanted.values(), *on_gpu().values())}
    cells = [
        c
        for c in read
        if c["cell"].rpartition("_seed")[0] in questions
        and c.get("edition") == EDITIONS[c["group"]]
    ]
    minutes = sum(c["seconds"] for c in cells) / 60
    head = HEAD.format(
        done=sum(c["cell"] in wanted for c in cells), all=len(wanted), minutes=f"{minutes:.0f}"
    )
    parts = [head, FINDINGS.read_text("utf-8")]
    for group, (_, section) in GROUPS.items():
        # Directions are measured on the masks of decoder cells, too.
        mine = [
            c for c in cells if c["group"] == group or (group == "direction" and "direction" in c)
        ]
        if mine:
            parts += section(mine)
    write_text(page, "\n".join(parts))
