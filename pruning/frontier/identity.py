"""What a result depends on, as one key: who starts again finds what is there under the same key.

A key is the hash of contents, never of names or dates: the bytes of model and data, the recipe, the
machine value by value, and the code that computes the result.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_sim.exploration.record import code_hash, content_hash
from pruning.frontier.plan import Point
from pruning.frontier.study import Load, Study
from pruning.recipe import as_json as recipe_json
from pruning.training.settings import as_json as training_json
from sparse_formats.files.mask_file import sha256_of

if TYPE_CHECKING:
    from accel_sim.dataflows.abstract.dataflow import Machine

_CODE: Mapping[str, tuple[str, ...]] = {
    "masks": (
        *("pruning/patterns", "pruning/selection", "pruning/scores", "pruning/statistics"),
        *("pruning/structure", "pruning/reconstruct", "pruning/direction/retention.py"),
        *("pruning/budgets.py", "pruning/pipeline.py", "pruning/profiles.py", "pruning/recipe.py"),
        *("pruning/scoring.py", "pruning/frontier/masks.py", "sparse_formats/files"),
        "sparse_formats/masks",
    ),
    "training": ("pruning/training", "pruning/data", "pruning/models"),
    "quality": ("pruning/evaluation", "pruning/data", "pruning/models"),
    "machines": (
        *("accel_sim/costs", "accel_sim/dataflows", "accel_sim/inputs", "accel_sim/machines"),
        *("accel_sim/models", "accel_sim/pipeline.py", "pruning/frontier/machines.py"),
        *("sparse_formats/formats", "sparse_formats/masks"),
    ),
}
"""The files of code behind each kind of result."""

_SMALL_BYTES = 20_000_000
"""Of files beside the weights that say how a model is read: config, tokenizer."""


def fingerprint(study: Study) -> str:
    """Of the content of all files that the study reads."""
    file_hash.cache_clear()
    model_hash.cache_clear()
    files = [study.statistics, None if study.recovery is None else study.recovery.data]
    if study.measure is not None:
        files += [study.measure.source()[1], study.measure.human]
    content = [None if path is None else file_hash(path) for path in files]
    return content_hash([None if study.model is None else model_hash(study.model), *content])


def mask_key(study: Study, point: Point) -> str:
    """Of the masks of a point, and of the trained model where there is training."""
    recovery = study.recovery
    content: dict[str, Any] = {
        "kind": point.kind,
        "recipe": None if point.recipe is None else recipe_json(point.recipe),
        "model": None if study.model is None else model_hash(study.model),
        "shapes": study.shapes,
        "code": code_hash(*_CODE["masks"]),
    }
    if study.statistics is not None:
        content["statistics"] = file_hash(study.statistics)
    if recovery is not None and point.kind != "dense":
        content["recovery"] = {
            "training": training_json(recovery.training),
            "data": file_hash(recovery.data),
            "kind": recovery.task,
            "torch": version("torch"),
            "code": code_hash(*_CODE["training"]),
        }
    return content_hash(content)


def quality_key(study: Study, masks: str) -> str:
    """Of the quality of the point whose masks have this key."""
    measure = study.measure
    assert measure is not None
    kind, data = measure.source()
    settings = asdict(replace(measure, **{kind: None}, human=None))
    return content_hash(
        {
            "masks": masks,
            "kind": kind,
            "data": file_hash(data),
            "human": None if measure.human is None else file_hash(measure.human),
            "settings": settings,
            "torch": version("torch"),
            "code": code_hash(*_CODE["quality"]),
        }
    )


def machine_key(study: Study, masks: str, machine: "Machine") -> str:
    """Of a machine's latency and energy with the masks of this key."""
    from accel_sim.machines.load import resolved

    load: Load = study.load
    return content_hash(
        {
            "masks": masks,
            "machine": resolved(machine),
            "tokens": load.tokens,
            "request": None if load.request is None else asdict(load.request),
            "code": code_hash(*_CODE["machines"]),
        }
    )


@lru_cache(maxsize=64)
def file_hash(path: Path) -> str:
    """Of a file's bytes."""
    return sha256_of(path)


@lru_cache(maxsize=4)
def model_hash(path: Path) -> str:
    """Of the weights, and of the small files beside them: config and tokenizer change results."""
    digest = hashlib.sha256(sha256_of(path).encode())
    if path.is_dir():
        _update(digest, (f for f in path.rglob("*") if f.suffix in (".json", ".txt", ".model")))
    return digest.hexdigest()


def _update(digest: Any, files: Iterable[Path]) -> None:
    for file in sorted(files):
        if file.is_file() and file.stat().st_size <= _SMALL_BYTES:
            content = file.read_bytes()
            digest.update(f"{file.name}\0{len(content)}\0".encode())
            digest.update(content)
