"""What a study found, as data: explore.json, explore.csv, and a file that runs a point again."""

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from accel_sim.exploration.measures import MEASURES, QUALITY
from accel_sim.exploration.plan import Plan
from accel_sim.exploration.study import Study, Trial
from accel_sim.inputs.workload import GENERATED
from accel_sim.machines.plausibility import implausible
from accel_sim.reports.report import versions
from sparse_formats.files.toml import toml_text
from sparse_formats.untrusted import csv_cell

SCHEMA_VERSION = 1

_WEIGHTS_ALONE = (
    "Only products of weights are counted: attention products, softmax, norms and the KV cache are "
    "not. --model counts them."
)


def as_json(plan: Plan, study: Study, command: str) -> dict[str, Any]:
    """The whole study, JSON-able. Nothing in it depends on when or by whom it was computed."""
    on_front = {trial.key for trial in study.front}
    return {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "versions": versions(),
        "subject": asdict(plan.subject),
        "accelerator": ", ".join(machine.title for machine in plan.machines.values()),
        "space": {
            "size": study.space.size,
            "axes": {axis.name: list(axis.values) for axis in study.space.axes},
            "links": {link.name: f"{link.factor:g} * {link.follows}" for link in study.space.links},
        },
        "sampler": plan.sampler_name,
        "objectives": [
            {
                "key": each.key,
                "words": each.words,
                "unit": each.unit,
                "better": "lower" if each.sign > 0 else "higher",
            }
            for each in study.goal.objectives
        ],
        "limits": {limit.measure.key: limit.most for limit in study.goal.limits},
        "notes": _notes(plan),
        "trials": len(study.trials),
        "feasible": len(study.feasible),
        "reasons": _reasons(study),
        "front": [trial.key for trial in study.front],
        "knee": None if study.knee is None else study.knee.key,
        "hypervolume": study.hypervolumes,
        "points": [
            {
                "key": trial.key,
                "command": plan.base.command,
                "values": dict(trial.values),
                **{key: value for key, value in trial.result.items() if key != "reason"},
                "reason": trial.reason or None,
                "is_on_front": trial.key in on_front,
            }
            for trial in study.trials
        ],
    }


def _notes(plan: Plan) -> list[str]:
    """What a reader must know of every point."""
    base = plan.base
    return [
        *_of_machines(plan),
        *([GENERATED] if base.shapes is not None else []),
        *([_WEIGHTS_ALONE] if base.prefill is None else []),
    ]


def _of_machines(plan: Plan) -> list[str]:
    """Notes of the accelerators, which are named where there are several."""
    return [
        note if len(plan.machines) == 1 else f"{machine.name}: {note}"
        for machine in plan.machines.values()
        for note in (machine.note, *implausible(machine))
        if note
    ]


def _reasons(study: Study) -> dict[str, int]:
    """Why points do not count, and of how many each is true; the most frequent first."""
    found = Counter(_kind(trial, study) for trial in study.trials if not trial.is_feasible)
    return dict(found.most_common())


def _kind(trial: Trial, study: Study) -> str:
    """The reason, without the figures of a broken limit."""
    if "reason" in trial.result:
        return trial.reason
    broken = [limit for limit in study.goal.limits if limit.exceeded(trial.result)]
    return " and ".join(f"{limit.measure.key} above {limit.most:g}" for limit in broken)


def as_csv(data: Mapping[str, Any]) -> str:
    """One row a point, in the order of the trials; the names of axes and measures are columns."""
    points = data["points"]
    axes = [*data["space"]["axes"], *data["space"]["links"]]
    measures = [
        "cycles",
        *(measure.key for measure in MEASURES.values()),
        QUALITY,
        "bound_by",
        "kept_share",
    ]
    columns = [key for key in measures if any(key in point for point in points)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["key", *axes, *columns, "is_on_front", "reason"])
    for point in points:
        cells = [point["key"], *(point["values"].get(name) for name in axes)]
        cells += [point.get(key) for key in columns]
        writer.writerow(map(csv_cell, [*cells, point["is_on_front"], point["reason"]]))
    return text.getvalue()


def point_file(plan: Plan, trial: Trial) -> str:
    """TOML that `run --config`, or `model --config`, takes to simulate the point again."""
    candidate = plan.candidate(trial.choice)
    lines = [
        f"# python -m accel_sim {candidate.command} --config THIS FILE",
        f"# {_one_line(trial.reason or _figures(trial))}",
        *(f"{key} = {toml_text(value)}" for key, value in candidate.settings().items()),
    ]
    return "".join(f"{line}\n" for line in lines)


def _figures(trial: Trial) -> str:
    result = trial.result
    return ", ".join(
        f"{each.key} = {result[each.key]:.6g}" for each in MEASURES.values() if each.key in result
    )


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
