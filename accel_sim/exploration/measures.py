"""What points are judged by: what is to be small, and what must not be exceeded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparse_formats.errors import InputError, SettingError, nearest


@dataclass(frozen=True)
class Measure:
    """key: of a result, with its unit; words: for people; unit: as `number_text.quantity` has it.

    is_scaled: shown with an SI prefix. sign: −1 where more is better.
    """

    key: str
    words: str
    unit: str = ""
    is_scaled: bool = True
    sign: int = 1


MEASURES: dict[str, Measure] = {
    "latency": Measure("latency_s", "latency", "s"),
    "energy": Measure("energy_j", "energy", "J"),
    "edp": Measure("energy_delay_js", "energy × delay", "Js"),
    "area": Measure("area_mm2", "area", "mm²", is_scaled=False),
    "power": Measure("power_w", "mean power", "W"),
}
"""By the name that --minimise takes."""

QUALITY = "quality"
"""The measure of masks that come with their quality."""

LIMITED = {measure.key: measure for measure in MEASURES.values()}
"""By the name that limits take: with the unit."""

_UNMEASURED = 1e9
"""How far a point that could not be simulated is beyond all limits: further than any that was."""


@dataclass(frozen=True)
class Limit:
    """A measure that may be `most` at most."""

    measure: Measure
    most: float

    def exceeded(self, result: Mapping[str, Any]) -> float:
        """By which share of the limit it is exceeded; 0 where it is kept."""
        return max(0.0, result[self.measure.key] / self.most - 1)


def read_limits(words: Iterable[str], table: Mapping[str, Limit]) -> tuple[Limit, ...]:
    """Limits of `--under KEY=NUMBER`, and those of a file's table by their key; flags win.

    Raises:
        SettingError, InputError: a key that is no measure, or a number that is none above 0.
    """
    given: dict[str, Limit] = {}
    for word in words:
        key, equals, text = (part.strip() for part in word.partition("="))
        if not equals:
            raise SettingError("under", f"{word} is not KEY=NUMBER; write for example area_mm2=20")
        try:
            number: Any = float(text)
        except ValueError:
            number = text
        if key in given:
            raise SettingError("under", f"gives {key} twice; give it once")
        given[key] = limit_of(key, number, f"--under {word}: {key}")
    return tuple({**table, **given}.values())


def limit_of(key: str, value: Any, where: str) -> Limit:
    """The limit `value` of the measure `key`; where: it stands, for messages.

    Raises:
        InputError: a key that is no measure, or a number that is none above 0.
    """
    if key not in LIMITED:
        if key == QUALITY:
            raise InputError(f"{where} cannot be a limit; leave masks that are too bad out")
        by_name = MEASURES.get(key)
        said = f"; did you mean {by_name.key!r}?" if by_name else nearest(key, LIMITED)
        raise InputError(f"{where} is no measure{said}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e300:
        raise InputError(f"{where} is {value!r}; give a number above 0, in the unit of the name")
    return Limit(LIMITED[key], value)


@dataclass(frozen=True)
class Goal:
    """objectives: of which less is better, or more where their sign says so; limits: that hold."""

    objectives: tuple[Measure, ...]
    limits: tuple[Limit, ...] = ()

    def costs(self, result: Mapping[str, Any]) -> tuple[float, ...]:
        """Of a point that was simulated, what is to be small."""
        return tuple(each.sign * result[each.key] for each in self.objectives)

    def violation(self, result: Mapping[str, Any]) -> float:
        """How far a point is beyond the limits, 0 where it keeps them."""
        if "reason" in result:
            return _UNMEASURED
        return sum(limit.exceeded(result) for limit in self.limits)

    def reason(self, result: Mapping[str, Any]) -> str:
        """Why a point does not count, in words; "" where it does."""
        if "reason" in result:
            return str(result["reason"])
        broken = [limit for limit in self.limits if limit.exceeded(result)]
        return "; ".join(
            f"{limit.measure.key} is {result[limit.measure.key]:.4g}, above {limit.most:g}"
            for limit in broken
        )


def objectives_of(names: Sequence[str], quality: Measure | None) -> tuple[Measure, ...]:
    """The measures of these names; quality too, where the masks have one.

    Raises:
        SettingError: a name that is no measure; quality is asked for and unknown.
    """
    found = {}
    for name in names:
        if name == QUALITY and quality is None:
            raise SettingError("minimise", "is quality, but no mask under [masks] has one")
        if name not in MEASURES and name != QUALITY:
            raise SettingError("minimise", f"is {name!r}{nearest(name, MEASURES)}")
        found[name] = quality if name == QUALITY and quality else MEASURES[name]
    if quality is not None:
        found[QUALITY] = quality
    return tuple(found.values())
