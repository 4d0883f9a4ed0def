"""How often a model runs each of its matrices, and for how many of the tokens.

Most matrices run once, for every token. An expert runs for the tokens that are routed to it, and
layers may share their weights, which then run once for each of these layers.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Annotated, Any

import msgspec

from sparse_formats.errors import InputError, SettingError

_Count = Annotated[int, msgspec.Meta(ge=1, le=10_000)]

_EXPERT = re.compile(
    r"(?:^|(?<!shared)[._])experts?[._](?:experts?_)?(\d{1,9})(?=[._]|$)|\[(\d{1,9})\]$"
)
_SHARED = re.compile(r"(?:^|\.)albert_layer_groups\.")
"""Matrices that are known to run more than once, though nothing may tell how often."""


@dataclass(frozen=True)
class Execution:
    """What a model's configuration says of it, as JSON-able data.

    experts: in a layer; experts_per_token: of these, how many a token goes to; None if not told.
    runs: how often matrices run, by their names, or by words of these that end with a dot, such as
        "albert_layer_groups.0."; 1 for all others.
    """

    experts: _Count | None = None
    experts_per_token: _Count | None = None
    runs: Mapping[str, _Count] = field(default_factory=dict)

    def runs_of(self, name: str) -> int:
        """How often the matrix called `name` runs."""
        if name in self.runs:
            return self.runs[name]
        places = ((words, count) for words, count in self.runs.items() if words.endswith("."))
        return next((count for words, count in places if f".{words}" in f".{name}"), 1)

    def as_data(self) -> dict[str, Any]:
        """What differs from the default, as it stands in a header."""
        return {key: value for key, value in vars(self).items() if value}


def execution_in(header: Mapping[str, Any], where: str = "masks") -> Execution:
    """What the header of masks says under "execution".

    Raises:
        InputError: it is of another form; `where` tells whose header it is.
    """
    try:
        return msgspec.convert(header.get("execution") or {}, Execution)
    except msgspec.ValidationError as error:
        raise InputError(
            f"{where}: its header does not say how its matrices run: {error}; write it again"
        ) from error


def expert_of(name: str) -> tuple[str, int] | None:
    """The name of a matrix of an expert with its number left open, and the number; else None."""
    match = _EXPERT.search(name)
    if match is None:
        return None
    group = 1 if match[1] is not None else 2
    return f"{name[: match.start(group)]}*{name[match.end(group) :]}", int(match[group])


def tokens_of(
    names: Iterable[str], tokens: int, execution: Execution, loads: Sequence[float] = ()
) -> dict[str, int]:
    """How many of `tokens` go through each matrix, by name: all, or an expert's share of them.

    Each token goes to `experts_per_token` different experts of a layer, to all of them where it is
    not told. These are divided among the experts in proportion to `loads`, by number, evenly where
    there are none; what does not divide evenly goes to the largest rests, of equal ones the first.

    Raises:
        SettingError: not as many loads as experts, or fewer experts with a load than a token needs.
    """
    found: dict[str, int] = {}
    groups: dict[str, dict[int, str]] = {}
    for name in names:
        found[name] = tokens
        if (expert := expert_of(name)) is not None:
            groups.setdefault(expert[0], {})[expert[1]] = name
    for plain, members in groups.items():
        experts = max(execution.experts or 1, max(members) + 1)
        wanted = execution.experts_per_token
        if loads and len(loads) != experts:
            raise SettingError(
                "expert_load",
                f"has {len(loads)} numbers, but there are {experts} experts of {plain}; "
                "give one for each",
            )
        if wanted is None or wanted >= experts:
            continue
        counts = _divided(tokens, wanted, loads or [1.0] * experts)
        found |= {name: counts[number] for number, name in members.items()}
    return found


def said_of(execution: Execution, names: Collection[str]) -> Iterator[str]:
    """What a reader of results must know of how the matrices called `names` run, as sentences."""
    by_runs: dict[int, list[str]] = {}
    for name in names:
        if (runs := execution.runs_of(name)) > 1:
            by_runs.setdefault(runs, []).append(name)
    for runs, some in by_runs.items():
        yield f"{_named(some)} shared by layers: each of them runs {runs} times."
    untold = [name for name in names if _SHARED.search(name) and execution.runs_of(name) == 1]
    if untold and not execution.runs:
        yield (
            f"{_named(untold)} shared by layers, but there is no config.json that tells how many, "
            "so each of them counts once."
        )
    if any(expert_of(name) for name in names) and execution.experts_per_token is not None:
        of = "" if execution.experts is None else f" of {execution.experts}"
        yield f"Each token goes to {execution.experts_per_token}{of} experts of a layer."


def said_of_tokens(tokens: Mapping[str, int], whole: int, execution: Execution) -> str:
    """How many of `whole` tokens the experts among the matrices get, as sentences; "" if none."""
    counts = [count for name, count in tokens.items() if expert_of(name) is not None]
    if not counts:
        return ""
    if execution.experts_per_token is None and min(counts) == whole:
        return (
            f"{len(counts)} matrices are of experts, and nothing tells how many experts a token "
            "goes to, so each of them gets all tokens; give --experts-per-token."
        )
    least, most = min(counts), max(counts)
    each = f"{least}" if least == most else f"{least} to {most}"
    idle = counts.count(0)
    rest = f" The {idle} that get none were not simulated." if idle else ""
    return f"Each of the {len(counts)} matrices of experts gets {each} of {whole} tokens.{rest}"


def _named(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"1 matrix ({names[0]}) is"
    return f"{len(names)} matrices ({names[0]}, …) are"


def _divided(tokens: int, wanted: int, loads: Sequence[float]) -> list[int]:
    """`tokens` × `wanted` in whole numbers in proportion to `loads`, none above `tokens`."""
    if sum(load > 0 for load in loads) < wanted:
        raise SettingError(
            "expert_load",
            f"leaves {sum(load > 0 for load in loads)} experts with a load, but each token goes to "
            f"{wanted}; give more of them a load",
        )
    weights = [Fraction(load) for load in loads]
    full: set[int] = set()
    while True:
        rest = tokens * (wanted - len(full))
        open_ = sum(weight for i, weight in enumerate(weights) if i not in full) or Fraction(1)
        shares = [
            Fraction(tokens) if i in full else weight * rest / open_
            for i, weight in enumerate(weights)
        ]
        over = {i for i, share in enumerate(shares) if share > tokens}
        if not over:
            break
        full |= over
    counts = [int(share) for share in shares]
    by_rest = sorted(range(len(shares)), key=lambda i: counts[i] - shares[i])
    for i in by_rest[: tokens * wanted - sum(counts)]:
        counts[i] += 1
    return counts
