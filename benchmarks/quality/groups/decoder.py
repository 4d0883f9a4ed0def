"""glassllm, pruned and recovered on most of WikiText-2's `valid`, measured on its `test`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.quality.cells import OLD_RATES, STEPS, Cell, Rates
from benchmarks.quality.commands import (
    CACHE,
    at_equal_area,
    density,
    directions,
    evaluated,
    installed,
    pruning,
    quietly,
    simulated,
)
from benchmarks.quality.protocol import chosen, parts, recipe, training
from benchmarks.quality.tables import Cells, spread, table

EVAL_TOKENS = "30000"

WHOLE = ("orientation", "vector_cost")
"""Options that are the recipe's own."""

TRAINED = ("first_scores", "method", "distill", "settle")
"""Options that belong to its table [training]."""

RIVALS = {"fine": "cambricon_x", "2:4": "tensor_core_2_4", "1:4": "tensor_core_1_4"}
"""The machine made for a pattern besides tf_mvp; it gets tf_mvp's area."""

SELECTING = "tf_mvp_lane_select"
"""A proposal beyond the published machine; only lane select runs on it here."""

ON_SELECTING = f", on {SELECTING}"

SLOTS = ("lane_select:16:4", "two_level:16")

MACHINES: Mapping[str, tuple[str, ...]] = {
    "tf_mvp": (),
    "one lane group": ("--set", "array.lane_groups=[1]"),
}
"""tf_mvp takes the best lane grouping for each matrix; without grouping it has one."""


