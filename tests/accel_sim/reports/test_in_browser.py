"""Does the page work in a browser: sort, filter, unfold, choose, switch, and harm nobody?"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from accel_sim.reports.figures.scatter import Axis, Point, Scatter
from accel_sim.reports.figures.timeline import Timeline, Track
from accel_sim.reports.html import document, drawn
from accel_sim.reports.report import as_json
from accel_sim.reports.run_page import run_page
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.matrix_names import kind_of
from tests.accel_sim.reports.browser import Opened, browser

KINDS = ("attention.self.query", "attention.self.key", "intermediate.dense", "output.dense")
NAMES = [f"encoder.layer.{layer}.{kind}.weight" for layer in range(3) for kind in KINDS]
HOSTILE = [
    "<script>document.title='harmed'</script>",
    '"onload=document.title="harmed" x="',
    "</script><img src=x onerror=\"document.title='harmed'\">",
    "长" * 3000 + "\u202e" + "🜁" * 200,
]


def report_of(names: list[str]) -> tuple[dict[str, Any], Any]:
    """A report of small matrices of random masks, and their pictures."""
    settings = ("array.pe_rows=4", "array.lanes=4", "lane_groups=[1, 2]", "queue.depth_entries=2")
    rng = np.random.default_rng(0)
    masks = [
        MaskedMatrix(name, rng.random((32 + 8 * (i % 5), 40)) < 0.3, kind=kind_of(name))
        for i, name in enumerate(names)
    ]
    workload = Workload.of(masks, Activations(8, 1.0, 0))
    report = simulate(workload, load_machine("tf_mvp", settings), is_drawn=True, threads=1)
    report = replace(report, command="python -m accel_sim run --mask m.npz")
    return as_json(report, "2026-01-01T00:00:00"), report.pictures


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data, pictures = report_of(NAMES)
    change = {"cycles": -0.2, "energy_j": 0.1, "area_mm2": 0.0, "energy_delay_js": -0.1}
    advice = {
        "key": "dram",
        "change": "twice the bandwidth",
        "settings": ["dram.bytes_per_cycle=8"],
    }
    advice |= {"difference": change, "is_nothing": False, "cycles": 1, "energy_j": 1e-6}
    costliest = max(data["layers"], key=lambda layer: layer["cycles"])["name"]
    tracks = [
        Track("PE row 0", [(0, 5, "busy"), (5, 9, "window")]),
        Track("DRAM", [(0, 4, "dram")]),
    ]
    timelines = {costliest: Timeline("The first tile.", 0, 10, tracks)}
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(run_page({**data, "advice": [advice]}, pictures, timelines), encoding="utf-8")
    return path


def test_the_table_sorts_filters_and_folds(running: Any, page_file: Path) -> None:
    opened = Opened(running, page_file)
    page, rows = opened.page, "table.items tbody tr"
    head = page.locator("table.items thead th", has_text="cycles")
    assert opened.count(rows) == len(NAMES)
    cycles = "table.items tbody td:nth-child(3)"

    def numbers() -> list[int]:
        return [int(text.replace(",", "")) for text in opened.texts(cycles)]

    before = numbers()
    head.get_by_role("button").click()
    assert numbers() == sorted(before, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    head.get_by_role("button").press("Enter")
    assert numbers() == sorted(before)
    head.get_by_role("button").press("Enter")
    assert numbers() == before

    page.get_by_role("searchbox").fill("ffn2")
    assert opened.count(rows) == 3
    assert opened.texts("p.said") == ["3 of 12 matrices"]
    page.get_by_role("searchbox").fill("")

    page.get_by_role("button", name="By kind").click()
    assert opened.texts(f"{rows}.group th") == ["Q (3)", "K (3)", "FFN1 (3)", "FFN2 (3)"]
    assert sum(numbers()) == sum(before)  # each group has the sum of its matrices
    page.get_by_role("button", name="K (3)").first.press("Enter")
    page.locator("#items").get_by_role("button", name="K (3)").press("Enter")
    assert opened.count(f"{rows}.of-group") == 3
    page.get_by_role("button", name="By layer").click()
    assert opened.texts(f"{rows}.group th") == ["layer 0 (4)", "layer 1 (4)", "layer 2 (4)"]
    opened.close()


def test_bars_unfold_and_show_energy(running: Any, page_file: Path) -> None:
    opened = Opened(running, page_file)
    page = opened.page
    assert opened.count("table.bars tr") == 4
    page.locator("#bars").get_by_role("button", name="FFN1 (3)").click()
    assert opened.count("table.bars tr.of-group") == 3
    before = opened.texts("table.bars td.number")
    page.locator("#bars").get_by_role("button", name="Energy").click()
    after = opened.texts("table.bars td.number")
    assert after != before and all(text.endswith("J") for text in after)
    opened.close()


def test_what_is_clicked_is_shown_with_its_mask_waterfall_and_timeline(
    running: Any, page_file: Path
) -> None:
    opened = Opened(running, page_file)
    page = opened.page
    assert opened.texts("#detail figure.timeline figcaption") == ["The first tile."]
    page.locator("table.items").get_by_role("button", name="1 FFN1").press("Enter")
    assert opened.texts("#detail h3") == ["1 FFN1"]
    assert opened.texts("#detail .full-name") == [NAMES[6]]
    assert opened.count("#detail canvas.density") == 1
    assert opened.count("#detail svg.part rect") > 50
    assert opened.count("#detail figure.timeline") == 0
    # The factors that are shown multiply to the speed-up that is shown, up to their rounding.
    for place in ("#waterfall", "#detail"):
        factors = opened.texts(f"{place} .waterfall tbody td:nth-child(3)")[:-1]
        found = np.prod([float(text.removeprefix("×")) for text in factors])
        speedup = opened.texts(f"{place} .waterfall .sum td:last-child")[0]
        assert found == pytest.approx(float(speedup.removesuffix("×")), rel=0.01)
    dot = page.locator("#roofline .dot").first
    dot.focus()
    assert "cycles" in opened.texts("#tip")[0] and "bound by" in opened.texts("#tip")[0]
    dot.press("Enter")
    assert opened.count("#roofline .dot.chosen") == 1
    assert opened.texts("#detail h3") == ["0 Q"]
    opened.close()


def test_a_command_is_copied(running: Any, page_file: Path) -> None:
    opened = Opened(running, page_file, permissions=["clipboard-read", "clipboard-write"])
    opened.page.locator("ol.advice .copy").first.click()
    opened.page.get_by_text("Copied").wait_for()
    copied = opened.page.evaluate("navigator.clipboard.readText()")
    assert copied == "python -m accel_sim run --mask m.npz --set dram.bytes_per_cycle=8"
    opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_is_wider_than_the_window(
    running: Any, page_file: Path, width: int, scheme: str
) -> None:
    opened = Opened(running, page_file, width, color_scheme=scheme)
    assert opened.overflow() <= 0
    back, front = opened.page.evaluate(
        "(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.body))"
    )
    assert _contrast(back, front) > 10
    quiet = opened.page.evaluate("getComputedStyle(document.querySelector('.facts')).color")
    assert _contrast(back, quiet) > 4.5  # WCAG 2.2, AA
    opened.close()


def _contrast(one: str, other: str) -> float:
    """Source: WCAG 2.2, "contrast ratio"."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in colour[4:-1].split(",")]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_hostile_names_stay_text(running: Any, tmp_path: Path) -> None:
    data, pictures = report_of(HOSTILE)
    data["mask"] = {"source": HOSTILE[0]}
    data["command"] = HOSTILE[2]
    path = tmp_path / "report.html"
    path.write_text(run_page(data, pictures, {}), encoding="utf-8")
    opened = Opened(running, path)
    for button in opened.page.locator("table.items button.item").all():
        button.click()
        assert opened.overflow() <= 0
    assert opened.page.title() != "harmed"
    assert opened.count("img") == 0
    opened.page.locator("table.items button.item").first.click()
    assert opened.texts("#detail .full-name") == [HOSTILE[0]]
    opened.close()


