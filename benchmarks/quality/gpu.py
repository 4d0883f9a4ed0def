"""SmolLM2-135M is pruned at 80 % while it learns, pattern by pattern, on a GPU.

    python -m benchmarks.quality.gpu --data <folder with wikitext-2> [--only REGEX]

It needs PyTorch 2.13.0 built for the GPU's CUDA (or ROCm), which is not the build for processors
that `make quality` installs: `pip install torch==2.13.0 --index-url
https://download.pytorch.org/whl/<CUDA version>`, as pytorch.org names it for the driver. Everything
else is what `make quality` installs, and no network is needed.

A pattern takes 300 steps of 16 × 512 tokens: WikiText-2's `valid` with the articles and speeches
that install by package. All of `test` measures it. A finished pattern is a cell of the table of
docs/quality.md and is not run again; one that was interrupted goes on at its last checkpoint, in
out/quality/gpu. So the command may be stopped and given again, as often as need be. With other
sizes nothing goes into the table: say where the cells go.
"""

import argparse
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.quality.cells import CELLS, ON_GPU_STEPS, Cell, is_done, on_gpu, write_cell
from benchmarks.quality.commands import CACHE, density, evaluated, pruning, simulated
from benchmarks.quality.groups.llm import smollm2
from benchmarks.quality.page import PAGE, write_page
from benchmarks.quality.texts import running_text
from sparse_formats.errors import InputError
from sparse_formats.files.atomic import write_text

TORCH = "2.13.0"
LEARNING_RATE = "5e-4"
"""Chosen, not tuned: a search takes a GPU's time for each pattern."""

EVERY = 10
"""Steps from one new mask to the next: the processor makes them, mvp's in the better part of a
minute."""


@dataclass(frozen=True)
class Sizes:
    """Of a step, in examples and tokens each; on which device, in which numbers."""

    steps: int = ON_GPU_STEPS
    batch: int = 16
    length: int = 512
    device: str = "cuda"

    @property
    def precision(self) -> str:
        """bfloat16 where the device is made for it."""
        return "fp32" if self.device == "cpu" else "bf16"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing."""
    given = _parser().parse_args(arguments)
    sizes = Sizes(given.steps, given.batch, given.length, given.device)
    try:
        _check(given, sizes)
        model = smollm2() if given.model is None else given.model
        text = _text(given.data) if given.text is None else given.text
        test = given.data / "wikitext-2" / "test.txt" if given.test is None else given.test
        folder = CELLS if given.cells is None else given.cells
        folder.mkdir(parents=True, exist_ok=True)
        for name, cell in on_gpu().items():
            if re.search(given.only, name) and not is_done(cell, folder):
                started = time.monotonic()
                print(f"{name}", end="", flush=True)
                found = measured(cell, sizes, model, text, test, given.work / name)
                seconds = time.monotonic() - started
                write_cell(cell, seconds, found, folder)
                print(f": {seconds:.0f} s", flush=True)
        if folder == CELLS:
            write_page(CELLS, PAGE)
    except (InputError, OSError) as error:
        raise SystemExit(f"error: {error}") from None


def measured(
    cell: Cell, sizes: Sizes, model: Path, text: Path, test: Path, work: Path
) -> dict[str, Any]:
    """Train the cell's pattern from its last checkpoint on, and measure what came of it."""
    options = {k: v for k, v in cell.options if k != "steps"}
    device = ("--device", sizes.device)
    # The sparsity rises from 5 to 15 % of the steps, as where patterns of the decoder are compared.
    unit = max(1, sizes.steps // 10)
    first, last = 0.05 * sizes.steps / unit, 0.85 * sizes.steps / unit
    ramp = ("--warmup", unit, "--initial-warmup", first, "--final-warmup", last)
    with tempfile.TemporaryDirectory() as folder:
        mask, saved = Path(folder) / "mask.npz", Path(folder) / "saved"
        account = pruning(
            "train", "--model", model, "--text", text, "--pattern", cell.pattern,
            "--sparsity", cell.sparsity, *(p for k, v in options.items() for p in (f"--{k}", v)),
            "--steps", sizes.steps, "--batch", sizes.batch, "--length", sizes.length, *ramp,
            "--every", EVERY, "--learning-rate", LEARNING_RATE, "--seed", cell.seed,
            "--precision", sizes.precision, *device, "--checkpoint", work,
            "--save-every", max(1, sizes.steps // 3), "--out", mask, "--save", saved,
        )  # fmt: skip
        read = ("--text", test, "--length", sizes.length, "--no-floors", *device)
        figures = {
            "dense": evaluated("--model", model, *read)["dense"],
            "masked": evaluated("--model", saved, *read)["dense"],
        }
        return {
            "figures": figures,
            "training": account["training"],
            "versions": account["versions"],
            "device": _called(sizes.device),
            "resumed_at": account["resumed_at"],
            "first_loss": account["losses"][0],
            "last_loss": account["losses"][-1],
            **density(account),
            "machines": {"tf_mvp": simulated(mask)},
        }


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("benchmarks.quality.gpu", None, __doc__, formatter_class=form)
    sizes = Sizes()
    parser.add_argument("--data", type=Path, help="folder with wikitext-2")
    parser.add_argument("--only", default="", help="regular expression of cell names")
    parser.add_argument("--device", default=sizes.device, help="cuda, cuda:1, mps or cpu")
    parser.add_argument("--steps", type=int, default=sizes.steps)
    parser.add_argument("--batch", type=int, default=sizes.batch, help="examples of a step")
    parser.add_argument("--length", type=int, default=sizes.length, help="tokens of an example")
    parser.add_argument("--model", type=Path, help="another model than SmolLM2-135M")
    parser.add_argument("--text", type=Path, help="another text to learn")
    parser.add_argument("--test", type=Path, help="another text to measure")
    parser.add_argument("--cells", type=Path, help="folder for the cells")
    parser.add_argument("--work", type=Path, default=CACHE / "gpu", help="folder for checkpoints")
    return parser


def _check(given: argparse.Namespace, sizes: Sizes) -> None:
    """InputError where the run cannot go well, or its cells would not be those of the table."""
    if given.data is None and None in (given.text, given.test):
        raise InputError("give --data, or both --text and --test")
    own = (given.model, given.text, given.test)
    usual = Sizes(device=sizes.device)
    if given.cells is None and (sizes != usual or any(path is not None for path in own)):
        raise InputError(
            f"the table's cells are {usual.steps} steps of {usual.batch} × {usual.length} tokens "
            "of SmolLM2-135M; give --cells, a folder for others"
        )
    import torch

    if sizes.device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(
            f"PyTorch {torch.__version__} finds no GPU here; install torch=={TORCH} built for its "
            "CUDA (see --help), or try the command at a small size with --device cpu --steps 3 "
            "--batch 2 --length 64 --cells FOLDER"
        )


def _text(data: Path) -> Path:
    """WikiText-2's `valid`, then articles and speeches; written once."""
    path = CACHE / "gpu.txt"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        valid = (data / "wikitext-2" / "valid.txt").read_text("utf-8")
        write_text(path, valid + running_text().read_text("utf-8"))
    return path


def _called(device: str) -> str:
    """The device's own name."""
    if not device.startswith("cuda"):
        return device
    import torch

    return torch.cuda.get_device_name(device)


if __name__ == "__main__":
    main()
