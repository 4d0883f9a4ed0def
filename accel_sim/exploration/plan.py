"""What a study is about, before anything is simulated: its space, its goal, what every point is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.registry import sections_of
from accel_sim.exploration.candidate import (
    Candidate,
    candidate_at,
    measured,
    model_of,
    workload_of,
)
from accel_sim.exploration.masks import MaskFile, read_mask_files, read_quality
from accel_sim.exploration.measures import (
    QUALITY,
    Goal,
    Limit,
    Measure,
    limit_of,
    objectives_of,
    read_limits,
)
from accel_sim.exploration.record import code_hash, content_hash
from accel_sim.exploration.samplers import SAMPLERS, Sampler
from accel_sim.exploration.space import (
    ACCELERATOR_AXIS,
    NAMED,
    WEIGHTS,
    Choice,
    Space,
    accelerators_in,
    read_space,
    vary_table,
)
from accel_sim.exploration.study import Result
from accel_sim.exploration.subject import Subject, load_words
from accel_sim.exploration.workers import Workers
from accel_sim.inputs.defaults import ACCELERATOR
from accel_sim.machines.load import load_machine
from accel_sim.models.config import read_model
from sparse_formats.errors import InputError, SettingError, nearest
from sparse_formats.files.mask_file import sha256_of
from sparse_formats.files.toml import read_toml

_STORED_BY = (*NAMED, "array", "scheduler", "decompressor", "weight_buffer")
_COMPUTED_BY = (
    *("accel_sim/costs", "accel_sim/dataflows", "accel_sim/inputs", "accel_sim/machines"),
    *("accel_sim/models", "accel_sim/pipeline.py", "accel_sim/exploration/candidate.py"),
    *("sparse_formats/files", "sparse_formats/formats", "sparse_formats/masks"),
)
"""The code that a result depends on."""
_TABLES = ("space", "constraints", "masks", "quality")


@dataclass(frozen=True)
class SpaceFiles:
    """What the files of --space say. tables: of [space], each with where it stands."""

    tables: tuple[tuple[str, Mapping[str, Any]], ...]
    limits: Mapping[str, Limit]
    masks: Mapping[str, MaskFile]
    quality: Measure | None


def read_space_files(paths: Iterable[Path]) -> SpaceFiles:
    """The files together; each may state some of [space], [constraints], [masks], [quality].

    Raises:
        InputError: a file that cannot be read, an unknown table, something stated twice.
    """
    tables: list[tuple[str, Mapping[str, Any]]] = []
    limits: dict[str, Limit] = {}
    masks: dict[str, MaskFile] = {}
    quality: Measure | None = None
    for path in paths:
        content = read_toml(path)
        for name, table in content.items():
            if name not in _TABLES:
                raise InputError(f"{path}: unknown table [{name}]{nearest(name, _TABLES)}")
            if not isinstance(table, Mapping):
                raise InputError(f"{path}: {name} is {table!r}; make it a table [{name}]")
        if "space" in content:
            tables.append((f"{path}: [space]", _placed(content["space"], path.parent)))
        for key, value in content.get("constraints", {}).items():
            if key in limits:
                raise InputError(f"{path}: [constraints] {key} stands in another file too")
            limits[key] = limit_of(key, value, f"{path}: [constraints] {key}")
        found = read_mask_files(content.get("masks", {}), path)
        for name in found.keys() & masks.keys():
            raise InputError(f"{path}: [masks] {name!r} stands in another file too; rename one")
        if any(mask.quality is not None for mask in found.values()):
            measure = read_quality(content.get("quality"), path)
            if quality is not None and measure != quality:
                raise InputError(
                    f"{path}: its quality is {measure.words}, that of another file "
                    f"{quality.words}; give masks with one quality"
                )
            quality = measure
        masks |= found
    if quality is not None and any(mask.quality is None for mask in masks.values()):
        raise InputError("the masks of one file have a quality, those of another have none")
    return SpaceFiles(tuple(tables), limits, masks, quality)


def _placed(table: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """The table with the paths of accelerators, which start at the folder of its file."""
    item = table.get(ACCELERATOR_AXIS)
    if item is None:
        return table
    names = item if isinstance(item, list) else [item]
    placed = [
        str(folder / name) if isinstance(name, str) and name.endswith(".toml") else name
        for name in names
    ]
    return {**table, ACCELERATOR_AXIS: placed}


@dataclass(frozen=True, eq=False)
class Plan:
    """A study that can begin.

    base: what all points have in common. machines: by accelerator, before an axis changes them.
    masks: by name, if an axis.
    """

    space: Space
    goal: Goal
    base: Candidate
    machines: Mapping[str, Machine]
    masks: Mapping[str, MaskFile]
    trials: int
    sampler_name: str
    seed: int

    def candidate(self, choice: Choice) -> Candidate:
        files = {name: str(mask.path) for name, mask in self.masks.items()}
        return candidate_at(self.base, self.space.values(choice), files)

    def key(self, choice: Choice) -> str:
        """The hash of all that the result of a point depends on.

        A value that is that of the machine anyhow leaves no trace, so that a study which gets a
        further axis finds the points that it has.
        """
        values = self.space.values(choice)
        accelerator = values.get(ACCELERATOR_AXIS, self.base.accelerator)
        changes = {
            name: value
            for name, value in values.items()
            if name not in NAMED and value != _value_of(self.machines[accelerator], name)
        }
        weights = self.candidate(choice).weights
        said = {**asdict(weights), "mask": self._digests.get(weights.mask or "")}
        common = self._common[accelerator]
        return content_hash({**common, "changes": changes, "weights": said})

    def place(self, choice: Choice) -> tuple[int, ...]:
        """Where a point stands in an order in which neighbours have much in common.

        What was encoded for one is stored alike on the next if these keys are the same.
        """
        axes = zip(self.space.axes, choice, strict=True)
        order = sorted(axes, key=lambda each: _rank(each[0].name))
        return tuple(index for _, index in order)

    def known(self, choice: Choice) -> Result:
        """The quality of the point's mask, where it has one."""
        name = self.space.values(choice).get("mask")
        quality = self.masks[name].quality if name is not None else None
        return {} if quality is None else {QUALITY: quality}

    def simulate(self, choices: Sequence[Choice], workers: Workers) -> Iterator[Result]:
        return workers.map(measured, [self.candidate(choice) for choice in choices])

    def sampler(self) -> Sampler:
        make = SAMPLERS[self.sampler_name]
        return make(self.space, self.trials, self.seed, len(self.goal.objectives))

    @cached_property
    def _digests(self) -> dict[str, str]:
        """SHA-256 of every mask file, by its path."""
        paths = [str(mask.path) for mask in self.masks.values()]
        paths += [] if self.base.mask is None else [self.base.mask]
        return {path: sha256_of(path) for path in dict.fromkeys(paths)}

    @cached_property
    def subject(self) -> Subject:
        """What the study is about."""
        base, axes = self.base, {axis.name: axis.values for axis in self.space.axes}
        weights = {name: self._digests[str(mask.path)] for name, mask in self.masks.items()}
        if base.mask is not None:
            weights[Path(base.mask).name] = self._digests[base.mask]
        if base.shapes is not None:
            for pattern in axes.get("pattern", (base.pattern,)):
                for density in axes.get("density", (base.density,)):
                    named = candidate_at(base, {"pattern": pattern, "density": density}, {})
                    name = f"{base.shapes}, {pattern} at {named.density:g}"
                    weights[name] = f"drawn with seed {base.seed}"
        if not weights:
            weights[f"the dense {base.model}"] = ""
        names = tuple(machine.name for machine in self.machines.values())
        return Subject(weights, load_words(base), names)

    @cached_property
    def _common(self) -> dict[str, dict[str, Any]]:
        """What all points of an accelerator depend on."""
        return {name: self._of(machine) for name, machine in self.machines.items()}

    def _of(self, machine: Machine) -> dict[str, Any]:
        sections = sections_of(machine.dataflow)
        asked = ("tokens", "activation_density", "prefill", "generate", "batch", "context")
        model = self.base.model
        return {
            "code": code_hash(*_COMPUTED_BY),
            "dataflow": machine.dataflow,
            "machine": {section: asdict(getattr(machine, section)) for section in sections},
            "asked": {name: getattr(self.base, name) for name in asked},
            "model": None if model is None else repr(read_model(model)),
        }


