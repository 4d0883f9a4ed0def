"""What a study is about, so that nobody writes over the study of something else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from accel_sim.exploration.candidate import Candidate
from sparse_formats.errors import InputError, SettingError
from sparse_formats.files.reading import read_json

_LARGEST = 10**9
"""Bytes of explore.json."""


@dataclass(frozen=True)
class Subject:
    """What is run, through what, on what.

    weights: names of masks with what tells them from others of the name. load: in words.
    """

    weights: Mapping[str, str]
    load: str
    accelerators: tuple[str, ...]


class _Written(msgspec.Struct):
    """What is read back of explore.json."""

    subject: Subject


def load_words(base: Candidate) -> str:
    """What goes through the matrices, and through which of them."""
    if base.prefill is None:
        said = f"{base.tokens:,} tokens through each matrix"
        if base.activation_density != 1:
            said += f", {100 * base.activation_density:.3g} % of the activations not zero"
    else:
        said = (
            f"a prompt of {base.prefill:,} tokens with {base.generate:,} generated, "
            f"{base.context:,} cached before, batch {base.batch:,}"
        )
        said += f", in {base.model}" if base.model else ""
    said += f", only {', '.join(base.include)}" if base.include else ""
    return said + (f", without {', '.join(base.exclude)}" if base.exclude else "")


def check_same_subject(file: Path, own: Subject) -> None:
    """Refuse to write over the study of something else; file: where its explore.json would be.

    The same study is one of the same load with some weights and an accelerator in common.

    Raises:
        SettingError: the file is that of another study.
        InputError: it is none at all.
    """
    if not file.exists():
        return
    try:
        there = read_json(file, _Written, "a study of explore", _LARGEST, is_continued=True).subject
    except InputError as error:
        raise InputError(f"{error}, or another folder to --study") from None
    for old, new in _differing(there, own):
        raise SettingError(
            "study",
            f"is {file.parent}, which holds a study of {old}, and this is one of {new}; give "
            "another folder",
        )


def _differing(there: Subject, own: Subject) -> Iterable[tuple[str, str]]:
    """In words, what two studies have nothing of in common."""
    if not there.weights.items() & own.weights.items():
        old, new = (", ".join(each.weights) for each in (there, own))
        yield (f"{old} as it was before", f"{new} as it is now") if old == new else (old, new)
    if there.load != own.load:
        yield there.load, own.load
    if not set(there.accelerators) & set(own.accelerators):
        yield ", ".join(there.accelerators), ", ".join(own.accelerators)