def measure(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
    """Train with the settings that the search chose, and read `test` once.

    The folder that `train --save` writes is measured: embeddings and norms learned too, and the
    mask file does not hold them.
    """
    options = dict(cell.options)
    rates = OLD_RATES
    if "settings" not in options:
        rates = chosen(cell.pattern, cell.sparsity, int(options["steps"]))
    account = trained(cell, rates, parts(data).train, folder)
    test = ["--text", data / "wikitext-2" / "test.txt", "--max-tokens", EVAL_TOKENS]
    figures = evaluated("--model", folder / "saved", *test, "--no-floors")
    mask = folder / "mask.npz"
    machines = {name: simulated(mask, *words) for name, words in MACHINES.items()}
    if cell.pattern.startswith("lane_select"):
        for name, words in MACHINES.items():
            machines[f"{name}{ON_SELECTING}"] = simulated(mask, "--accelerator", SELECTING, *words)
    rival = RIVALS.get(cell.pattern)
    if rival and cell.sparsity and cell.seed == 0:
        machines[rival] = at_equal_area(mask, rival)
    return {
        "rates": asdict(rates),
        "figures": {"masked": figures["dense"]},
        "training": account["training"],
        "first_loss": account["losses"][0],
        "last_loss": account["losses"][-1],
        "direction": directions(mask) if cell.sparsity else None,
        **density(account),
        "machines": machines,
    }


def trained(cell: Cell, rates: Rates, text: Path, folder: Path) -> dict[str, Any]:
    """Train the cell's pattern on `text`: what `train` prints, mask.npz and saved/ in `folder`."""
    model = installed("glassllm") / "weights" / "en.npz"
    options = dict(cell.options)
    own = {"pattern": cell.pattern, "sparsity": cell.sparsity, "seed": cell.seed}
    own |= {key: _number(options[key]) for key in WHOLE if key in options}
    learned = training(int(options["steps"]), rates)
    learned |= {key: _number(options[key]) for key in TRAINED if key in options}
    words: list[object] = ["--model", model, "--text", text]
    if cell.sparsity == 0:
        learned["method"] = "gradual_magnitude"
    if options.get("order") == "permuted":
        if cell.pattern in SLOTS:
            words[1] = _permuted(model)
        else:
            words.append("--permute")
    if options.get("mask") == "random":
        drawn = folder / "random.npz"
        quietly(
            "prune", "--model", model, "--pattern", cell.pattern, "--sparsity", cell.sparsity,
            "--score", "random", "--seed", cell.seed, "--out", drawn,
        )  # fmt: skip
        learned["method"] = "recovery"
        words += ["--mask", drawn]
    if "distill" in options:
        words += ["--teacher", _teacher(cell, int(options["steps"]), text)]
    words += ["--recipe", recipe(folder, own, learned), "--out", folder / "mask.npz"]
    return pruning("train", *words, "--save", folder / "saved")


def _teacher(cell: Cell, steps: int, text: Path) -> Path:
    """The dense model after as many steps at its own best rate; trained once.

    The model as it came knows nothing of this text, and is no teacher.
    """
    called = f"glassllm_{steps}_seed{cell.seed}"
    if not (CACHE / called / "config.json").exists():
        own = {"pattern": "fine", "sparsity": 0.0, "seed": cell.seed}
        learned = training(steps, chosen("fine", 0.0, steps))
        learned["method"] = "gradual_magnitude"
        CACHE.mkdir(parents=True, exist_ok=True)
        quietly(
            "train", "--model", installed("glassllm") / "weights" / "en.npz", "--text", text,
            "--recipe", recipe(CACHE, own, learned), "--out", CACHE / f"{called}.npz",
            "--save", CACHE / called,
        )  # fmt: skip
    return CACHE / called


def _permuted(model: Path) -> Path:
    """The model in the order that suits vectors of 16; slots have no order of their own."""
    folder = CACHE / "glassllm_permuted"
    if not (folder / "config.json").exists():
        quietly("permute", "--model", model, "--for", "vector:16", "--save", folder)
    return folder


def _number(text: str) -> str | int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


@dataclass(frozen=True)
class Row:
    """Cells that differ in their seed only. machines: cycles and µJ by machine, means."""

    words: tuple[str, ...]
    sparsity: float
    steps: int
    density: float
    perplexities: tuple[float, ...]
    machines: Mapping[str, tuple[float, float]]

    @property
    def title(self) -> str:
        """The pattern, and what is special."""
        return ", ".join(self.words)

    @property
    def is_contender(self) -> bool:
        """Whether it is no floor, and tuned."""
        return not {"random mask", "old settings"} & set(self.words)

    @property
    def perplexity(self) -> float:
        """The mean over seeds."""
        return mean(self.perplexities)


def rows_of(cells: Cells) -> list[Row]:
    """One row for each question, by steps, and then from best to worst."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for cell in cells:
        groups.setdefault(cell["cell"].rpartition("_seed")[0], []).append(cell)
    rows = [row for some in groups.values() for row in _on_each(_row(some))]
    return sorted(rows, key=lambda row: (row.steps, row.perplexity))


def _on_each(row: Row) -> list[Row]:
    """The row, and where it was simulated on the machine proposed for it, that in its place too."""
    if any(f"{name}{ON_SELECTING}" not in row.machines for name in MACHINES):
        return [row]
    proposed = {name: row.machines[f"{name}{ON_SELECTING}"] for name in MACHINES}
    return [row, replace(row, words=(*row.words, ON_SELECTING[2:]), machines=proposed)]


def _row(cells: Cells) -> Row:
    names = {name for cell in cells for name in cell["machines"]}
    runs = {n: [c["machines"][n] for c in cells if n in c["machines"]] for n in names}
    return Row(
        _words(cells[0]),
        cells[0]["sparsity"],
        int(cells[0]["options"]["steps"]),
        mean(c["density"] for c in cells),
        tuple(c["figures"]["masked"]["per_token"] for c in cells),
        {
            name: (mean(r["cycles"] for r in some), mean(r["energy_uj"] for r in some))
            for name, some in runs.items()
        },
    )


SAID = {
    ("orientation", "kind"): "by kind",
    ("order", "permuted"): "permuted",
    ("mask", "random"): "random mask",
    ("settings", "old"): "old settings",
    ("first_scores", "zero"): "scores from zero",
}


def _words(cell: dict[str, Any]) -> tuple[str, ...]:
    if not cell["sparsity"]:
        return ("dense",)
    rest = [(k, v) for k, v in cell["options"].items() if k != "steps"]
    said = [SAID.get(item, f"{item[0]} {item[1]}".replace("_", " ")) for item in rest]
    return (cell["pattern"], *said)


def front(rows: Sequence[Row], machine: str) -> list[Row]:
    """The rows that no other one beats in perplexity, cycles and energy on the machine."""

    def figures(row: Row) -> tuple[float, float, float]:
        return (row.perplexity, *row.machines[machine])

    def is_beaten(row: Row) -> bool:
        mine = figures(row)
        others = (figures(other) for other in rows)
        return any(
            theirs != mine and all(t <= m for t, m in zip(theirs, mine, strict=True))
            for theirs in others
        )

    return [row for row in rows if not is_beaten(row)]


def section(cells: Cells) -> list[str]:
    """The table of perplexities, cycles and energy, and the front of each machine."""
    rows = rows_of(cells)
    fine = {row.steps: row for row in rows if row.title == "fine" and row.sparsity == 0.8}
    lines = []
    for row in rows:
        behind = ""
        if row.steps in fine and row is not fine[row.steps]:
            behind = f"{100 * (row.perplexity / fine[row.steps].perplexity - 1):+.1f} %"
        lines.append(
            [
                f"{row.steps}",
                row.title,
                f"{row.sparsity:g}",
                spread(row.perplexities, ".2f"),
                f"{len(row.perplexities)}",
                behind,
                *(_figures(row, machine) for machine in MACHINES),
            ]
        )
    header = ["steps", "pattern", "sparsity", "perplexity", "seeds", "to fine"]
    header += [f"{machine}: cycles / µJ" for machine in MACHINES]
    parts = [
        "## Decoder: glassllm on WikiText-2\n",
        "Movement pruning in steps of 8×128 tokens of the first nine tenths of `valid`, with the "
        "settings that the search chose for the pattern. Perplexity is per token on the first "
        f"{EVAL_TOKENS} tokens of `test`, with stride 128. Before any training it is 979.7. "
        "*By kind* means that the kind of a matrix says how its vectors lie, *permuted* that the "
        "model's units were moved first. *Random mask* is the floor: the mask is drawn and not "
        "chosen, and the rest is the same. *To fine* compares with fine-grained pruning at 0.8 "
        "after as many steps.\n",
        table(header, lines),
        "### Against fine-grained pruning\n",
        "Means over seeds, divided by those of fine-grained pruning at 0.8 after as many steps.\n",
        table(
            ["steps", "pattern", "perplexity", "seeds"]
            + [f"{machine}: {what}" for machine in MACHINES for what in ("cycles", "µJ")],
            [
                [
                    f"{row.steps}",
                    row.title,
                    f"{row.perplexity / fine[row.steps].perplexity:.3f}",
                    f"{len(row.perplexities)}",
                    *(
                        f"{mine / theirs:.2f}"
                        for machine in MACHINES
                        for mine, theirs in zip(
                            row.machines[machine], fine[row.steps].machines[machine], strict=True
                        )
                    ),
                ]
                for row in rows
                if row.steps in fine and row is not fine[row.steps]
                if row.sparsity == 0.8 and row.is_contender
            ],
        ),
        "### The front of each machine\n",
        "A row is here if no other one after as many steps has a perplexity, cycles and an energy "
        "that are all as low.\n",
    ]
    fronts = [
        [
            machine,
            f"{steps}",
            row.title,
            f"{row.sparsity:g}",
            f"{row.perplexity:.2f}",
            _figures(row, machine),
        ]
        for machine in MACHINES
        for steps in sorted({row.steps for row in rows})
        for row in front([r for r in rows if r.steps == steps and r.is_contender], machine)
    ]
    header = ["machine", "steps", "pattern", "sparsity", "perplexity", "cycles / µJ"]
    rivals = [
        [row.title, rival, f"{row.perplexity:.2f}", _figures(row, rival), _figures(row, "tf_mvp")]
        for row in rows
        for rival in RIVALS.values()
        if row.steps == STEPS and rival in row.machines and row.is_contender
    ]
    return [
        *parts,
        table(header, fronts),
        "The machines made for a pattern have their own array, at the area of tf_mvp. Their "
        "clock is 500 MHz like its own; cambricon_x has 1 GHz.\n",
        table(["pattern", "machine", "perplexity", "cycles / µJ", "tf_mvp: cycles / µJ"], rivals),
    ]


def _figures(row: Row, machine: str) -> str:
    cycles, energy = row.machines[machine]
    return f"{cycles:,.0f} / {energy:.1f}"