def plan_of(
    base: Candidate,
    files: SpaceFiles,
    vary: Sequence[str],
    under: Sequence[str],
    minimise: Sequence[str],
    trials: int,
    sampler: str | None,
    seed: int,
) -> Plan:
    """The plan of what was asked for.

    base: its pattern and density are those of generated masks where they are no axes. sampler: None
    for all points where there are no more than `trials`, else nsga2.

    Raises:
        InputError: whatever cannot be, before anything is simulated.
    """
    tables = [*files.tables, *vary_table(vary)]
    accelerators = accelerators_in(tables)
    if accelerators and base.accelerator != ACCELERATOR:
        raise SettingError("accelerator", "is given, but it is an axis too; leave one out")
    machines = {name: load_machine(name, base.set) for name in accelerators or [base.accelerator]}
    dataflows = {name: machine.dataflow for name, machine in machines.items()}
    space = read_space(tables, dataflows, list(files.masks))
    objectives = objectives_of(minimise or ("latency", "energy"), files.quality)
    goal = Goal(objectives, read_limits(under, files.limits))
    if sampler is None:
        sampler = "grid" if space.size <= trials else "nsga2"
    elif sampler == "grid" and space.size > trials:
        raise SettingError(
            "trials",
            f"is {trials:,}, but the grid has {space.size:,} points; give as many, or another "
            "sampler",
        )
    elif sampler != "random" and space.size <= trials:
        sampler = "grid"
    plan = Plan(space, goal, base, machines, files.masks, trials, sampler, seed)
    _check_axes(plan)
    _check_weights(plan)
    return plan


