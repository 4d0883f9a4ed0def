"""Prune an opened model until it meets a target: the whole way in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.models.simulate import Request
from pruning.data.examples import Examples
from pruning.models.opening import OpenModel
from pruning.patterns.pattern import Target
from pruning.recipe import Recipe, heads_of
from pruning.reconstruct import DEFAULT_UPDATE, UPDATES, output_error
from pruning.report import Chosen, Pruning, pruning_of
from pruning.scores import SCORES, importance
from pruning.scoring import ScoredMatrix
from pruning.selection.weights import best_weights
from pruning.statistics.calibration import calibrated
from pruning.statistics.matrix_statistics import Statistics
from pruning.targets.closing import CLOSE, Closed, close, reachable
from pruning.targets.judge import Judge
from pruning.targets.levels import Level, levels_of
from pruning.targets.machine import Matrices, System
from pruning.targets.search import Found, search
from pruning.targets.settings import Goal, amount, said
from pruning.targets.table import Plan, Table, as_data, rows_of
from sparse_formats.errors import InputError
from sparse_formats.terminal.progress import Tell


@dataclass(frozen=True, eq=False)
class Task:
    """A model with what it is pruned by. known: of each matrix its inputs, and more by the score.

    matrices: scored. update: of the kept weights at the end, "none" for none.
    """

    opened: OpenModel
    matrices: tuple[ScoredMatrix, ...]
    known: Mapping[str, Statistics]
    update: str

    @property
    def is_updated(self) -> bool:
        return self.update != "none"

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """(out, in) of each matrix, by name."""
        return {m.name: (m.scores.shape[0], m.scores.shape[1]) for m in self.matrices}


def prune_for_machine(
    opened: OpenModel,
    examples: Examples,
    recipe: Recipe,
    goal: Goal,
    machine: Machine,
    tell: Tell = lambda step: None,
) -> Pruning:
    """The masks that meet the target with the least loss that was found.

    recipe: pattern, score, update, seed and tokens count; not how much is removed.

    Raises:
        InputError: a target that cannot be reached, with what can be; settings that do not fit.
    """
    levels = levels_of((recipe.pattern, *goal.alternatives), vars(recipe), goal)
    needs = {"gram", *SCORES[recipe.score].needs}
    with calibrated(opened, examples, needs, tell=tell) as known:
        task = task_of(opened, known, recipe)
        system = system_of(task, recipe, goal, machine)
        table = table_of(task, levels, system, tell)
        target = target_of(goal, system)
        check_reachable(table, system, target)
        with Judge(opened, examples) as judge:
            found = searched(table, system, target, judge, goal.draws, recipe.seed, tell)
            judged_by = judge.measure
        tell("closing the gap")
        closed = close(table, system, found.coefficients, target)
        if closed is None or closed.whole < CLOSE * target:
            raise _out_of_reach(table, system, target, None if closed is None else closed.whole)
        done = _pruning(task, table, closed.plan, recipe, tell)
    whole = system.simulated(done.masks)
    said_of = _account(task, table, system, target, found, judged_by, closed, whole)
    masks = replace(done.masks, header={**done.masks.header, "target": said_of})
    return replace(done, masks=masks, target=said_of)


def task_of(opened: OpenModel, known: Mapping[str, Statistics], recipe: Recipe) -> Task:
    """The matrices with their importance."""
    matrices = tuple(
        ScoredMatrix(m.name, m.kind, importance(m.name, known[m.name], recipe.score), m.weight())
        for m in opened.matrices
    )
    return Task(opened, matrices, known, recipe.update or DEFAULT_UPDATE)


def system_of(task: Task, recipe: Recipe, goal: Goal, machine: Machine) -> System:
    """What is simulated: the matrices alone, or with --prefill the whole transformer."""
    if goal.prefill is None:
        execution = task.opened.execution
        return Matrices(machine, goal.measure, task.shapes, recipe.tokens, execution)
    from pruning.targets.whole_model import WholeModel

    request = Request(prefill=goal.prefill, generate=goal.generate, batch=goal.batch)
    config = task.opened.model.config.to_dict()
    return WholeModel(machine, goal.measure, task.shapes, config, request, task.opened.name)


def target_of(goal: Goal, system: System) -> float:
    """The target in seconds or joules.

    Raises:
        SettingError: no number with a unit.
    """
    if goal.speedup is not None:
        return system.dense / goal.speedup
    text = goal.target_latency or goal.target_energy
    assert text is not None
    return amount(text, goal.measure)


def table_of(task: Task, levels: Sequence[Level], system: System, tell: Tell) -> Table:
    """What each matrix costs and loses at each level."""
    rows = []
    for matrix in task.matrices:
        tell(f"{len(levels)} levels of {matrix.name}")
        known = task.known[matrix.name]
        rows.append(rows_of(matrix, known, levels, system, task.is_updated))
    return Table.of([m.name for m in task.matrices], rows)


def check_reachable(table: Table, system: System, target: float) -> None:
    """Refuse a target that no plan can meet.

    Raises:
        InputError: with what can be reached.
    """
    least, most = reachable(table, system)
    if not least <= target <= most / CLOSE:
        raise _out_of_reach(table, system, target, None)


def _out_of_reach(table: Table, system: System, target: float, nearest: float | None) -> InputError:
    least, most = reachable(table, system)
    low, high = said(least, system.measure), said(most, system.measure)
    is_latency = system.measure == "latency"
    factors = (
        f" (speed-ups from {system.dense / most:.3g} to {system.dense / least:.3g})"
        if is_latency
        else ""
    )
    near = "" if nearest is None else f"; the nearest below it is {said(nearest, system.measure)}"
    return InputError(
        f"{'a latency' if is_latency else 'an energy'} of {said(target, system.measure)} is out of "
        f"reach: with these patterns and densities {system.machine.title} takes from {low} to "
        f"{high}{factors}{near}; give a target in between, or other patterns or densities"
    )


def searched(
    table: Table,
    system: System,
    target: float,
    judge: Judge,
    draws: int,
    seed: int,
    tell: Tell,
) -> Found:
    """The outer search; budgets are less by what the first plan takes beyond its costs."""
    start = close(table, system, table.weights, target)
    beyond = 0.0 if start is None else start.whole - table.cost(start.plan)

    def loss_of(plan: Plan) -> float:
        rows = table.chosen(plan)
        return judge({name: row.stored for name, row in zip(table.names, rows, strict=True)})

    return search(table, lambda c: table.best(c, target - beyond), loss_of, draws, seed, tell)


def _pruning(task: Task, table: Table, plan: Plan, recipe: Recipe, tell: Tell) -> Pruning:
    """The masks of the plan, with the kept weights updated."""
    chosen = []
    for matrix, row in zip(task.matrices, table.chosen(plan), strict=True):
        tell(f"mask and weights of {matrix.name}")
        assert matrix.weight is not None
        pruned = row.level.mask(Target(matrix.name, matrix.kind, matrix.scores))
        known = task.known[matrix.name]
        assert known.gram is not None
        weight = matrix.weight.astype(np.float64)
        rebuilt = np.where(pruned.keep, weight, 0)
        if task.is_updated and not pruned.keep.all():
            # Masks are locked: without `local` no update chooses again.
            _, rebuilt = UPDATES[task.update](weight, known.gram, pruned.keep, None)
        error = output_error(weight, rebuilt, known.gram)
        (free,) = best_weights([matrix.scores], int(np.count_nonzero(pruned.keep)))
        chosen.append(
            Chosen(pruned, rebuilt.astype(matrix.weight.dtype), row.level.pattern, free, error)
        )
    sparsity = 1 - sum(int(c.pruned.keep.sum()) for c in chosen) / sum(
        c.pruned.keep.size for c in chosen
    )
    used = replace(recipe, sparsity=round(sparsity, 6), update=task.update)
    return pruning_of(
        task.matrices,
        chosen,
        used,
        task.opened.name,
        heads_of(recipe, task.opened.heads),
        task.opened.execution,
    )


def _account(
    task: Task,
    table: Table,
    system: System,
    target: float,
    found: Found,
    judged_by: str,
    closed: Closed,
    whole: float,
) -> dict[str, Any]:
    """What was asked, what came of it, and what each matrix became."""
    least, most = reachable(table, system)
    return {
        "accelerator": system.machine.title,
        "measure": system.measure,
        "target": target,
        "reached": whole,
        "reachable": [least, most],
        "dense_latency_s": system.dense,
        "speedup": system.dense / whole if system.measure == "latency" else None,
        "table_sum": table.cost(closed.plan),
        "simulations": closed.rounds,
        "judged": found.judged,
        "judged_by": judged_by,
        "loss_first": found.first,
        "loss": found.loss,
        "plan": [
            {"name": name, "coefficient": float(c), **as_data(row)}
            for name, c, row in zip(
                table.names, found.coefficients, table.chosen(closed.plan), strict=True
            )
        ],
    }
