"""What must be typed to make one machine out of another: a list of `section.key=value`."""

import shlex
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.registry import sections_of
from accel_sim.machines.memory import DRAM_KEYS
from sparse_formats.errors import InputError


def settings_between(machine: Machine, changed: Machine) -> tuple[str, ...]:
    """The settings that, on top of those of `machine`, give every value of `changed`.

    `load_machine(name, [*settings, *settings_between(load_machine(name, settings), changed)])` has
    the values of `changed`; there are none where both have the same.

    Raises:
        InputError: the machines are of different dataflows, or `changed` leaves out what `machine`
            states, which no setting can do.
    """
    if machine.dataflow != changed.dataflow:
        raise InputError(
            f"no setting makes a machine of dataflow {changed.dataflow} out of one of dataflow "
            f"{machine.dataflow}"
        )
    found = []
    for section, cls in sections_of(machine.dataflow).items():
        for leaf in (field.name for field in fields(cls)):
            before, after = (_value(each, section, leaf) for each in (machine, changed))
            if before == after and not (section == "dram" and _is_refilled(machine, changed, leaf)):
                continue
            if after is None:
                raise InputError(f"no setting takes {section}.{leaf} away")
            found.append(as_setting(f"{section}.{leaf}", after))
    return tuple(found)


def as_setting(key: str, value: Any) -> str:
    """`section.key=value` as `--set` reads it."""
    return f"{key}={_as_toml(value)}"


def as_flags(settings: Iterable[str]) -> str:
    """The settings as they are typed behind a command: `--set a.b=1 --set c.d=2`."""
    return shlex.join(word for setting in settings for word in ("--set", setting))


def _value(machine: Machine, section: str, leaf: str) -> Any:
    return getattr(getattr(machine, section), leaf)


def _is_refilled(machine: Machine, changed: Machine, leaf: str) -> bool:
    """Whether the memory of the changed machine would fill this key of [dram] anew."""
    is_other = machine.dram.memory != changed.dram.memory or (
        machine.clock.clock_hz != changed.clock.clock_hz
    )
    return changed.dram.memory is not None and is_other and leaf in DRAM_KEYS


def _as_toml(value: Any) -> str:
    """A value as `--set` reads it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_as_toml(item) for item in value)}]"
    return str(value)
