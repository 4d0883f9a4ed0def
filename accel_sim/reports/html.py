"""The parts that every page has: one file that fetches nothing and runs only its own script.

All text is escaped. A content security policy names the one style sheet and the one script by
their hashes, so that nothing else can run or load, whatever a name in a file says.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from sparse_formats.untrusted import escaped

SCRIPTS = (
    *("elements", "numbers", "commands", "waterfall", "bars", "axes", "roofline", "scatter"),
    *("mask", "timeline", "detail", "item_table", "sorted_tables", "start"),
)
"""The files of `script/`, in the order in which they stand in the page."""


_ROOFLINE = (
    "One dot for each {noun}. The distance to the roof is what is not reached: dots under the "
    "slope need fewer bytes, dots under the flat part need fuller lanes. A dot above the slope "
    "loaded part of its bytes while another {noun} was running."
)
"""What is said before the roofline."""


def document(title: str, body: Iterable[str], figures: Mapping[str, Any] | None = None) -> str:
    """A page with these parts, which are HTML already.

    figures: what the script draws, as JSON-able data, each into the element of its `id`.
    """
    style, script = _style(), _script()
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escaped(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + f"\n</main>\n{_data_block(figures or {})}\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _data_block(figures: Mapping[str, Any]) -> str:
    """JSON inside HTML: in ASCII, and without a character that could end the block."""
    text = json.dumps(figures, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="figures">{text}</script>'


def _hash(text: str) -> str:
    """As a content security policy states it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _style() -> str:
    files = [Path(__file__).with_name(name) for name in ("page.css", "figures.css")]
    return "".join(file.read_text(encoding="utf-8") for file in files)


@cache
def _script() -> str:
    folder = Path(__file__).with_name("script")
    files = [(folder / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    return "'use strict';\n(() => {\n" + "\n".join(files) + "})();\n"


def png_url(picture: bytes) -> str:
    """A PNG as the URL of an image that stands in the page itself."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def folded(title: str, content: str) -> str:
    """A part of a page that is closed until somebody opens it; the content is HTML already."""
    return f"<details>\n<summary>{escaped(title)}</summary>\n{content}\n</details>"


def drawn(name: str, title: str) -> str:
    """The place of a figure of `figures`, for the script; title: what it shows."""
    return (
        f'<div class="figure" id="{escaped(name)}" role="group" aria-label="{escaped(title)}">'
        "<noscript><p>This figure needs JavaScript, which is switched off.</p></noscript></div>"
    )


def command_line(command: str) -> str:
    """A command with a button that copies it."""
    return f'<div class="command"><code>{escaped(command)}</code></div>'


def item_sections(noun: str, title: str) -> list[str]:
    """The table and the roofline, with the one that was clicked beside them."""
    roofline = f"<p>{escaped(_ROOFLINE.format(noun=noun))}</p>\n" + drawn("roofline", "Roofline")
    return [
        '<div class="beside-detail">\n<div>',
        section(title, drawn("items", title)),
        section("How close to the roofline", roofline),
        '</div>\n<aside id="detail-place">',
        section(f"The {noun} you clicked", drawn("detail", f"The {noun} you clicked")),
        "</aside>\n</div>",
    ]


def again(command: str) -> str:
    """The command that gives the same page; "" where there is none."""
    return f"\n<p>The same again:</p>\n{command_line(command)}" if command else ""


def section(title: str, content: str) -> str:
    """A part of a page under its heading; the content is HTML already."""
    return f"<section>\n<h2>{escaped(title)}</h2>\n{content}\n</section>"


def note_list(notes: Iterable[Any]) -> str:
    """Notes as a list, "" where there are none."""
    items = "\n".join(f"<li>{escaped(str(note))}</li>" for note in notes if note)
    return f'\n<ul class="notes">\n{items}\n</ul>' if items else ""


def card_grid(cards: Iterable[tuple[str, str, str]]) -> str:
    """Figures that are seen first: each with its name, and what stands beside it."""
    items = "\n".join(
        f'<div class="card"><span class="label">{escaped(label)}</span>'
        f'<span class="figure">{escaped(figure)}</span>'
        f'<span class="beside">{escaped(beside)}</span></div>'
        for label, figure, beside in cards
    )
    return f'<div class="cards">\n{items}\n</div>'


def footer(data: Mapping[str, Any]) -> str:
    """The versions and the time of a report."""
    versions = " ".join(f"{name} {version}" for name, version in data["versions"].items())
    when = f" · {data['timestamp']}" if "timestamp" in data else ""
    return f"<footer>\n<p>{escaped(versions + when)}</p>\n</footer>"
