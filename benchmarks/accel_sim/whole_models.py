"""How long do whole models take to simulate? The speeds that are promised, in CPU seconds.

    python -m benchmarks.accel_sim.whole_models [WORK …] [--mask FILE --model FOLDER] [--rounds N]

WORK: any of `WORKS`; without, all. CPU seconds are of user and system together, with one thread of
products. Compilation is apart: all but Llama runs once before. A command is a process of its own,
with its imports. `minilm` runs `run` and `model` on one mask in turn and
tells the ratio; it needs --mask (`make demo` makes it) and --model, the folder of the masked model.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from accel_sim.machines.load import load_machine
from accel_sim.models.config import read_model
from accel_sim.models.simulate import ModelRun, Request, simulate_model
from accel_sim.models.weights import generated
from tests.real_models import MINILM

GPT2 = ("gpt2-small", Request(prefill=512, generate=100))
LLAMA = ("llama-2-7b", Request(prefill=2048, generate=1))
DENSITY, PATTERN = 0.2, "mvp"


@dataclass(frozen=True)
class Cost:
    """Of a process, or of a part of this one. peak_mb: of all its memory, MB of 10⁶ bytes."""

    cpu_s: float
    peak_mb: float | None = None


def simulated(known: str, request: Request) -> ModelRun:
    masked = generated(read_model(known), DENSITY, PATTERN, 0, None)
    return simulate_model(masked, request, load_machine("tf_mvp"), threads=1)


def inside(known: str, request: Request) -> Cost:
    """Of `simulate_model` alone; masks are made before."""
    masked = generated(read_model(known), DENSITY, PATTERN, 0, None)
    machine = load_machine("tf_mvp")
    start = time.process_time()
    simulate_model(masked, request, machine, threads=1)
    return Cost(time.process_time() - start)


def command(*words: str) -> Cost:
    """Of `python -m accel_sim …`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "accel_sim", *words, "--threads", "1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"accel_sim {' '.join(words)} ends with {process.returncode}")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6)


def words_of(known: str, request: Request) -> list[str]:
    return [
        *("model", "--shapes", known, "--density", str(DENSITY), "--pattern", PATTERN),
        *("--prefill", str(request.prefill), "--generate", str(request.generate)),
    ]


def promised(found: float, most: float) -> str:
    return f"at most {most:g} was asked for: {'kept' if found <= most else 'MISSED'}"


def show(what: str, costs: list[Cost], most: float | None = None) -> None:
    seconds = [each.cpu_s for each in costs]
    peaks = [each.peak_mb for each in costs if each.peak_mb is not None]
    bar = "" if most is None else f"  {promised(median(seconds), most)}"
    memory = f"  peak {max(peaks):,.0f} MB" if peaks else ""
    print(
        f"{what:48} median {median(seconds):7.2f} s  best {min(seconds):7.2f} s{memory}{bar}",
        flush=True,
    )


def gpt2(arguments: argparse.Namespace) -> None:
    simulated(*GPT2)
    rounds = range(arguments.rounds)
    show("GPT-2 small, 512 + 100, simulate_model", [inside(*GPT2) for _ in rounds], 3)
    show("GPT-2 small, 512 + 100, command", [command(*words_of(*GPT2)) for _ in rounds], 6)


def llama(arguments: argparse.Namespace) -> None:
    show("Llama-2-7B, 2,048 + 1, command", [command(*words_of(*LLAMA))], 180)


def minilm(arguments: argparse.Namespace) -> None:
    if not arguments.mask.is_file() or arguments.model is None:
        print(f"MiniLM: {arguments.mask} or the folder of the model is not there; left out")
        return
    run = ("run", "--mask", str(arguments.mask), "--tokens", "128", "--no-advice")
    model = (
        *("model", "--model", str(arguments.model), "--mask", str(arguments.mask)),
        *("--prefill", "128", "--no-advice"),
    )
    of_run, of_model = [], []
    for words in (run, model):
        command(*words)
    for _ in range(arguments.rounds):
        of_run.append(command(*run))
        of_model.append(command(*model))
    show("MiniLM, 128 tokens, run", of_run)
    show("MiniLM, 128 tokens, model", of_model)
    ratio = median(m.cpu_s / r.cpu_s for m, r in zip(of_model, of_run, strict=True))
    print(f"model ÷ run, in turn: {ratio:.2f}  {promised(ratio, 1.2)}")
    checked = [command(*model, "--check") for _ in range(arguments.rounds)]
    show("MiniLM, 128 tokens, model --check", checked)


WORKS: dict[str, Callable[[argparse.Namespace], None]] = {
    "gpt2": gpt2,
    "minilm": minilm,
    "llama": llama,
}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("works", nargs="*", choices=[*WORKS, []], default=list(WORKS))
    parser.add_argument("--mask", type=Path, default=Path("out/demo/out.npz"))
    parser.add_argument("--model", type=Path, default=MINILM)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for work in arguments.works:
        WORKS[work](arguments)
