"""What would help, as lists: each change with what it does and the command that does it."""

from collections.abc import Mapping, Sequence
from typing import Any

from accel_sim.machines.recipe import as_flags
from accel_sim.reports.glossary import BOUND
from accel_sim.reports.html import command_line, folded
from accel_sim.reports.number_text import change, judged
from sparse_formats.untrusted import escaped

_MEASURES = {
    "cycles": "cycles",
    "energy_j": "energy",
    "area_mm2": "area",
    "energy_delay_js": "energy × delay",
}


def advice_list(advice: Sequence[Mapping[str, Any]], command: str) -> str:
    """What helps, best first; what does not is folded away. command: of the run itself."""
    helpful = [item for item in advice if judged(item) == "helps"]
    others = [item for item in advice if judged(item) != "helps"]
    content = advice_items([_item(item, command) for item in helpful], "helps")
    if not helpful:
        content = "<p>None of the changes that were simulated saves 1 % of the cycles.</p>"
    if others:
        count = len(others)
        title = f"{count} {'change' if count == 1 else 'changes'} that {_do_not(count)}"
        content += "\n" + folded(
            title, advice_items([_item(item, command) for item in others], "rest")
        )
    return content


def _do_not(count: int) -> str:
    return "does not help" if count == 1 else "do not help"


def mask_advice_list(advice: Sequence[Mapping[str, str]]) -> str:
    """Other masks of the same density with the commands that make them."""
    items = [
        f'<p class="change">{escaped(item["change"].capitalize())}</p>'
        f"{command_line(item['command'])}"
        for item in advice
    ]
    return advice_items(items, "masks")


def _item(item: Mapping[str, Any], command: str) -> str:
    figures = " · ".join(
        f"<strong>{change(item['difference'][key])}</strong> {words}"
        for key, words in _MEASURES.items()
    )
    settings = item["settings"]
    how = f"<p>This is {BOUND}.</p>"
    if settings is not None:
        how = command_line(f"{command} {as_flags(settings)}".strip())
    words = item["change"][:1].upper() + item["change"][1:]
    return (
        f'<p class="change">{escaped(words)} <span class="judged {judged(item)}">{judged(item)}'
        f'</span></p>\n<p class="differences">{figures}</p>\n{how}'
    )


def advice_items(items: Sequence[str], css: str) -> str:
    """Changes as a list; items are HTML already. css: "helps" where they do."""
    listed = "\n".join(f"<li>{item}</li>" for item in items)
    return f'<ol class="advice {css}">\n{listed}\n</ol>'
