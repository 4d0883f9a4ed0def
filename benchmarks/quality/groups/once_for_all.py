"""Prune Once for All with BERT-tiny: pruned as a language model, moved to two tasks, in 8 bits."""

import json
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.quality.cells import Cell
from benchmarks.quality.commands import CACHE, evaluated, installed, pruning, quietly, simulated
from benchmarks.quality.tables import Cells, spread, table
from benchmarks.quality.texts import brown, running_text
from sparse_formats.files.atomic import json_text, write_text

PRETRAINING, FINE_TUNING, ROUNDING = 600, 500, 150
"""Steps: of the sparse student, of a task, of QAT. The dense teacher takes half as many, each of
twice the examples."""

BRIEF = 100
"""Steps of a task that is tuned briefly."""

LONGER = 3
"""Times as many steps for a student that is tried as well."""

LENGTH = 64

DISTIL = {"distill": 1.0, "temperature": 2.0}
"""A task's teacher alone is learned from. Source: the recipe's published reproduction on SQuAD."""


def measure(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
    """One language model's perplexity, or one task's accuracy in floats and in 8 bits."""
    options = dict(cell.options)
    if options["task"] == "language":
        times = LONGER if options.get("route") == "longer" else 1
        model, account = language_model(cell.pattern, cell.sparsity, cell.seed, times)
        text = ["--text", data / "wikitext-2" / "valid.txt", "--length", LENGTH]
        figures = evaluated("--model", model, *text, "--max-tokens", 4000, "--no-floors")
        return {"perplexity": figures["dense"]["per_token"], "account": account}
    train, test = _tables(options["task"], data)
    if options["route"] == "dense":
        model, account = task_teacher(options["task"], data, cell.seed)
    else:
        model, account = _tuned(cell, options, data, folder)
    # The same lock, teacher and data, with the rounding of 8-bit numbers.
    lock = ["--method", "recovery"] if cell.sparsity else ["--method", "gradual_magnitude"]
    teacher, _ = task_teacher(options["task"], data, cell.seed)
    rounded, file = folder / "rounded", folder / "int8.safetensors"
    rounding = {"quantize": "int8", **DISTIL}
    recipe = _recipe(folder, "rounding", cell, lock[1], ROUNDING, 5e-5, rounding)
    pruning(
        "train", "--model", model, "--teacher", teacher, "--table", train, "--recipe", recipe,
        "--out", folder / "rounded.npz", "--save", rounded,
    )  # fmt: skip
    quietly("quantize", "--model", rounded, "--out", file)
    held_out = ["--table", test, "--length", LENGTH, "--no-floors"]
    eight = evaluated("--model", rounded, "--quantized", file, *held_out)
    only = ["--include", "encoder"]
    return {
        "accuracy": evaluated("--model", model, *held_out)["dense"]["accuracy"],
        "accuracy_int8": eight["quantized"]["accuracy"],
        "accuracy_rounded": eight["dense"]["accuracy"],
        "density": account["density"],
        "simulated": simulated(model, *only),
        "simulated_int8": simulated(file, *only),
        "last_loss": account["losses"][-1],
    }


def language_model(
    pattern: str, sparsity: float, seed: int, times: int = 1
) -> tuple[Path, dict[str, Any]]:
    """The dense teacher (sparsity 0), or its student pruned by `pattern`; trained once.

    times: of the student's steps.
    """
    name = f"{pattern}_{sparsity:g}_seed{seed}" if sparsity else f"teacher_seed{seed}"
    name += "_longer" if times > 1 else ""
    folder = CACHE / "once" / name
    if (kept := _kept(folder)) is not None:
        return folder, kept
    cell = Cell("once", pattern, sparsity, (), seed)
    bert = installed("cognition") / "model"
    if not sparsity:
        model, steps, more = bert, PRETRAINING // 2, {"batch": 16}
        method = "gradual_magnitude"
    else:
        model, _ = language_model("fine", 0.0, seed)
        method, steps = "gradual_magnitude", PRETRAINING * times
        more = {"batch": 8, **_ramp(steps), "distill": 0.5, "temperature": 2.0}
    recipe = _recipe(folder, "recipe", cell, method, steps, 5e-4, more, ["cls"])
    teacher = ["--teacher", model] if sparsity else []
    account = pruning(
        "train", "--model", model, *teacher, "--text", running_text(), "--recipe", recipe,
        "--out", folder / "mask.npz", "--save", folder,
    )  # fmt: skip
    return folder, _keep(folder, account)


def task_teacher(task: str, data: Path, seed: int) -> tuple[Path, dict[str, Any]]:
    """The dense model tuned to a task; trained once."""
    folder = CACHE / "once" / f"{task}_seed{seed}"
    if (kept := _kept(folder)) is not None:
        return folder, kept
    model, _ = language_model("fine", 0.0, seed)
    cell = Cell("once", "fine", 0.0, (), seed)
    recipe = _recipe(folder, "recipe", cell, "gradual_magnitude", FINE_TUNING, 5e-4, {})
    train, _ = _tables(task, data)
    account = pruning(
        "train", "--model", model, "--new-head", "--table", train, "--recipe", recipe,
        "--out", folder / "mask.npz", "--save", folder,
    )  # fmt: skip
    return folder, _keep(folder, account)


def _tuned(
    cell: Cell, options: dict[str, str], data: Path, folder: Path
) -> tuple[Path, dict[str, Any]]:
    """The sparse language model moved to the task ("once"), or the dense one pruned there."""
    teacher, _ = task_teacher(options["task"], data, cell.seed)
    steps = BRIEF if options["route"].endswith("brief") else FINE_TUNING
    if options["route"].startswith("once"):
        times = LONGER if options["route"] == "once_longer" else 1
        model, _ = language_model(cell.pattern, cell.sparsity, cell.seed, times)
        method, more = "recovery", DISTIL
    else:
        model, _ = language_model("fine", 0.0, cell.seed)
        # "longer" gets its half of the student's pre-training, which serves two tasks, as well.
        steps += PRETRAINING // 2 if options["route"] == "alone_longer" else 0
        method, more = "gradual_magnitude", {**_ramp(steps), **DISTIL}
    recipe = _recipe(folder, "tuning", cell, method, steps, 5e-4, more)
    train, _ = _tables(options["task"], data)
    tuned = folder / "tuned"
    account = pruning(
        "train", "--model", model, "--new-head", "--teacher", teacher, "--table", train,
        "--recipe", recipe, "--out", folder / "tuned.npz", "--save", tuned,
    )  # fmt: skip
    return tuned, account


def _ramp(steps: int) -> dict[str, Any]:
    """The published phases in proportion: half the steps to the sparsity, 30 % more to settle."""
    warmup = steps // 50
    return {
        "warmup": warmup,
        "initial_warmup": 0,
        "final_warmup": 25,
        "settle": 15,
        "every": warmup,
        "learning_rate_schedule": "rewind",
    }


def _recipe(
    folder: Path,
    name: str,
    cell: Cell,
    method: str,
    steps: int,
    rate: float,
    more: dict[str, Any],
    exclude: list[str] | None = None,
) -> Path:
    own = {"pattern": cell.pattern, "sparsity": cell.sparsity, "seed": cell.seed}
    own["exclude"] = ["pooler"] if exclude is None else exclude
    training = {"method": method, "steps": steps, "batch": 32, "length": LENGTH}
    training |= {"learning_rate": rate, **more}
    lines = [f"{key} = {json.dumps(value)}" for key, value in own.items()]
    lines += ["[training]", *(f"{key} = {json.dumps(value)}" for key, value in training.items())]
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / f"{name}.toml"
    recipe.write_text("\n".join(lines) + "\n")
    return recipe


def _tables(task: str, data: Path) -> tuple[Path, Path]:
    if task == "brown":
        return brown()
    return data / "sst-2" / "train.tsv", data / "sst-2" / "test.tsv"


def _kept(folder: Path) -> dict[str, Any] | None:
    file = folder / "account.json"
    return json.loads(file.read_text("utf-8")) if file.is_file() else None


def _keep(folder: Path, account: dict[str, Any]) -> dict[str, Any]:
    """What of a run's account is worth keeping; written last, it says that the model is whole."""
    kept = {key: account[key] for key in ("training", "density", "seconds")}
    kept["losses"] = [account["losses"][0], account["losses"][-1]]
    write_text(folder / "account.json", json_text(kept))
    return kept


def section(cells: Cells) -> list[str]:
    """Accuracy in floats and 8 bits, densities, cycles and energy."""
    tasks = [c for c in cells if c["options"]["task"] != "language"]
    languages = [c for c in cells if c["options"]["task"] == "language"]
    groups: dict[tuple[str, str, str, float], list[dict[str, Any]]] = {}
    for cell in tasks:
        options = cell["options"]
        place = (options["task"], options["route"], cell["pattern"], cell["sparsity"])
        groups.setdefault(place, []).append(cell)
    rows = []
    for (task, route, pattern, sparsity), some in sorted(
        groups.items(), key=lambda item: (item[0][0], item[0][3], item[0][2], item[0][1])
    ):
        both = [[c[key] for c in some] for key in ("simulated", "simulated_int8")]
        rows.append(
            [
                task,
                route.replace("_", ", "),
                pattern if sparsity else "",
                f"{sparsity:g}",
                spread([c["accuracy"] for c in some], ".3f"),
                spread([c["accuracy_int8"] for c in some], ".3f"),
                f"{mean(c['density']['linear'] for c in some):.3f}",
                f"{mean(c['density']['model'] for c in some):.3f}",
                " / ".join(f"{mean(s['cycles'] for s in each):,.0f}" for each in both),
                " / ".join(f"{mean(s['energy_uj'] for s in each):.1f}" for each in both),
            ]
        )
    header = ["task", "route", "pattern", "sparsity", "accuracy", "int8", "density: linear"]
    header += ["model", "cycles: float / int8", "µJ: float / int8"]
    spoken = [
        [
            c["pattern"] + (", longer" if "route" in c["options"] else "")
            if c["sparsity"]
            else "dense",
            f"{c['sparsity']:g}",
            f"{c['perplexity']:.1f}",
            f"{c['account']['density']['linear']:.3f}",
            f"{c['account']['density']['model']:.3f}",
            f"{c['account']['seconds']:.0f}",
        ]
        for c in sorted(languages, key=lambda c: (c["sparsity"], c["pattern"]))
        if c["seed"] == 0
    ]
    return [
        "## Prune Once for All: BERT-tiny, SST-2 and the genres of Brown\n",
        f"The dense teacher is trained for {PRETRAINING // 2} steps of 16 × {LENGTH} tokens and "
        f"the student for {PRETRAINING} of 8 × {LENGTH} (`longer`: {LONGER} times as many), on "
        "speeches, news and articles. Pseudo-perplexity is that on WikiText-2's `valid`.\n",
        table(["student", "sparsity", "perplexity", "linear", "model", "seconds"], spoken),
        f"Tasks are trained for {FINE_TUNING} steps of 32 on the answers of a dense task teacher, "
        f"with zeros locked. int8 adds {ROUNDING} steps with rounding and uses the integer forward "
        "pass. `once` transfers the student to the task. `alone` prunes the dense language model "
        f"on the task in as many steps; `longer` gives it {PRETRAINING // 2} more, its share of "
        f"pre-training. `brief` has {BRIEF} steps. Accuracy is that on 872 sentences of SST-2, and "
        "on passages of 50 words from 100 unseen files of Brown in 15 genres. Only the encoder is "
        "simulated.\n",
        table(header, rows),
    ]
