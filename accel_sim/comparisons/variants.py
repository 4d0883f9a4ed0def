"""The machines of a comparison: accelerators × memories × values, each by its own name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from sparse_formats.errors import SettingError

if TYPE_CHECKING:
    from accel_sim.dataflows.abstract.dataflow import Machine


@dataclass(frozen=True)
class Variant:
    """An accelerator, by its own name or its file's path, and what is changed of it.

    memory: in place of its own. set: KEY=VALUE words.
    """

    accelerator: str
    memory: str | None = None
    set: tuple[str, ...] = ()

    def machine(self) -> "Machine":
        """The machine.

        Raises:
            InputError: as `load_machine`.
        """
        from accel_sim.machines.load import load_machine

        words = [] if self.memory is None else [f"dram.memory={self.memory}"]
        return load_machine(self.accelerator, [*words, *self.set])


def variants(
    accelerators: Sequence[str], memories: Sequence[str] = (), settings: Sequence[str] = ()
) -> dict[str, Variant]:
    """Every accelerator with every memory and every combination of values, by its name.

    memories: in place of the accelerators' own, where there are any. settings: KEY=VALUE holds for
    all accelerators; KEY=VALUE,VALUE makes a variant of each value. A name says what differs.

    Raises:
        InputError: what `load_machine` refuses; a setting without a value.
    """
    values = [_values(setting) for setting in settings]
    found: dict[str, Variant] = {}
    for accelerator in accelerators:
        for memory, *chosen in product(memories or ("",), *values):
            variant = Variant(accelerator, memory or None, tuple(chosen))
            differing = [memory] if len(memories) > 1 else []
            differing += [
                word.rpartition(".")[2] if "." in word.partition("=")[0] else word
                for word, of_key in zip(chosen, values, strict=True)
                if len(of_key) > 1
            ]
            name = " ".join([variant.machine().name, *differing])
            if name in found:
                name = " ".join([accelerator, *differing])
            found[name] = variant
    return found


def _values(setting: str) -> list[str]:
    """KEY=VALUE for each of the values that one setting lists."""
    key, equals, text = setting.partition("=")
    parts = list(_split(text))
    if not equals or not all(part.strip() for part in parts):
        raise SettingError(
            "set", f"is {setting!r}; write KEY=VALUE, or KEY=VALUE,VALUE for several values"
        )
    return [f"{key}={part.strip()}" for part in parts]


def _split(text: str) -> Iterator[str]:
    """The text between commas that stand in no brackets."""
    depth = begin = 0
    for i, char in enumerate(text):
        depth += (char in "[{") - (char in "]}")
        if char == "," and not depth:
            yield text[begin:i]
            begin = i + 1
    yield text[begin:]
