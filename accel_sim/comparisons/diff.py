"""What differs between two reports: first their inputs, then where cycles and energy go.

Reports are those of `run` (layer by layer) and of `model` (by phase and operator).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from sparse_formats.errors import InputError
from sparse_formats.files.reading import read_json


@dataclass(frozen=True)
class Input:
    """Something that was given otherwise: to which part of a run, what, and how in either run."""

    part: str
    what: str
    before: str
    after: str


@dataclass(frozen=True)
class Change:
    """One figure before and after; None where it was not there."""

    what: str
    before: float | None
    after: float | None

    @property
    def difference(self) -> float:
        return (self.after or 0) - (self.before or 0)


@dataclass(frozen=True)
class PartDiff:
    """One layer or operator of both reports, or the total. causes, components: that changed."""

    name: str
    cycles: Change
    energy_j: Change
    causes: tuple[Change, ...]
    components: tuple[Change, ...]


@dataclass(frozen=True)
class Diff:
    """inputs: those that differ. parts: layers, or operators of each phase; total: over all parts
    of each report; missing: parts of one report. answers: of whole models, by their key.
    notes: what the reports do not tell.
    """

    inputs: tuple[Input, ...]
    parts: tuple[PartDiff, ...]
    total: PartDiff
    missing: tuple[str, ...]
    answers: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        return not (self.inputs or self.missing) and all(
            not (part.causes or part.components) for part in (*self.parts, self.total)
        )

    def as_data(self) -> dict[str, Any]:
        """As it stands in JSON."""
        return {"schema_version": 1, "is_same": self.is_same, **asdict(self)}


class _Result(msgspec.Struct):
    cycles: int
    energy_j: float
    cycles_by_cause: dict[str, int]
    energy_by_component_j: dict[str, float]


class _Layer(_Result):
    name: str = msgspec.field()
    rows: int | None = None
    cols: int | None = None
    nnz: int | None = None
    tokens: int | None = None
    runs: int | None = None


class _Operator(_Result):
    kind: str = msgspec.field()


class _Phase(_Result):
    by_kind: list[_Operator] = msgspec.field()


class _Report(msgspec.Struct):
    accelerator: dict[str, Any]
    mask: dict[str, Any] = {}
    activations: dict[str, Any] = {}
    calibration: dict[str, Any] | None = None
    versions: dict[str, Any] = {}
    layers: list[_Layer] | None = None
    total: _Result | None = None
    model: dict[str, Any] = {}
    request: dict[str, Any] = {}
    phases: dict[str, _Phase] | None = None
    answer: dict[str, Any] = {}

    @property
    def parts(self) -> dict[str, _Result]:
        """Layers, or operators of each phase, by name."""
        if self.phases is None:
            return {layer.name: layer for layer in self.layers or ()}
        return {
            f"{name}: {each.kind}": each
            for name, phase in self.phases.items()
            for each in phase.by_kind
        }

    @property
    def whole(self) -> _Result:
        """All parts together."""
        if self.total is not None:
            return self.total
        parts = list(self.parts.values())
        return _Result(
            sum(part.cycles for part in parts),
            sum(part.energy_j for part in parts),
            _added([part.cycles_by_cause for part in parts]),
            _added([part.energy_by_component_j for part in parts]),
        )

    @property
    def shapes(self) -> dict[str, Any]:
        """What the matrices are: the shape of each, or the sizes of a whole model."""
        if self.phases is not None:
            return {key: self.model.get(key) for key in _MODEL_SIZES}
        return {layer.name: (layer.rows, layer.cols) for layer in self.layers or ()}


_MODEL_SIZES = (
    *("layers", "width", "heads", "kv_heads", "head_width", "ffn", "is_gated", "head_rows"),
    *("patch", "layer_weights"),
)
"""Keys of a whole model's report that tell its matrices."""

_WHAT = "a report of mvpsim, as run --json and model --json write it"

_SAID_IN_SHA = ("source", "header", "read")
"""Keys of a mask that a hash of its file stands for, or that say nothing of its weights."""


def diff(before: Path, after: Path, *, is_other_allowed: bool = False) -> Diff:
    """What `after` has otherwise than `before`; parts are matched by name, in their order.

    is_other_allowed: take reports of other matrices too, and compare the parts of one name.

    Raises:
        InputError: a file cannot be read or is no report; one is of single matrices and the other
            of a whole model; their matrices differ, unless that is allowed.
    """
    one, other = _read(before), _read(after)
    if (one.phases is None) != (other.phases is None):
        raise InputError(
            f"{before} and {after} cannot be subtracted: one is a report of single matrices, the "
            "other of a whole model; give two of run, or two of model"
        )
    if not is_other_allowed:
        _check_same_matrices(before, one, after, other)
    parts, others = one.parts, other.parts
    return Diff(
        inputs=tuple(_inputs(one, other)),
        parts=tuple(
            _compared(name, part, others[name]) for name, part in parts.items() if name in others
        ),
        total=_compared("total", one.whole, other.whole),
        missing=tuple(sorted(parts.keys() ^ others.keys())),
        answers=tuple(_answers(one.answer, other.answer)),
        notes=tuple(_untold(one, other)),
    )


_MOST_BYTES = 2**30