def test_a_scatter_says_what_a_point_is_and_how_to_make_it(running: Any, tmp_path: Path) -> None:
    points = [
        Point("a <b>", {"t": 1e-3, "e": 2.0}, [("lanes", "8")], "front", commands=["run a"]),
        Point("b", {"t": 2e-3, "e": 1.0}, [("lanes", "16")], "knee", commands=["run b"]),
        Point("c", {"t": 2e-3, "e": 3.0}, [("lanes", "4")], "beaten"),
        Point("d", {"t": None, "e": 3.0}, [], "beaten"),
    ]
    scatter = Scatter("points", [Axis("t", "time", "s"), Axis("e", "energy", "J")], points)
    table = '<table class="sortable"><thead><tr><th>x</th></tr></thead><tbody>'
    table += (
        "".join(f"<tr><td>{x}</td></tr>" for x in ("2 ms", "3 µs", "–", "1 s")) + "</tbody></table>"
    )
    path = tmp_path / "page.html"
    body = [drawn("points", "Points"), table]
    path.write_text(document("Points", body, {"scatters": [scatter.as_data()]}), encoding="utf-8")
    opened = Opened(running, path)
    page = opened.page
    assert opened.count("#points .dot[data-point]") == 3
    page.locator("#points .dot[data-point='1']").hover(force=True)
    assert "lanes: 16" in opened.texts("#tip")[0]
    page.locator("#points .dot[data-point='0']").press("Enter")
    assert opened.texts(".point h3") == ["a <b>"]
    assert opened.texts(".point code") == ["run a"]
    page.get_by_label("Up").select_option("t")
    assert opened.count("#points .dot[data-point]") == 3
    page.get_by_role("button", name="x").click()
    assert opened.texts("tbody td") == ["3 µs", "2 ms", "1 s", "–"]
    opened.close()
