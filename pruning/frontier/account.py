"""The study as data: frontier.json, frontier.csv, and masks.toml for `accel_sim explore`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from accel_sim.reports.csv_table import csv_text
from accel_sim.reports.report import versions
from pruning.frontier.machines import MachineFigures
from pruning.frontier.results import Result
from pruning.frontier.verdict import Candidate, Verdict
from pruning.frontier.words import measure_words, notes, result_words, sentences
from sparse_formats.errors import InputError
from sparse_formats.files.reading import read_json

SCHEMA_VERSION = 1

_LARGEST = 10**9
"""Bytes of frontier.json."""


class _Study(msgspec.Struct):
    name: str


class _Written(msgspec.Struct):
    """What is read back of frontier.json."""

    study: _Study


def as_json(
    verdict: Verdict,
    machines: Mapping[str, Mapping[str, Any]],
    skipped: Sequence[str],
    command: str,
    study: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything that the page and the table show. machines: MACs and area by name."""
    reference = verdict.reference
    quality = None if reference is None else reference.quality
    return {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "versions": versions(),
        "study": study,
        "measure": None
        if quality is None
        else {
            "main": quality.main,
            "words": measure_words(quality),
            "better": "lower" if quality.is_lower_better else "higher",
            "texts": int(quality.samples.shape[1]),
            "resolution": verdict.resolution,
        },
        "reference": None if reference is None else result_words(reference),
        "verdict": list(sentences(verdict)),
        "notes": [*notes(verdict), *skipped],
        "machines": machines,
        "trained_dense": None if verdict.trained is None else _result(verdict.trained),
        "floors": [_result(result) for result in verdict.floors],
        "points": [_candidate(c, verdict) for c in verdict.candidates],
        "impossible": [
            {"name": result_words(r), "pattern": r.pattern, "sparsity": r.sparsity,
             "reason": r.impossible}
            for r in verdict.impossible
        ],
        "choices": [
            {
                "machine": choice.machine,
                "tolerance": choice.tolerance,
                "fastest": _name(choice.fastest),
                "least_energy": _name(choice.least_energy),
            }
            for choice in verdict.choices
        ],
        "best": [
            {
                "tolerance": best.tolerance,
                "fastest": _placed(*best.fastest),
                "least_energy": _placed(*best.thriftiest),
            }
            for best in verdict.bests
        ],
    }  # fmt: skip


def as_csv(data: Mapping[str, Any]) -> str:
    """One row for each point and machine; data: as in frontier.json."""
    of_points = ("name", "pattern", "sparsity", "density", "importance_kept")
    of_quality = ("quality", "loss", "loss_error", "cannot_be_told_from")
    names = list(MachineFigures.__dataclass_fields__)
    header = [*of_points, *of_quality, "machine", *names, "speedup", "energy_saving", "on_front"]
    rows = []
    for point in data["points"]:
        for machine, figures in point["machines"].items():
            rows.append(
                [
                    *(point[name] for name in (*of_points, *of_quality)),
                    machine,
                    *(figures[name] for name in names),
                    figures["speedup"],
                    figures["energy_saving"],
                    figures["on_front"],
                ]
            )
    return csv_text(header, rows)


def masks_toml(verdict: Verdict, folder: Path) -> str:
    """The masks that are worth something with their quality, as `accel_sim explore` reads them."""
    reference = verdict.reference
    if reference is None or reference.quality is None:
        return ""
    better = "lower" if reference.quality.is_lower_better else "higher"
    lines = [
        "[quality]",
        f"measure = {json.dumps(measure_words(reference.quality))}",
        f'better = "{better}"',
        "",
        "[masks]",
    ]
    for candidate in verdict.candidates:
        result = candidate.result
        quality = None if result.quality is None else result.quality.figure
        if candidate.is_dense or not candidate.can_be_chosen or quality is None:
            continue
        file = (result.folders[0] / "mask.npz").relative_to(folder)
        name = json.dumps(f"{result.pattern} {result.sparsity:g}")
        lines.append(f"{name} = {{ file = {json.dumps(str(file))}, quality = {quality!r} }}")
    return "\n".join(lines) + "\n"


def _candidate(candidate: Candidate, verdict: Verdict) -> dict[str, Any]:
    result = candidate.result
    return {
        **_result(result),
        "loss": candidate.loss,
        "loss_error": candidate.loss_error,
        "cannot_be_told_from": candidate.beaten_by or None,
        "machines": {
            name: {
                **asdict(figures),
                "speedup": candidate.speedup[name],
                "energy_saving": candidate.saving[name],
                "on_front": candidate in verdict.fronts[name],
            }
            for name, figures in result.machines.items()
        },
    }


def _result(result: Result) -> dict[str, Any]:
    quality = result.quality
    return {
        "name": result_words(result),
        "kind": result.kind,
        "pattern": result.pattern,
        "sparsity": result.sparsity,
        "seeds": list(result.seeds),
        "density": result.density,
        "importance_kept": result.importance_kept,
        "quality": None if quality is None else quality.figure,
        "figures": None if quality is None else dict(quality.figures),
        "folders": [f"points/{folder.name}" for folder in result.folders],
        "commands": [list(commands) for commands in result.commands],
        "notes": list(result.notes),
    }


def _placed(machine: str, candidate: Candidate) -> dict[str, str]:
    return {"machine": machine, "point": result_words(candidate.result)}


def _name(candidate: Candidate | None) -> str | None:
    return None if candidate is None else result_words(candidate.result)


def check_same_model(path: Path, name: str) -> None:
    """Refuse to write over the study of another model; path: where its frontier.json would be.

    Raises:
        InputError: the file is there, and of another model or of none.
    """
    if not path.exists():
        return
    found = read_json(path, _Written, "a study of frontier", _LARGEST, is_continued=True)
    if found.study.name != name:
        raise InputError(
            f"{path.parent} holds the study of {found.study.name}, not of {name}; "
            "give another folder to --out"
        )
