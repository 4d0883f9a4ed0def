"""What the points of a study came to: seeds together, as numbers for the verdict."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from pruning.evaluation.figures import Samples
from pruning.frontier.evaluate import Task, machine_data, mask_data, quality_data
from pruning.frontier.machines import MachineFigures
from pruning.frontier.plan import Kind


@dataclass(frozen=True, eq=False)
class Quality:
    """figures: by name, means over seeds. main: the one that counts.

    samples: (seeds, texts), see `pruning.evaluation.figures`; more is better in them.
    """

    figures: Mapping[str, float | None]
    main: str
    is_lower_better: bool
    samples: Samples

    @property
    def figure(self) -> float | None:
        """The main figure; None beyond all floats."""
        return self.figures[self.main]

    @property
    def goodness(self) -> float:
        """The mean of the samples."""
        return float(self.samples.mean())


@dataclass(frozen=True, eq=False)
class Result:
    """A point with all of its seeds. impossible: why there is none of it; "" where there is.

    machines: by name, means over seeds. folders, commands: of each seed.
    """

    kind: Kind
    pattern: str
    sparsity: float
    seeds: tuple[int, ...]
    folders: tuple[Path, ...]
    commands: tuple[tuple[str, ...], ...]
    density: float | None = None
    importance_kept: float | None = None
    quality: Quality | None = None
    machines: Mapping[str, MachineFigures] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    impossible: str = ""


def collect(tasks: Iterable[Task]) -> list[Result]:
    """The results of tasks that are done, in their order; those of one point stand together."""

    groups: dict[tuple[str, str, float], list[Task]] = {}
    for task in tasks:
        point = task.point
        groups.setdefault((point.kind, point.pattern, point.sparsity), []).append(task)
    return [_result(group) for group in groups.values()]


def _result(tasks: Sequence[Task]) -> Result:
    point = tasks[0].point
    known = [mask_data(task) or {} for task in tasks]
    base = {
        "kind": point.kind,
        "pattern": point.pattern,
        "sparsity": point.sparsity,
        "seeds": tuple(task.point.seed for task in tasks),
        "folders": tuple(task.folder for task in tasks),
        "commands": tuple((*task.commands, *task.machine_commands.values()) for task in tasks),
    }
    if said := next((data["impossible"] for data in known if "impossible" in data), ""):
        return Result(**base, impossible=said)
    notes = dict.fromkeys(note for data in known for note in data.get("notes", ()))
    return Result(
        **base,
        density=fmean(data["density"] for data in known),
        importance_kept=_mean([data.get("importance_kept") for data in known]),
        quality=_quality([quality_data(task) for task in tasks]),
        machines={
            name: _machine([machine_data(task, name) or {} for task in tasks])
            for name in tasks[0].machines
        },
        notes=tuple(notes),
    )


def _quality(found: Sequence[Mapping[str, Any] | None]) -> Quality | None:
    measured = [data for data in found if data is not None]
    if not measured:
        return None
    first = measured[0]
    sign = -1.0 if first["is_lower_better"] else 1.0
    samples = sign * np.array([data["samples"] for data in measured], np.float64)
    names = [n for n, v in first["figures"].items() if isinstance(v, int | float | None)]
    figures = {name: _mean([data["figures"][name] for data in measured]) for name in names}
    if first["is_logarithm"] and len(measured) > 1:
        # Perplexities are multiplied, not added: their mean is the geometric one.
        with np.errstate(over="ignore"):
            mean = float(np.exp(sign * samples.mean()))
        figures[first["main"]] = mean if np.isfinite(mean) else None
    return Quality(figures, first["main"], first["is_lower_better"], samples)


def _machine(found: Sequence[Mapping[str, Any]]) -> MachineFigures:
    values = {
        name: _mean([data[name] for data in found]) for name in MachineFigures.__dataclass_fields__
    }
    return MachineFigures(**{**values, "cycles": round(values["cycles"] or 0)})  # type: ignore[arg-type]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None
