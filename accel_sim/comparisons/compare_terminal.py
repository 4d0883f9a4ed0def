"""A comparison as a person reads it in a terminal: at most a screen where it has a screen's rows.

data: as in compare.json.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from accel_sim.comparisons.data import varying
from accel_sim.comparisons.measures import LOADS, MEASURES, Measure
from accel_sim.comparisons.quality import quality_measure
from accel_sim.reports.number_text import UNKNOWN, share, times
from sparse_formats.terminal.tables import Column, print_table
from sparse_formats.untrusted import printable

MOST_ROWS = 20
"""Rows up to which a table has those of dense runs too: with what stands around it, a screen."""

MOST_NAME = 36
"""Characters of a name in the table."""

_FEW_NOTES = 3
"""Notes on accelerators that are printed; more are counted."""

_FEW_ORDERS, _FEW_FLIPS, _MOST_WIRES = 2, 1, 2.0
"""Orders by energy and flips of each that are printed; flips at more times the cost of wires are
in compare.json alone."""

_FEW_NAMES = 3
"""Names that stand before a note, and of machines that need least energy, of more than a few."""

_FEW_MACHINES = 10
"""Machines up to which all are named in the order of energy, and changes of that order are told."""

_FEW_FORMATS = 2
"""Formats of a pair that are named in the table; more are counted."""

_WORDS = {"mask": "mask", "accelerator": "accelerator"}


def print_comparison(data: Mapping[str, Any], console: Console) -> None:
    """The table, who needs less energy, and the notes."""
    pairs, kind = data["pairs"], data["kind"]
    shown = pairs if len(pairs) <= MOST_ROWS else [pair for pair in pairs if not pair["is_dense"]]
    keys = varying(data, shown) or ["accelerator"]
    columns, cells = [], []
    for key in keys:
        words = {**_WORDS, **LOADS[kind]}[key]
        columns.append(Column(words, "left" if key in _WORDS else "right"))
        cells.append([_named(pair[key]) for pair in shown])
    for column, texts in _figures(data, shown):
        columns.append(column)
        cells.append(texts)
    print_table(
        console,
        columns,
        list(zip(*cells, strict=True)),
        title=_title(data, shown, keys),
        footnotes=_footnotes(data, shown),
    )
    for sentence in _order_sentences(data):
        console.print(printable(sentence), soft_wrap=True)
    for line in _note_lines(data):
        console.print(printable(line), soft_wrap=True)


def _figures(
    data: Mapping[str, Any], pairs: Sequence[Mapping[str, Any]]
) -> list[tuple[Column, list[str]]]:
    """Columns with their cells; those of less rank stay where there is little room."""
    found: list[tuple[Column, list[str]]] = []

    def add(words: str, rank: int, cells: list[str], align: Any = "right") -> None:
        found.append((Column(words, align, rank), cells))

    ranks = _RANKS[data["kind"]]
    add("kept", 7, [share(pair["density"]) for pair in pairs])
    for measure in MEASURES[data["kind"]]:
        values = [pair[measure.key] for pair in pairs]
        if all(value is None for value in values):
            continue
        own, first, dense = ranks[measure.key]
        if measure.key == "prefill_energy_j" and not _generates(data):
            own, dense = 1, 4  # there is no other energy
        add(measure.header, own, [measure.text(value) for value in values])
        for over, rank in (("over_first", first), ("over_dense", dense)):
            if rank is not None:
                words = measure.header.splitlines()[0], over.removeprefix("over_")
                add("\n/ ".join(words), rank, [_over(pair, over, measure) for pair in pairs])
    if data["kind"] == "products":
        add("needed", 3, [share(pair["needed_share"]) for pair in pairs])
        add("cycles", 9, [f"{pair['cycles']:,}" for pair in pairs])
        add("stored as", 1, [_stored(pair) for pair in pairs], "left")
    add("MACs", 6, [f"{pair['macs']:,}" for pair in pairs])
    add("bound by", 5, [pair["bound_by"] or UNKNOWN for pair in pairs], "left")
    if data["quality"] is not None:
        measure = quality_measure(data["quality"])
        texts = [measure.text(pair["quality"]) for pair in pairs]
        found.insert(0, (Column(measure.header, "right", 1), texts))
    return found


def _stored(pair: Mapping[str, Any]) -> str:
    """The mode that it ran in: the formats of most matrices, and whether weights stay on the chip.

    Of many formats the others are counted; the JSON and the CSV name each.
    """
    formats = pair["stored"].split(", ")
    if len(formats) > _FEW_FORMATS:
        rest = len(formats) - _FEW_FORMATS + 1
        formats = [*formats[: _FEW_FORMATS - 1], f"{rest} more"]
    return ", ".join([*formats, *(["on chip"] if pair["is_resident"] else [])])


_RANKS: Mapping[str, Mapping[str, tuple[int, int | None, int | None]]] = {
    "products": {
        "latency_s": (0, 1, 1),
        "energy_j": (0, 1, 2),
        "energy_delay_js": (8, 6, None),
        "area_mm2": (4, None, None),
    },
    "model": {
        "time_to_first_token_s": (0, 3, 1),
        "time_per_output_token_s": (0, 3, 1),
        "tokens_per_second": (5, None, None),
        "energy_per_output_token_j": (2, 6, 4),
        "prefill_energy_j": (7, None, None),
        "memory_bytes": (4, None, 8),
        "area_mm2": (9, None, None),
    },
}
"""The ranks of each figure and of its ratios to the first pair and to the dense run: see `Column`.
None where that column is left out."""


def _generates(data: Mapping[str, Any]) -> bool:
    """Whether any whole model generates tokens behind the first."""
    return any(pair["time_per_output_token_s"] is not None for pair in data["pairs"])


def _over(pair: Mapping[str, Any], over: str, measure: Measure) -> str:
    if over == "over_dense" and pair["is_dense"]:
        return ""
    return times(pair[over][measure.key])


def _named(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if len(value) <= MOST_NAME:
        return str(value)
    half = (MOST_NAME - 1) // 2
    return f"{value[:half]}…{value[-half:]}"


def _title(data: Mapping[str, Any], pairs: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> str:
    """What all rows have in common."""
    first = pairs[0]
    said = [str(data["subject"])]
    masks = [pair["mask"] for pair in pairs if not pair["is_dense"]]
    if len(set(masks)) == 1 and first["mask"] != data["subject"]:
        said.append(f"mask {first['mask']}, {share(first['density'])} kept")
    if "accelerator" not in keys and len({pair["accelerator"] for pair in pairs}) == 1:
        said.append(f"on {first['accelerator']}")
    for key, words in LOADS[data["kind"]].items():
        if key not in keys and (first[key] or key == "tokens"):
            said.append(f"{first[key]:,} {words}" if key != "batch" else f"batch {first[key]:,}")
    equal = {"macs": "equal MACs", "area": "equal area"}.get(data["equal"])
    return ", ".join([*said, *([equal] if equal else [])])


def _footnotes(data: Mapping[str, Any], shown: Sequence[Mapping[str, Any]]) -> list[str]:
    first = data["pairs"][0]
    said = [
        f"/ first is over {first['mask']} on {first['accelerator']}; / dense is over the "
        "accelerator's own dense run."
    ]
    if data["kind"] == "model":
        words = "TTFT: time to first token."
        if _generates(data):
            words += " TPOT: time per output token, on average. Energy a token: of these tokens."
        said.append(words)
    else:
        said[0] += " needed: share of issued multiplications that a kept weight needs."
    if (quality := data["quality"]) is not None:
        said.append(f"quality: {quality['measure']}, {quality['better']} is better.")
    if len(shown) < len(data["pairs"]):
        said.append(
            f"{len(data['pairs']) - len(shown)} rows of dense runs are in the JSON, the CSV and "
            "the page."
        )
    return said


def _order_sentences(data: Mapping[str, Any]) -> list[str]:
    orders = data["energy_orders"]
    if len(orders) > _FEW_ORDERS:
        return [
            f"Which accelerator needs least energy on each of the {len(orders)} masks and numbers "
            "of tokens, and within which band of the cost tables, is in the JSON and on the page."
        ]
    return [
        sentence
        for order in orders
        for sentence in order_sentences(
            order, _FEW_FLIPS if len(order["accelerators"]) <= _FEW_MACHINES else 0
        )
    ]


def order_sentences(order: Mapping[str, Any], most: int | None = None) -> list[str]:
    """Which machine needs less energy, within which band, and where that flips.

    most: flips that are told, those nearest to what the tables say; None for all of them and all
        machines.
    """
    least, top = order["wires_from"], order["wires_to"]
    if top is not None:
        where = f"where wires cost from {least:.2f} to {top:.2f} times what the tables say"
    elif least > 0:
        where = f"where wires cost at least {least:.2f} times what the tables say"
    else:
        where = "whatever wires cost"
    flips = order["flips"]
    by_case = [flip for flip in flips if flip["case"] is not None]
    by_wires = [flip for flip in flips if flip["wires"] is not None]
    by_wires = [flip for flip in by_wires if flip["wires"] <= _MOST_WIRES]
    names = order["accelerators"]
    if most is not None and len(names) > _FEW_MACHINES:
        names = [*names[:_FEW_NAMES], "…", names[-1]]
    sentences = [
        f"Energy on {order['mask']}, from least to most: {', '.join(names)}.",
        f"This order holds {where}.",
    ]
    if not by_case:
        sentences.append("It also holds with every row of the cost tables low, and with all high.")
    near = [*by_case, *sorted(by_wires, key=lambda flip: abs(flip["wires"] - 1))]
    told = near if most is None else near[:most]
    sentences += [_flip_sentence(flip) for flip in told]
    if len(told) < len(near):
        more = " more" if told else ""
        left = len(near) - len(told)
        are = "change of the order is" if left == 1 else "changes of the order are"
        sentences.append(f"{left}{more} {are} in the JSON.")
    return sentences


def _flip_sentence(flip: Mapping[str, Any]) -> str:
    where = f"with every row of the cost tables {flip['case']}"
    if flip["wires"] is not None:
        than = "more" if flip["is_above"] else "less"
        where = f"where wires cost {than} than {flip['wires']:.2f} times"
    return f"{flip['dearer']} needs less than {flip['cheaper']} {where}."


def note_text(note: Mapping[str, Any]) -> str:
    """A note behind the names of what it is about."""
    names = list(note["of"])
    more = f" and {len(names) - _FEW_NAMES} more" if len(names) > _FEW_NAMES else ""
    return f"{', '.join(names[:_FEW_NAMES])}{more}: {note['note']}"


def _note_lines(data: Mapping[str, Any]) -> list[str]:
    notes = data["notes"]
    lines = [f"left out {note_text(note)}" for note in notes.get("left_out", ())]
    lines += [f"note     {note_text(note)}" for note in notes["masks"]]
    about = notes["accelerators"]
    if len(about) <= _FEW_NOTES:
        return [*lines, *(f"note     {note_text(note)}" for note in about)]
    return [
        *lines,
        f"note     {len(about)} notes on the accelerators are in the JSON and on the page; "
        "accelerators --show NAME prints one's.",
    ]
