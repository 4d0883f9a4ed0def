"""One point of a study, computed into a folder of its own; what is there already stays.

    points/vector-8_0.7_seed0_1f0c…/mask.npz      the masks, with weights where they were changed
                                    mask.json     what they keep
                                    model/        the trained model, where there is training
                                    quality.json  figures, by the key of the measure
                                    tf_mvp_9b2e…/ figures.json, and the report of a machine
                                    commands.txt  commands that give all of it again

Every JSON file is written last of its part and holds the key of what it depends on. So a point that
was stopped anywhere goes on with the first part that is missing.
"""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pruning.frontier import machines, masks
from pruning.frontier.masks import Impossible
from pruning.frontier.plan import Point
from pruning.frontier.study import Study
from sparse_formats.errors import InputError
from sparse_formats.files.atomic import json_text, write_text
from sparse_formats.files.mask_file import read_masks, sha256_of, write_masks
from sparse_formats.files.output_folder import prepare_folder
from sparse_formats.masks.matrix import MaskSet
from sparse_formats.terminal.progress import Tell

if TYPE_CHECKING:
    from pruning.evaluation.comparison import Measure
    from pruning.models.opening import OpenModel

MASKS, MASK_DATA, QUALITY, FIGURES, MODEL = (
    "mask.npz", "mask.json", "quality.json", "figures.json", "model"
)  # fmt: skip
COMMANDS = "commands.txt"

_LARGEST_JSON = 2**28


@dataclass(frozen=True)
class Task:
    """A point, its folder, and the keys of its parts. machines: by the accelerator's name, its key.

    commands: that give the parts again; those of machines by the accelerator's name.
    """

    study: Study
    point: Point
    folder: Path
    masks: str
    quality: str | None
    machines: Mapping[str, str]
    commands: tuple[str, ...] = ()
    machine_commands: Mapping[str, str] = field(default_factory=dict)

    def machine_folder(self, name: str) -> Path:
        """Where the report of an accelerator lies."""
        accelerator = Path(self.study.variants[name].accelerator).stem
        return self.folder / f"{accelerator}_{self.machines[name][:8]}"


def is_done(task: Task) -> bool:
    """Whether nothing of the point is missing."""
    found = mask_data(task)
    if found is None:
        return False
    if "impossible" in found:
        return True
    has_quality = task.quality is None or quality_data(task) is not None
    return has_quality and all(machine_data(task, name) is not None for name in task.machines)


def evaluate(task: Task, tell: Tell = lambda step: None) -> str:
    """Compute what is missing of a point; returns the name of its folder.

    Raises:
        InputError: the study cannot be done: data, model or machine do not go together.
    """
    prepare_folder(task.folder)
    known = mask_data(task) or _make_masks(task, tell)
    if "impossible" not in known:
        if task.quality is not None and quality_data(task) is None:
            _measure(task, tell)
        for name in task.machines:
            if machine_data(task, name) is None:
                _simulate(task, name, tell)
    return task.folder.name


def mask_data(task: Task) -> dict[str, Any] | None:
    """What mask.json says of these masks, None where they are not there."""
    found = _read(task.folder / MASK_DATA)
    return found if found is not None and found.get("key") == task.masks else None


def quality_data(task: Task) -> dict[str, Any] | None:
    """Figures of this measure, None where they are not there."""
    found = _read(task.folder / QUALITY) or {}
    return found.get("measures", {}).get(task.quality)


def machine_data(task: Task, name: str) -> dict[str, Any] | None:
    """Figures of this accelerator, None where they are not there."""
    found = _read(task.machine_folder(name) / FIGURES)
    return found if found is not None and found.get("key") == task.machines[name] else None


def _make_masks(task: Task, tell: Tell) -> dict[str, Any]:
    folder = task.folder
    known: dict[str, Any] = {"key": task.masks}
    try:
        found, said = _masks(task, tell)
        known |= said
    except Impossible as error:
        found = None
        known["impossible"] = str(error)
    if found is not None:
        write_masks(folder / MASKS, found)
        known["sha256"] = sha256_of(folder / MASKS)
    write_text(folder / MASK_DATA, json_text(known))
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    return known