def _check_axes(plan: Plan) -> None:
    """Refuse what is set although it is an axis, and axes of masks that are not generated."""
    names, base = plan.space.names, plan.base
    if "mask" in names and base.mask is not None:
        raise SettingError("mask", "is given, but the masks are an axis; leave it out")
    if "mask" in names and base.shapes is not None:
        raise SettingError("shapes", "generates masks, but [masks] names files; leave one out")
    for name in ("pattern", "density"):
        if name in names and base.shapes is None:
            raise InputError(f"the axis {name} is of generated masks; give --shapes NAME")
    for key in names:
        origins = [machine.origins.get(key) for machine in plan.machines.values()]
        if any(origin is not None and origin.mark == "set" for origin in origins):
            raise SettingError("set", f"gives {key} a value, but it is an axis; leave one out")


def _check_weights(plan: Plan) -> None:
    """Refuse masks that cannot be read or made; a pattern need fit one density only."""
    axes = {axis.name: axis.values for axis in plan.space.axes if axis.name in WEIGHTS}
    files = {name: str(mask.path) for name, mask in plan.masks.items()}
    densities = axes.pop("density", None)
    for values in product(*axes.values()):
        problem: InputError | None = None
        for density in densities or (None,):
            chosen = dict(zip(axes, values, strict=True))
            if densities:
                chosen["density"] = density
            try:
                _load(candidate_at(plan.base, chosen, files))
            except InputError as error:
                problem = error
            else:
                problem = None
                break
        if problem is not None:
            raise problem


def _load(candidate: Candidate) -> None:
    if candidate.prefill is None:
        workload_of(candidate.weights)
    else:
        model_of(candidate.weights)


def _rank(name: str) -> int:
    """Axes that change what is stored come first: of the weights, then of these sections."""
    section = name.partition(".")[0]
    return _STORED_BY.index(section) if section in _STORED_BY else len(_STORED_BY)


def _value_of(machine: Machine, key: str) -> Any:
    section, _, leaf = key.partition(".")
    return getattr(getattr(machine, section), leaf)
