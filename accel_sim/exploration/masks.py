"""Masks that a space chooses from: files by name, with the quality that somebody measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accel_sim.exploration.measures import QUALITY, Measure
from sparse_formats.errors import InputError, nearest

_MASK_KEYS = ("file", "quality")
_QUALITY_KEYS = ("measure", "better")
_SIGNS = {"lower": 1, "higher": -1}


@dataclass(frozen=True)
class MaskFile:
    """path: to be read from here. quality: None where nobody measured it."""

    path: Path
    quality: float | None = None


def read_mask_files(table: Mapping[str, Any], file: Path) -> dict[str, MaskFile]:
    """The masks under [masks] of the TOML file `file`, by name; their paths start at its folder.

    Raises:
        InputError: an entry of another form; a file that is not there; some have a quality, others
            have none.
    """
    found: dict[str, MaskFile] = {}
    for name, item in table.items():
        where = f"{file}: [masks] {name}"
        entry = {"file": item} if isinstance(item, str) else item
        if not isinstance(entry, Mapping) or not isinstance(entry.get("file"), str):
            raise InputError(
                f'{where} is {item!r}; write {{ file = "out.npz", quality = 0.9 }}, or "out.npz"'
            )
        for key in entry:
            if key not in _MASK_KEYS:
                raise InputError(f"{where}: unknown key {key!r}{nearest(key, _MASK_KEYS)}")
        quality = entry.get("quality")
        if quality is not None and (
            isinstance(quality, bool) or not isinstance(quality, int | float) or quality != quality
        ):
            raise InputError(f"{where}: quality is {quality!r}; give a number")
        path = file.parent / entry["file"]
        if not path.exists():
            raise InputError(f"{where}: there is no {path}; give a path from the folder of {file}")
        found[name] = MaskFile(path, None if quality is None else float(quality))
    without = [name for name, mask in found.items() if mask.quality is None]
    if without and len(without) < len(found):
        raise InputError(
            f"{file}: [masks] {without[0]} has no quality, but others have; give all of them one, "
            "or none"
        )
    return found


def read_quality(table: Mapping[str, Any] | None, file: Path) -> Measure:
    """What the qualities under [masks] are, by the table [quality] of `file`.

    Raises:
        InputError: it is missing, or does not say what is better.
    """
    example = '[quality] with measure = "perplexity" and better = "lower" (or "higher")'
    if not isinstance(table, Mapping):
        raise InputError(f"{file}: the masks have a quality; say what it is by a table {example}")
    for key in table:
        if key not in _QUALITY_KEYS:
            raise InputError(f"{file}: [quality] unknown key {key!r}{nearest(key, _QUALITY_KEYS)}")
    better, words = table.get("better"), table.get("measure", QUALITY)
    if better not in _SIGNS or not isinstance(words, str):
        raise InputError(f"{file}: [quality] better is {better!r}; write {example}")
    return Measure(QUALITY, words, is_scaled=False, sign=_SIGNS[better])
