"""Settings that `run`, `compare` and `model` share: what is simulated, and on how many threads."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from accel_sim.inputs.defaults import DENSITY
from sparse_formats.errors import InputError, SettingError
from sparse_formats.terminal.options import JsonOption, MemoryOption, NameOptions
from sparse_formats.terminal.settings import Count, NotNegative, Share, Whole, option

TokenCount = Annotated[int, msgspec.Meta(ge=1, le=2**24)]

A_FILE = "the path of a .toml file"
"""What names an accelerator that is not built in."""


A_PATTERN_ELSE = "the numbers of n_m alone, e.g. 2:4"
"""What names a pattern that is not one of `patterns`."""

ITS_DENSITY = f"the pattern's own, else {DENSITY}"
"""Kept share of generated masks where nothing is said."""


def patterns() -> Iterable[str]:
    """Patterns of generated masks."""
    from sparse_formats.masks.synthetic.generate import forms

    return forms()


def density_of(pattern: str, density: float | None) -> float:
    """The kept share of masks of a pattern, of which `density` was asked for.

    Raises:
        SettingError: no such pattern.
    """
    if density is not None:
        return density
    from sparse_formats.masks.synthetic.generate import own_density

    own = own_density(pattern)
    return DENSITY if own is None else own


def _models() -> Iterable[str]:
    from sparse_formats.masks.synthetic.shapes import SHAPES

    return SHAPES


@dataclass(frozen=True, kw_only=True)
class SimulationOptions(NameOptions, JsonOption, MemoryOption):
    """Generated masks, drawn activations, and threads."""

    shapes: str | None = option(
        "Generate masks of these shapes instead of reading a file.",
        default=None,
        choices=_models,
        or_else="sizes such as 2304x768,768x768",
    )
    density: Share | None = option(
        "Kept share of generated masks.", default=None, otherwise=ITS_DENSITY
    )
    experts_per_token: Count | None = option(
        "With a mixture of experts, the number of experts of a layer that each token goes to.",
        default=None,
        otherwise="what the model's config.json says, else all",
    )
    expert_load: tuple[NotNegative, ...] = option(
        "With a mixture of experts, what expert 0, 1, … of each layer gets of the tokens, relative "
        "to the others.",
        default=(),
        otherwise="as much as the others",
        is_separated=True,
    )
    convolutions: Path | None = option(
        "TOML file with a table for each convolution of a mask file, by the name of its weights: "
        "input, stride, padding, and the kernel of weights that are stored as a matrix.",
        default=None,
        suffix=".toml",
    )
    activation_density: Share = option("Share of drawn activations that are not zero.", default=1.0)
    seed: Whole = option("Random seed for masks and activations.", default=0)
    threads: Count | None = option(
        "Number of layers simulated at once.",
        default=None,
        otherwise="one for each core",
        is_replayed=False,
    )


def check_of_a_file(settings: SimulationOptions) -> None:
    """Refuse settings of a model's experts where masks are generated.

    Raises:
        InputError: naming the first that was given.
    """
    for name in ("experts_per_token", "expert_load"):
        if getattr(settings, name):
            raise SettingError(name, "is about the experts of a mask file; leave it out")
    if settings.convolutions is not None:
        raise SettingError("convolutions", "is about those of a mask file; leave it out")


def check_generated(mask: Path, settings: Iterable[tuple[str, object]]) -> None:
    """Refuse settings of generated masks, (flag, value), where a file is read.

    Raises:
        InputError: naming those that were given.
    """
    given = [name for name, value in settings if value]
    if given:
        it = "them" if len(given) > 1 else "it"
        raise InputError(
            f"{' and '.join(given)} belong{'' if len(given) > 1 else 's'} to masks generated with "
            f"--shapes; --mask {mask} says its own, leave {it} out"
        )