def _masks(task: Task, tell: Tell) -> tuple[MaskSet | None, dict[str, Any]]:
    """The masks of the point, if it has some, and what to know of them."""
    study, point = task.study, task.point
    if point.kind == "dense":
        return None, {"density": 1.0}
    if study.model is None:
        try:
            machines.check_drawn(study, point)
        except InputError as error:
            raise Impossible(str(error)) from error
        return None, {"density": 1 - point.sparsity}
    said: dict[str, Any] = {}
    found: MaskSet | None = None
    if point.kind == "zeroed":
        found = masks.zeroed(study)
    elif point.kind == "random mask" or (point.kind == "pruned" and study.recovery is None):
        pruning = masks.pruned(study, point, tell)
        said = {"notes": list(pruning.notes)}
        if point.kind == "pruned":
            said |= {
                "importance_kept": pruning.total.importance_kept,
                "retention": pruning.total.retention,
            }
        has_own = pruning.recipe.update not in (None, "none")
        found = pruning.masks if has_own else masks.without_weights(pruning.masks)
    if study.recovery is not None:
        checkpoint = task.folder / "checkpoint"
        opened, found, importance = masks.trained(study, point, found, checkpoint, tell)
        if point.kind == "pruned":
            said["importance_kept"] = importance
        _save(opened, task.folder / MODEL)
    assert found is not None
    kept, size = sum(m.nnz for m in found.matrices), sum(m.size for m in found.matrices)
    return found, {"density": kept / size, **said}


def _save(opened: "OpenModel", folder: Path) -> None:
    from pruning.models.saving import save_model
    from sparse_formats.files.output_folder import replace_files

    with replace_files(folder, "trained model") as beside:
        save_model(opened, beside)


def _measure(task: Task, tell: Tell) -> None:
    from pruning.evaluation.comparison import unchanged
    from pruning.evaluation.figures import figures_of
    from pruning.models.masking import apply_masks

    study, point = task.study, task.point
    assert study.measure is not None and study.model is not None
    tell("measuring")
    if study.recovery is not None and point.kind != "dense":
        opened, measure = _opened(task.folder / MODEL, study)
        found = measure(opened)
    else:
        opened, measure = _given_model(study)
        with unchanged(opened):
            if point.kind != "dense":
                apply_masks(opened, read_masks(task.folder / MASKS))
            found = measure(opened)
    path = task.folder / QUALITY
    before = (_read(path) or {}).get("measures", {})
    kind = type(found)
    measured = {
        "figures": figures_of(found),
        "main": kind.MAIN,
        "is_lower_better": kind.IS_LOWER_BETTER,
        "is_logarithm": kind.IS_LOGARITHM,
        "samples": found.samples.tolist(),
    }
    write_text(path, json_text({"measures": {**before, task.quality: measured}}))


@lru_cache(maxsize=1)
def _given_model(study: Study) -> "tuple[OpenModel, Measure]":
    """The study's model as it is given, opened once."""
    assert study.model is not None
    return _opened(study.model, study)


def _opened(path: Path, study: Study) -> "tuple[OpenModel, Measure]":
    import torch

    from pruning.models.devices import find_device

    assert study.measure is not None
    torch.set_num_threads(study.threads)
    return study.measure.open_measured(path, find_device(study.device), lambda step: None)


def _simulate(task: Task, name: str, tell: Tell) -> None:
    study, point = task.study, task.point
    tell(f"on {name}")
    folder = task.machine_folder(name)
    prepare_folder(folder)
    has_masks = point.kind != "dense" and study.model is not None
    found = machines.simulated(
        study,
        point,
        read_masks(task.folder / MASKS) if has_masks else None,
        name,
        task.machine_commands.get(name, ""),
        folder,
    )
    write_text(folder / FIGURES, json_text({"key": task.machines[name], **asdict(found)}))


def _read(path: Path) -> dict[str, Any] | None:
    """A JSON file of ours; None where there is none.

    Raises:
        InputError: it is damaged.
    """
    if not path.is_file() or path.stat().st_size > _LARGEST_JSON:
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (msgspec.DecodeError, OSError) as error:
        raise InputError(
            f"{path} is damaged ({error}); remove it, and it is computed again"
        ) from None