def _read(path: Path) -> _Report:
    report = read_json(path, _Report, _WHAT, _MOST_BYTES)
    if report.phases is None and (report.layers is None or report.total is None):
        raise InputError(f"{path} is not {_WHAT}; a sweep or a comparison cannot be subtracted")
    return report


def _check_same_matrices(before: Path, one: _Report, after: Path, other: _Report) -> None:
    """Refuse reports of other matrices."""
    mine, theirs = one.shapes, other.shapes
    differing = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]
    if not differing:
        return
    few = ", ".join(
        f"{key} ({_shape(mine.get(key))} and {_shape(theirs.get(key))})" for key in differing[:3]
    )
    more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
    raise InputError(
        f"{before} and {after} are of other matrices: {few}{more}; --other-matrices subtracts what "
        "has the same name"
    )


def _shape(value: Any) -> str:
    if value is None:
        return "none"
    return "×".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _inputs(one: _Report, other: _Report) -> Iterator[Input]:
    """Whatever was given otherwise, in the order in which a run is described."""
    yield from _differing("mask", _of_mask(one, other), _of_mask(other, one))
    yield from _of_layers(one.layers or (), other.layers or ())
    yield from _differing("activations", one.activations, other.activations)
    model, theirs = (
        {key: value for key, value in report.model.items() if key != "cache_bytes_per_token"}
        for report in (one, other)
    )
    yield from _differing("model", model, theirs)
    yield from _differing("request", one.request, other.request)
    yield from _differing("machine", _values(one.accelerator), _values(other.accelerator))
    yield from _differing("calibration", one.calibration or {}, other.calibration or {})
    yield from _differing("version", one.versions, other.versions)


def _of_mask(report: _Report, other: _Report) -> dict[str, Any]:
    """What is said of a mask; where it was read from only where no hash tells it."""
    mask = report.mask
    left_out = _SAID_IN_SHA if mask.get("sha256") and other.mask.get("sha256") else _SAID_IN_SHA[1:]
    return {key: value for key, value in mask.items() if key not in left_out}


def _of_layers(one: Sequence[_Layer], other: Sequence[_Layer]) -> Iterator[Input]:
    """In how many layers another number of weights is kept, of tokens goes through, and the like.

    Weights are told where no hash or pattern does.
    """
    theirs = {layer.name: layer for layer in other}
    both = [(layer, theirs[layer.name]) for layer in one if layer.name in theirs]
    for key, words in (("nnz", "kept weights"), ("tokens", "tokens"), ("runs", "runs")):
        pairs = [(getattr(a, key), getattr(b, key), a.name) for a, b in both]
        differing = [each for each in pairs if each[0] != each[1]]
        if differing:
            old, new, name = differing[0]
            where = name if len(differing) == 1 else f"{name} and {len(differing) - 1} more"
            yield Input("layers", f"{words} of {where}", _text(old), _text(new))


def _untold(one: _Report, other: _Report) -> Iterator[str]:
    """What nothing in the reports tells."""
    masks = one.mask, other.mask
    if any(not mask.get("sha256") and mask.get("source") not in _TOLD for mask in masks):
        yield (
            "A report has no hash of its mask, so a mask that keeps as many weights elsewhere is "
            "not noticed."
        )


_TOLD = ("generated", "dense")
"""Sources of masks that are told by what else is said of them."""


def _compared(name: str, before: _Result, after: _Result) -> PartDiff:
    return PartDiff(
        name,
        Change("cycles", before.cycles, after.cycles),
        Change("energy", before.energy_j, after.energy_j),
        _changes(before.cycles_by_cause, after.cycles_by_cause),
        _changes(before.energy_by_component_j, after.energy_by_component_j),
    )


def _changes(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[Change, ...]:
    """Parts that differ, the largest difference first."""
    changes = [
        Change(part, before.get(part), after.get(part)) for part in dict.fromkeys([*before, *after])
    ]
    return tuple(sorted((c for c in changes if c.difference), key=lambda c: -abs(c.difference)))


ANSWERS = {
    "time_to_first_token_s": "time to first token",
    "time_per_output_token_s": "time per output token",
    "tokens_per_second": "output tokens a second",
    "energy_per_output_token_j": "energy per output token",
    "prefill_energy_j": "energy of the prompt",
    "memory_bytes": "peak memory",
}
"""Figures of a whole model that are compared, in words."""


def _answers(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for key in ANSWERS:
        old, new = (_figure(answer.get(key)) for answer in (before, after))
        if old is not None or new is not None:
            yield Change(key, old, new)


def _figure(value: Any) -> float | None:
    """A figure of an answer: of several, the mean or the total."""
    if isinstance(value, Mapping):
        value = value.get("mean", value.get("total"))
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _values(accelerator: Mapping[str, Any]) -> dict[str, Any]:
    """`section.key` → value."""
    values = {"name": accelerator.get("name"), "dataflow": accelerator.get("dataflow")}
    for section, items in accelerator.items():
        for key, item in items.items() if isinstance(items, dict) else ():
            values[f"{section}.{key}"] = item.get("value") if isinstance(item, dict) else item
    return values


def _differing(part: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Input]:
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            yield Input(part, key, _text(before.get(key)), _text(after.get(key)))


def _text(value: Any) -> str:
    return "–" if value is None else str(value)


def _added(maps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in maps:
        for key, value in each.items():
            found[key] = found.get(key, 0) + value
    return found
