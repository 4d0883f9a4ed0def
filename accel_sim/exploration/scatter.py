"""The points of a study by pairs of objectives, as SVG inside the page: a point says what it is."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from accel_sim.exploration.terminal import figure, measure_words, values_text
from sparse_formats.untrusted import escaped

_WIDTH, _HEIGHT = 560, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 88, 30, 14, 52
_TICKS = 4

_STYLE = (
    "<style>.scatter { max-width: 36rem; width: 100%; height: auto; } "
    ".scatter text { font-size: 12px; fill: var(--quiet); } "
    ".scatter .beaten { fill: var(--quiet); fill-opacity: .45; } "
    ".scatter .front { fill: var(--accent); } .scatter .knee { fill: var(--warn); } "
    ".scatter line { stroke: var(--line); }</style>"
)


def scatters(data: Mapping[str, Any]) -> str:
    """A picture for each pair of objectives; of one objective, over its trials there is none."""
    pairs = list(combinations([each["key"] for each in data["objectives"]], 2))
    if not pairs:
        return "<p>There is one objective, so every point is better or worse than another.</p>"
    counted = [point for point in data["points"] if point["reason"] is None]
    # What is drawn last lies on top.
    rank = {"beaten": 0, "front": 1, "knee": 2}
    ordered = sorted(counted, key=lambda point: rank[_kind(point, data)])
    words = (
        "<p>Points of the front are blue, the knee is orange, and points that others beat are "
        "grey. Hold the pointer on one to see what it is.</p>"
    )
    return _STYLE + words + "\n".join(_scatter(ordered, x, y, data) for x, y in pairs)


def _kind(point: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    if point["key"] == data["knee"]:
        return "knee"
    return "front" if point["is_on_front"] else "beaten"


def _scatter(points: Sequence[Mapping[str, Any]], x: str, y: str, data: Mapping[str, Any]) -> str:
    across, up = (_scale([point[key] for point in points]) for key in (x, y))

    def place(point: Mapping[str, Any]) -> tuple[float, float]:
        wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return _LEFT + wide * _part(point[x], across), _HEIGHT - _BOTTOM - high * _part(
            point[y], up
        )

    marks = []
    for point in points:
        at, kind = place(point), _kind(point, data)
        says = f"{point['key']}: {figure(point[x], x)}, {figure(point[y], y)}; {values_text(point)}"
        marks.append(
            f'<circle class="{kind}" cx="{at[0]:.1f}" cy="{at[1]:.1f}" '
            f'r="{4 if kind == "beaten" else 6}"><title>{escaped(says)}</title></circle>'
        )
    title = f"{measure_words(y, data)} over {measure_words(x, data)}"
    return (
        f'<svg class="scatter" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escaped(title)}">\n{_axes(across, up, x, y, data)}\n'
        + "\n".join(marks)
        + "\n</svg>"
    )


def _axes(
    across: tuple[float, float], up: tuple[float, float], x: str, y: str, data: Mapping[str, Any]
) -> str:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for i in range(_TICKS + 1):
        share = i / _TICKS
        px = _LEFT + (right - _LEFT) * share
        py = bottom - (bottom - _TOP) * share
        of_x = across[0] + (across[1] - across[0]) * share
        of_y = up[0] + (up[1] - up[0]) * share
        parts += [
            f'<line x1="{px:.1f}" y1="{_TOP}" x2="{px:.1f}" y2="{bottom}"/>',
            f'<line x1="{_LEFT}" y1="{py:.1f}" x2="{right}" y2="{py:.1f}"/>',
            f'<text x="{px:.1f}" y="{bottom + 18}" text-anchor="middle">'
            f"{escaped(figure(of_x, x))}</text>",
            f'<text x="{_LEFT - 6}" y="{py + 4:.1f}" text-anchor="end">'
            f"{escaped(figure(of_y, y))}</text>",
        ]
    middle = (_TOP + bottom) / 2
    parts += [
        f'<text x="{(_LEFT + right) / 2:.1f}" y="{_HEIGHT - 10}" text-anchor="middle">'
        f"{escaped(measure_words(x, data))}</text>",
        f'<text x="14" y="{middle:.1f}" text-anchor="middle" '
        f'transform="rotate(-90 14 {middle:.1f})">{escaped(measure_words(y, data))}</text>',
    ]
    return "\n".join(parts)


def _scale(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis: a little beyond the values."""
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _part(value: float, scale: tuple[float, float]) -> float:
    return (value - scale[0]) / (scale[1] - scale[0])
