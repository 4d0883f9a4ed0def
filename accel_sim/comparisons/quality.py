"""Masks with the quality that a study measured: a TOML file, or the folder that holds it.

[quality]
measure = "perplexity"
better = "lower"

[masks]
"mvp 0.8" = { file = "points/mvp/mask.npz", quality = 31.5 }
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from accel_sim.comparisons.measures import Measure
from accel_sim.exploration.masks import read_mask_files, read_quality
from sparse_formats.errors import InputError, nearest
from sparse_formats.files.toml import read_toml

MASKS = "masks.toml"
"""What the file is called in the folder of a study."""

_TABLES = ("quality", "masks")


@dataclass(frozen=True)
class Study:
    """masks: files by their name in the table. quality: by the same name; empty where nobody
    measured it. measure: what it is.
    """

    masks: Mapping[str, Path]
    quality: Mapping[str, float]
    measure: str = ""
    better: Literal["lower", "higher"] = "lower"


def read_study(path: Path) -> Study:
    """The masks of a study with their quality.

    Raises:
        InputError: a file that cannot be read or is of another form; a mask that is not there.
    """
    file = path / MASKS if path.is_dir() else path
    if not file.exists():
        missing = f"{path} holds no {MASKS}" if path.is_dir() else f"{path} does not exist"
        raise InputError(
            f"{missing}; give the folder of a study that measured quality, or a TOML file "
            "with [masks]"
        )
    content = read_toml(file)
    for key in content:
        if key not in _TABLES:
            raise InputError(f"{file}: unknown table {key!r}{nearest(key, _TABLES)}")
    found = read_mask_files(content.get("masks", {}), file)
    if not found:
        raise InputError(f"{file}: names no mask; list them under [masks]")
    quality = {name: mask.quality for name, mask in found.items() if mask.quality is not None}
    paths = {name: mask.path for name, mask in found.items()}
    if not quality:
        return Study(paths, {})
    measure = read_quality(content.get("quality"), file)
    return Study(paths, quality, measure.words, "lower" if measure.sign > 0 else "higher")


def quality_measure(quality: Mapping[str, str]) -> Measure:
    """The quality of compare.json as something that is compared."""
    is_rate = quality["better"] == "higher"
    return Measure("quality", quality["measure"], "quality", "", is_rate=is_rate, is_scaled=False)
