"""docs/quality.md from the cells that are there."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.quality.cells import EDITION, STEPS, every_cell
from sparse_formats.files import write_text

Cells = Sequence[dict[str, Any]]
FINDINGS = Path(__file__).parent / "findings.md"
"""Written by hand; everything else on the page is made."""

HEAD = """# Quality after pruning

Written by `python -m benchmarks.quality` from the files in `benchmarks/quality/cells/`: {done} of
{all} cells, {minutes} minutes on one thread. Every figure is measured, on models that ship inside
packages; spread is one standard deviation over seeds. Cycles and energy: 128 tokens on the
simulated `tf_mvp`.
"""


def write_page(folder: Path, page: Path) -> None:
    """Write `page` from the cells in `folder`."""
    read = [json.loads(file.read_text("utf-8")) for file in sorted(folder.glob("*.json"))]
    wanted = every_cell()
    cells = [c for c in read if c["cell"] in wanted and c.get("edition") == EDITION]
    minutes = sum(c["seconds"] for c in cells) / 60
    parts = [
        HEAD.format(done=len(cells), all=len(wanted), minutes=f"{minutes:.0f}"),
        FINDINGS.read_text("utf-8"),
        *_decoder([c for c in cells if c["group"] == "decoder"]),
        *_encoder([c for c in cells if c["group"] == "encoder"]),
        *_llm([c for c in cells if c["group"] == "llm"]),
        *_directions([c for c in cells if c.get("direction")]),
    ]
    write_text(page, "\n".join(parts))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _spread(values: Sequence[float], form: str = ".1f") -> str:
    shown = format(mean(values), form)
    return f"{shown} ± {format(stdev(values), form)}" if len(values) > 1 else shown


def _what(cell: dict[str, Any]) -> str:
    return ", ".join([cell["pattern"], *(f"{k} {v}" for k, v in cell["options"].items())])


def _decoder(cells: Cells) -> list[str]:
    if not cells:
        return []
    groups: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for cell in cells:
        groups.setdefault((_what(cell), cell["sparsity"]), []).append(cell)
    rows = []
    for (what, sparsity), some in sorted(groups.items(), key=lambda item: (item[0][1], item[0][0])):
        simulated = [c["simulated"] for c in some]
        rows.append(
            [
                what,
                f"{sparsity:g}",
                f"{mean(c['density'] for c in some):.3f}",
                _spread([c["figures"]["masked"]["per_token"] for c in some]),
                f"{len(some)}",
                f"{mean(s['cycles'] for s in simulated):,.0f}",
                f"{mean(s['dense_cycles'] / s['cycles'] for s in simulated):.2f}",
                f"{mean(s['energy_uj'] for s in simulated):.1f}",
            ]
        )
    dense = cells[0]["figures"]["dense"]["per_token"]
    header = ["pattern", "sparsity", "density", "perplexity", "seeds", "cycles", "× dense", "µJ"]
    return [
        "## Decoder: glassllm on WikiText-2\n",
        f"{STEPS} steps of 8×128 tokens of `valid`, movement pruning unless said otherwise, no "
        "distillation; perplexity per token on the beginning of `test`, stride 128. Dense and "
        f"before any training: {dense:.1f}; sparsity 0 is the same training without pruning. "
        "Sparsity of heads counts within the attention matrices.\n",
        _table(header, rows),
    ]


def _encoder(cells: Cells) -> list[str]:
    if not cells:
        return []
    rows = [
        [
            _what(c),
            f"{c['sparsity']:g}",
            f"{c['density']:.3f}",
            f"{c['similarity']['masked']['pearson']:.3f}",
            f"{c['retrieval']['masked']['accuracy']:.2f}",
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
                        f"{c['retrieval'][variant]['accuracy']:.2f}",
                        "",
                        "",
                    ]
                )
    dense = (first or cells[0])["similarity"]["dense"]["pearson"]
    found = (first or cells[0])["retrieval"]["dense"]["accuracy"]
    header = ["pattern", "sparsity", "density", "Pearson with people", "second halves"]
    header += ["cycles", "µJ"]
    return [
        "## Encoder, one-shot: all-MiniLM-L6-v2\n",
        "Magnitude, no training. Lee's 50 documents (1,225 pairs); second halves among 100 news "
        f"of Lee's background corpus. Dense: {dense:.3f} and {found:.2f}. Sparsity of heads counts "
        "within the attention matrices: see the density before comparing.\n",
        _table(header, [*rows, *floors]),
    ]


def _llm(cells: Cells) -> list[str]:
    if not cells:
        return []
    rows = [
        [
            _what(c),
            f"{c['density']:.3f}",
            f"{c['figures']['masked']['per_token']:.1f}",
            f"{c['simulated']['cycles']:,}",
            f"{c['simulated']['energy_uj']:.0f}",
        ]
        for c in sorted(cells, key=_what)
    ]
    dense = cells[0]["figures"]["dense"]["per_token"]
    return [
        "## Language model, one-shot: SmolLM2-135M-Instruct (Q4_1)\n",
        "16 × 256 tokens of `valid` for calibration; perplexity per token on the first 4,096 of "
        f"`test`, windows and stride 512. Dense: {dense:.1f}.\n",
        _table(["pattern", "density", "perplexity", "cycles", "µJ"], rows),
    ]


def _directions(cells: Cells) -> list[str]:
    if not cells:
        return []
    rows = []
    for cell in cells:
        options = cell["options"]
        # Of the trained masks, those at 0.8 by the first seed; the cells hold the others.
        if (cell["pattern"], cell["sparsity"], cell["seed"]) != ("fine", 0.8, 0):
            continue
        if options.keys() - {"model"}:
            continue
        by_kind: dict[str, list[float]] = {}
        for matrix in cell["direction"]:
            by_kind.setdefault(matrix["kind"], []).append(matrix["strength"])
        rows += [
            [
                options.get("model", "glassllm after movement training"),
                kind,
                f"{mean(values):+.3f}",
                f"{sum(v > 0 for v in values)} of {len(values)}",
            ]
            for kind, values in sorted(by_kind.items())
        ]
    header = ["model", "kind", "mean D", "horizontal"]
    return [
        "## Directions\n",
        "Fine-grained masks at 80 %. D > 0 horizontal, < 0 vertical. The claims to test: "
        "QKV horizontal, attention out vertical, FFN2 vertical, FFN1 by family.\n",
        _table(header, rows),
    ]
