"""What a target is: the settings of `prune` that ask for a latency, a speed-up or an energy."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from accel_sim.machines.builtin import builtin_memories
from sparse_formats.errors import InputError, SettingError
from sparse_formats.terminal.settings import Count, Positive, Share, Whole, option, settings_of

Measure = Literal["latency", "energy"]

UNITS: Mapping[Measure, Mapping[str, float]] = {
    "latency": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9},
    "energy": {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "µJ": 1e-6, "nJ": 1e-9},
}
"""The units of each measure, in seconds and joules."""

LEVELS = 20
"""Densities of each pattern (chosen; SPDY has as many)."""

LEAST = 0.05
"""The smallest of them (chosen)."""

DRAWS = 100
"""Coefficients that the outer search draws. Source: SPDY draws as many at first."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What the pruned model is to take, on what machine, and what may be chosen for it.

    One of target_latency, speedup and target_energy, or none of them: then there is no target.
    """

    target_latency: str | None = option(
        "Prune until the accelerator takes at most this long, e.g. 2ms or 350us. Each matrix gets "
        "the pattern and the density that together lose least.",
        default=None,
        metavar="TIME",
    )
    speedup: Positive | None = option(
        "Prune until the accelerator is this many times faster than with the unpruned model.",
        default=None,
    )
    target_energy: str | None = option(
        "Prune until the accelerator takes at most this energy, e.g. 3mJ or 80uJ.",
        default=None,
        metavar="ENERGY",
    )
    memory: str | None = option(
        "With a target, the memory that the accelerator gets in place of its own DRAM.",
        default=None,
        choices=builtin_memories,
    )
    set: tuple[str, ...] = option(
        "With a target, change one value of the accelerator.", default=(), metavar="KEY=VALUE"
    )
    prefill: Count | None = option(
        "With a target, simulate the whole transformer with a prompt of so many tokens, and not "
        "only the pruned matrices.",
        default=None,
    )
    generate: Whole = option(
        "With --prefill, the number of tokens to generate behind the prompt.", default=0
    )
    batch: Count = option("With --prefill, the number of requests that run together.", default=1)
    alternatives: tuple[str, ...] = option(
        "With a target, further patterns, of which each matrix takes the best one.",
        default=(),
        is_separated=True,
        metavar="PATTERN,…",
    )
    densities: tuple[Share, ...] = option(
        "With a target, the kept shares that a matrix may have.",
        default=(),
        otherwise=f"{LEVELS} from 1 to {LEAST:g}, each the same part of the one before",
        is_separated=True,
    )
    draws: Whole = option(
        "With a target, the number of random draws in the search for the matrices that matter.",
        default=DRAWS,
    )
    samples: Count = option(
        "With a target, the number of examples that calibrate, drawn at random.", default=128
    )
    length: Count | None = option(
        "With a target, tokens of an example.",
        default=None,
        otherwise="the model's own, at most 512",
    )

    @property
    def is_given(self) -> bool:
        """Whether there is a target."""
        return any(getattr(self, name) is not None for name in _TARGETS)

    @property
    def measure(self) -> Measure:
        """What the target is of."""
        return "latency" if self.target_energy is None else "energy"


_TARGETS = ("target_latency", "speedup", "target_energy")


def check_goal(goal: Goal) -> None:
    """Refuse settings that do not go together.

    Raises:
        InputError: two targets; one without a unit; a setting of a target without one.
    """
    given = [name for name in _TARGETS if getattr(goal, name) is not None]
    flags = [f"--{name.replace('_', '-')}" for name in given]
    if len(given) > 1:
        raise InputError(f"{' and '.join(flags)} are two targets; give one of them")
    if not given:
        for setting in settings_of(Goal):
            if setting.of(goal) != setting.default:
                raise SettingError(
                    setting.name,
                    "belongs to a target; give --target-latency, --speedup or --target-energy, or "
                    "leave it out",
                )
        return
    if goal.target_latency is not None:
        amount(goal.target_latency, "latency")
    if goal.target_energy is not None:
        amount(goal.target_energy, "energy")
    for name in ("generate", "batch"):
        default = next(s.default for s in settings_of(Goal) if s.name == name)
        if goal.prefill is None and getattr(goal, name) != default:
            raise SettingError(name, "goes with a prompt; give --prefill")
    for density in goal.densities:
        if not density:
            raise SettingError("densities", "holds 0, but of every matrix something must stay")


def amount(text: str, measure: Measure) -> float:
    """Seconds or joules of a text such as "2ms" or "3 mJ".

    Raises:
        SettingError: it is no number with a unit, or not above 0.
    """
    units = UNITS[measure]
    found = re.fullmatch(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-zµ]+)\s*", text)
    name = f"target_{measure}"
    example = "2ms" if measure == "latency" else "3mJ"
    try:
        value = float(found[1]) if found else 0.0
    except ValueError:
        value = 0.0
    if found is None or found[2] not in units or not 0 < value < float("inf"):
        raise SettingError(
            name,
            f"is {text!r}; give a number above 0 and a unit ({', '.join(units)}), e.g. {example}",
        )
    return value * units[found[2]]


def said(value: float, measure: Measure) -> str:
    """Seconds or joules for people, in the unit that keeps the number between 1 and 1000."""
    kinds = {unit: factor for unit, factor in UNITS[measure].items() if "u" not in unit}
    unit, factor = next(((u, f) for u, f in kinds.items() if value >= f), list(kinds.items())[-1])
    return f"{value / factor:.4g} {unit}"
