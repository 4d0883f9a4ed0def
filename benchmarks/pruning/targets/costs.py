"""Are targets met, how far are sums of the table from whole models, and how long does it take?"""

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.pruning.targets.ready import Ready, masks_of, model_of, ready
from benchmarks.pruning.targets.rows import keep

MACHINES = ("tf_mvp", "tensor_core_2_4", "eie")
FAMILIES = ("vector:8", "2:4", "fine")


def machines(arguments: argparse.Namespace) -> None:
    """Each machine and family: the time of the table, its sums, and three reachable targets."""
    text = arguments.data / "wikitext-2" / "valid.txt"
    for name in arguments.models:
        for machine in MACHINES:
            for family in FAMILIES:
                model = model_of(name, arguments.folder)
                with ready(model, text, machine, [family], 0, 8, update="none") as r:
                    of = {"model": name, "machine": machine, "family": family}
                    keep("sums", {**of, "table_s": round(r.seconds, 1), **sums(r)}, arguments.out)
                    for row in met(r):
                        keep("met", {**of, **row}, arguments.out)


def met(r: Ready) -> Iterator[dict[str, Any]]:
    """Three targets between the least and the most that can be reached."""
    from pruning.targets.closing import close, reachable

    least, most = reachable(r.table, r.system)
    for share in (0.2, 0.5, 0.8):
        target = least + share * (most - least)
        found = close(r.table, r.system, r.table.weights, target)
        whole = None if found is None else simulated(r, found.plan)
        yield {
            "share": share, "least": least, "most": most, "target": target,
            "ratio": None if whole is None else whole / target,
            "is_met": whole is not None and 0.98 * target <= whole <= target,
            "simulations": None if found is None else found.rounds,
        }  # fmt: skip


def simulated(r: Ready, plan: tuple[int, ...]) -> float:
    """What `accel_sim run` says of the masks of a plan, in seconds."""
    return r.system.simulated(masks_of(r, plan))


def sums(r: Ready) -> dict[str, Any]:
    """How far sums of marginal costs are from the whole model, all levels alike and mixed."""
    return worst(r, r.table.cost)


def worst(r: Ready, cost: Callable[[tuple[int, ...]], float]) -> dict[str, Any]:
    """How far the `cost` of plans is from the whole model, all levels alike and mixed."""
    count, levels = len(r.table.names), len(r.table.rows[0])
    uniform = [(level,) * count for level in range(levels)]
    rng = np.random.default_rng(0)
    mixed = [tuple(map(int, rng.integers(0, levels, count))) for _ in range(100)]
    found = {}
    for kind, plans in (("uniform", uniform), ("mixed", mixed)):
        off = [cost(plan) / r.table.whole(plan, r.system) - 1 for plan in plans]
        found[f"{kind}_worst"] = round(max(off, key=abs), 5)
        found[f"{kind}_mean"] = round(float(np.mean(np.abs(off))), 5)
    return found


def speed(arguments: argparse.Namespace) -> None:
    """CPU seconds of the table of 20 densities, with and without updates, and of the program."""
    text = arguments.data / "wikitext-2" / "valid.txt"
    for name in arguments.models:
        for family in ("vector:8", "mvp", "fine"):
            for update in ("none", "least_squares"):
                with ready(
                    model_of(name, arguments.folder), text, "tf_mvp", [family], 0, 8, update=update
                ) as r:
                    started = time.process_time()
                    r.table.best(np.ones(len(r.table.names)), r.table.costs[:, 0].sum() / 2)
                    row = {
                        "model": name, "family": family, "update": update, "table_s": r.seconds,
                        "program_s": time.process_time() - started,
                    }  # fmt: skip
                    keep("speed", row, arguments.out)
