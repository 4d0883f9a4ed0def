"""Is the page well-formed, complete, and safe whatever the names in the file are?"""

import base64
import hashlib
import json
import re
from dataclasses import asdict
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from accel_sim.inputs.activations import Activations
from accel_sim.machines.load import load_machine
from accel_sim.reports.html_tables import layers_table
from accel_sim.reports.number_text import change, quantity
from accel_sim.reports.report import Calibration, Report, as_json
from accel_sim.reports.run_page import run_page
from accel_sim.reports.verdict import verdict
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.workloads import simulated

# They have no end tag.
VOID = {"meta", "img", "wbr", "br"}
SCRIPT = "<script>alert('&')</script>"


class Page(HTMLParser):
    """The page read back: refuses tags that do not close in order; collects what tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.rows: dict[str, list[list[str]]] = {}
        self.text = ""
        self.figures: dict[str, Any] = {}
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "tr":
            self.rows.setdefault(self._part, []).append([])
        if tag in ("td", "th"):
            self.rows[self._part][-1].append("")
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        inside = [tag for tag, _ in self.open]
        if self.open and self.open[-1][1].get("id") == "figures":
            self.figures = json.loads(data)
        if "style" in inside or "script" in inside:
            return
        self.text += data
        if "td" in inside or "th" in inside:
            self.rows[self._part][-1][-1] += data

    @property
    def _part(self) -> str:
        """Which table, and which part of it: `layers tbody`."""
        table = next(attrs["class"] for tag, attrs in reversed(self.open) if tag == "table")
        part = next(tag for tag, _ in reversed(self.open) if tag in ("thead", "tbody", "tfoot"))
        return f"{table} {part}"


def report(names: tuple[str, ...] = ("layer.0.q", "layer.0.ffn1"), **given: Any) -> dict[str, Any]:
    """A real run of small matrices on a small machine; a matrix named "empty" keeps nothing."""
    settings = ("array.pe_rows=4", "array.lanes=4", "lane_groups=[1, 2]", "queue.depth_entries=2")
    machine = load_machine("tf_mvp", settings)
    keep = np.random.default_rng(0).random((16, 16)) < 0.5
    matrices = [MaskedMatrix(name, keep & (name != "empty")) for name in names]
    results = simulated(matrices, machine, Activations(8, 1.0, 0), threads=1)
    defaults = {
        "command": "python -m accel_sim run --mask m.npz",
        "mask": {"source": "m.npz", "sha256": "ab12" * 16},
        "notes": ["Reconstructed, not validated.", "Second note with 1 < 2 & more."],
    }
    data = as_json(Report(machine, tuple(results)), "2026-01-01T00:00:00")
    return {**data, **defaults, **given}


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return report()


@pytest.fixture(scope="module")
def read(data: dict[str, Any]) -> Page:
    return Page(run_page(data, {}, {}))


@pytest.mark.parametrize("count", [1, 2, 50])
def test_there_is_a_row_for_each_layer_and_one_for_the_total(count: int) -> None:
    names = tuple(f"layer.{index}.q.weight" for index in range(count))
    read = Page(layers_table(report(names)))
    assert [row[0] for row in read.rows["layers tbody"]] == list(names)
    assert [row[0] for row in read.rows["layers tfoot"]] == ["total"]
    widths = {
        len(row) for part in ("thead", "tbody", "tfoot") for row in read.rows[f"layers {part}"]
    }
    assert widths == {16}


def test_the_figures_are_those_of_the_report(data: dict[str, Any]) -> None:
    read = Page(layers_table(data))
    (head,) = read.rows["layers thead"]
    everything = [*data["layers"], data["total"]]
    shown = read.rows["layers tbody"] + read.rows["layers tfoot"]
    for result, row in zip(everything, shown, strict=True):
        cells = dict(zip(head, row, strict=True))
        assert cells["cycles"] == f"{result['cycles']:,}"
        assert cells["ideal cycles"] == f"{result['ideal_cycles']:,}"
        assert cells["× dense"] == f"{result['speedup_vs_dense']:.2f}"
        assert cells["energy µJ"] == f"{result['energy_j'] * 1e6:.2f}"
        assert cells["bound by"].startswith(result["bound_by"].replace("_", " "))


def test_each_matrix_says_how_the_lanes_work_on_it(data: dict[str, Any]) -> None:
    ways = [("horizontal", 2, 1, 3.25, "row 2, 3.2"), ("vertical", 8, 1, 1.0, "column 8, 1.0")]
    ways += [("vertical", 2, 4, 6.5, "column 2 select 4, 6.5")]
    ways += [("horizontal", 1, 1, None, "row 1, –"), ("", 0, 0, None, "–")]
    keys = ("orientation", "lane_groups", "lane_select", "mean_entry_weights")
    layers = [{**data["layers"][0], **dict(zip(keys, way, strict=True))} for *way, _ in ways]
    rows = Page(layers_table({**data, "layers": layers})).rows
    column = rows["layers thead"][0].index("mode, groups, weights an entry")
    assert [row[column] for row in rows["layers tbody"]] == [shown for *_, shown in ways]


def test_the_verdict_names_what_an_architect_asks_for(data: dict[str, Any], read: Page) -> None:
    total = data["total"]
    said = re.sub(r"\s+", " ", read.text)
    assert (
        f"take {quantity(total['latency_s'], 's')} and {quantity(total['energy_j'], 'J')}" in said
    )
    share = 100 * total["cycles_by_cause"][total["bound_by"]] / total["cycles"]
    assert f"bound by {total['bound_by'].replace('_', ' ')}" in said
    assert f"{share:.0f} % of the cycles" in said
    slowest = max(data["layers"], key=lambda layer: layer["cycles"])
    assert f"costliest matrix is {slowest['name']}" in said
    for figure in total["gops_per_watt"].values():
        assert f"{figure:,.0f}" in said


@pytest.mark.parametrize(
    ("dram", "said", "not_said"),
    [
        (800, "save at most 20.0 % of the cycles, because the DRAM needs 800", "kept weights need"),
        (600, "600 of its 1,000 cycles, which the DRAM needs", "More multipliers alone"),
        (100, "500 of its 1,000 cycles, which the kept weights need", "the DRAM needs"),
    ],
)
def test_the_verdict_says_what_more_multipliers_cannot_save(
    data: dict[str, Any], dram: int, said: str, not_said: str
) -> None:
    """A run that multiplies most of the time may be as near to the limit of its DRAM."""
    total = {
        **data["total"],
        "cycles": 1000,
        "cycles_by_cause": dict.fromkeys(data["total"]["cycles_by_cause"], 0) | {"compute": 700},
        "bound_by": "compute",
        "limited_by": None,
        "ideal_compute_cycles": 500,
        "ideal_dram_cycles": dram,
        "ideal_cycles": max(500, dram),
    }
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", verdict({**data, "total": total})))
    assert said in text
    assert not_said not in text


@pytest.mark.parametrize(
    ("speedup", "said"),
    [(2.0, "2.00 times as fast as"), (0.5, "slower than"), (None, "")],
)
def test_the_verdict_is_honest_about_dense(
    data: dict[str, Any], speedup: float | None, said: str
) -> None:
    changed = {**data, "total": {**data["total"], "speedup_vs_dense": speedup}}
    text = Page(run_page(changed, {}, {})).text
    assert said in text
    assert ("the same machine with nothing pruned" in text) == (speedup is not None)


def test_every_note_and_the_hash_are_there(data: dict[str, Any], read: Page) -> None:
    for note in data["notes"]:
        assert note in read.text
    assert data["mask"]["sha256"] in read.text
    assert data["command"] in read.text


def test_every_value_of_the_machine_has_its_mark_and_source(
    data: dict[str, Any], read: Page
) -> None:
    rows = {row[0]: row for row in read.rows["machine tbody"]}
    for section, items in data["accelerator"].items():
        if isinstance(items, dict):
            for key, item in items.items():
                _, value, mark, source = rows.pop(f"{section}.{key}")
                assert value
                assert mark == item["mark"]
                assert source == (item["source"] or "–")
    assert not rows
    assert {"set", "chosen", "inferred", "published"} <= {
        row[2] for row in read.rows["machine tbody"]
    }


def test_causes_and_components_add_up_in_words(data: dict[str, Any], read: Page) -> None:
    parts = {row[0]: row[1] for row in read.rows["parts tbody"]}
    for cause, cycles in data["total"]["cycles_by_cause"].items():
        if cause not in data["total"]["energy_by_component_j"]:
            assert parts[cause.replace("_", " ")] == f"{cycles:,}"
    mac = data["total"]["energy_by_component_j"]["mac"]
    assert parts["mac"] == quantity(mac, "J")


def test_only_the_script_of_the_page_may_run_and_nothing_is_fetched(
    data: dict[str, Any], read: Page
) -> None:
    text = run_page(data, {}, {})
    assert read.tags.count("script") == 2  # the data, and what draws it
    assert not {"link", "iframe", "object", "img"} & set(read.tags)
    assert not [key for key, _ in read.attributes if key.startswith("on") or key == "href"]
    assert not [key for key, _ in read.attributes if key in ("src", "style")]
    assert "@import" not in text and "url(" not in text
    policy = next(
        value for key, value in read.attributes if key == "content" and value and "src" in value
    )
    assert policy.startswith("default-src 'none';")
    for tag in ("script", "style"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_the_figures_have_an_item_for_each_matrix(data: dict[str, Any], read: Page) -> None:
    (phase,) = read.figures["run"]["phases"]
    assert [item["name"] for item in phase["items"]] == [one["name"] for one in data["layers"]]
    assert [each["key"] for each in phase["causes"]] == list(data["total"]["cycles_by_cause"])
    for item, layer in zip(phase["items"], data["layers"], strict=True):
        assert sum(item["causes"]) == item["cycles"] == layer["cycles"]
        assert item["steps"][-1][2] == pytest.approx(layer["speedup_vs_dense"])
    assert phase["total"]["cycles"] == data["total"]["cycles"]


def test_names_from_the_file_are_text_and_nothing_else() -> None:
    hostile = report(
        (SCRIPT, '"><img src=x onerror=y>'),
        mask={"source": SCRIPT, "sha256": SCRIPT, "shapes": SCRIPT, "pattern": SCRIPT},
        notes=[SCRIPT],
        command=SCRIPT,
        versions={SCRIPT: SCRIPT},
    )
    for layer in hostile["layers"]:
        layer |= {"kind": SCRIPT, "format": SCRIPT, "orientation": SCRIPT}
    hostile["accelerator"] |= {"name": SCRIPT, "description": SCRIPT, "source": SCRIPT}
    hostile["accelerator"]["clock"]["clock_hz"] = dict.fromkeys(("value", "mark", "source"), SCRIPT)
    read = Page(run_page(hostile, {}, {}))
    assert read.tags.count("script") == 2
    assert not {"img", "b"} & set(read.tags)
    assert SCRIPT in read.text
    assert read.figures["run"]["phases"][0]["items"][0]["name"] == SCRIPT


def advice(key: str, change: str, cycles: int, settings: list[str] | None) -> dict[str, Any]:
    """One change of a run of 10,000 cycles and 2 mJ on 4 mm²; it takes 1 mJ on 5 mm²."""
    costs = {"energy_j": 1e-3, "area_mm2": 5.0, "energy_delay_js": 2e-9}
    difference = {"energy_j": -0.5, "area_mm2": 0.25, "energy_delay_js": None}
    difference["cycles"] = cycles / 10000 - 1
    is_nothing = abs(difference["cycles"]) < 0.01
    about = {"key": key, "change": change, "settings": settings, "is_nothing": is_nothing}
    return {**about, "cycles": cycles, **costs, "difference": difference}


def test_what_would_help_is_ranked_with_its_figures_and_recipes() -> None:
    given = [
        advice("schedule", "even <b>", 8000, None),
        advice("dram", "twice", 9990, ["dram.bytes_per_cycle=8"]),
        advice("sets", "sets", 10500, ["a.b=[1, 2]", "c.d=1"]),
    ]
    read = Page(run_page(report(advice=given), {}, {}))
    bound = "a bound, and no recipe: no setting makes such a machine"
    said = " ".join(read.text.split())
    rest = "−50.0 % energy · +25.0 % area · – energy × delay"
    command = "python -m accel_sim run --mask m.npz"
    assert f"Even <b> helps −20.0 % cycles · {rest} This is {bound}." in said
    assert "2 changes that do not help" in said
    twice = "--set dram.bytes_per_cycle=8"
    assert f"Twice neutral −0.1 % cycles · {rest} {command} {twice}" in said
    assert f"Sets harms +5.0 % cycles · {rest} {command} --set 'a.b=[1, 2]' --set c.d=1" in said
    assert "perfect balance would save 20.0 % of the cycles" in read.text
    assert "saves most" not in said  # what helps is a bound, which nobody can build
    assert "Each line simulates" not in Page(run_page(report(), {}, {})).text


def test_what_to_try_is_the_change_that_saves_most() -> None:
    given = [advice("dram", "twice <i>", 8000, ["dram.bytes_per_cycle=8"])]
    said = " ".join(Page(run_page(report(advice=given), {}, {})).text.split())
    assert (
        "twice <i> saves most: 20.0 % of the cycles, with −50.0 % energy and +25.0 % area" in said
    )
    none = " ".join(Page(run_page(report(advice=[]), {}, {})).text.split())
    assert "No change of this machine is known" in none
    assert "--advice" in Page(run_page(report(), {}, {})).text


def test_other_masks_are_commands_to_try() -> None:
    masks = {"model": "a/<b>", "commands": [{"change": "vectors", "command": "prune '<b>'"}]}
    read = Page(run_page(report(advice=[], mask_advice=masks), {}, {}))
    assert "Vectors\nprune '<b>'" in read.text.replace("Vectorsprune", "Vectors\nprune")
    assert "$MODEL is the path of a/<b>." in read.text


def test_is_a_unit_that_is_hardly_ever_idle_named_as_the_limit() -> None:
    given = report()
    given["total"]["limited_by"] = {"dram": 0.9987, "pe": 0.96}
    text = Page(run_page(given, {}, {})).text
    # Of 10,000 cycles 13 are left: 0.13 %, rounded up.
    assert (
        "It is limited by the DRAM, which is busy 99.9 % of the cycles; no change that leaves its "
        "work and its speed as they are can save more than 0.2 %."
    ) in text
    assert "bound by" not in text.partition("What to try")[0]


def test_a_published_figure_is_of_the_machine_without_the_values_set() -> None:
    given = report()  # with the four settings above
    text = Page(run_page(given, {}, {})).text
    assert "on tf_mvp with 4 values set" in text
    assert "(its authors publish 377 for tf_mvp without the 4 values set;" in text
    given["accelerator"]["values_set"] = 0
    assert "(its authors publish 377;" in Page(run_page(given, {}, {})).text


def test_the_band_of_the_tables_stands_beside_the_figures(data: dict[str, Any], read: Page) -> None:
    total = data["total"]
    for case in ("low", "high"):
        assert quantity(sum(total["energy_band_j"][case].values()), "J") in read.text
    rows = {tuple(row[:2]): row[2:] for row in read.rows["efficiency tbody"]}
    band = total["gops_per_watt_band"]["executed_core"]
    shown = (total["gops_per_watt"]["executed_core"], *band)
    assert rows[("executed", "core")] == [f"{value:,.0f}" for value in shown]
    assert band[0] < shown[0] < band[1]


def test_a_calibrated_run_says_so() -> None:
    fit = Calibration("dense_equivalent_core", 377.0, 6673.2, factor=17.7, missing_pj_per_mac=5.005)
    text = Page(run_page(report(calibration=asdict(fit)), {}, {})).text
    assert "multiplied by 17.70" in text
    assert "Uncalibrated it is 6,673: 5.00 of 5.31 pJ" in text
    assert "The calibrated efficiency in GOPS/W" in text
    plain = Page(run_page(report(), {}, {})).text
    assert "Calibrated" not in plain and "(calibrated)" not in plain


@pytest.mark.parametrize(
    ("difference", "shown"),
    [(-0.123, "−12.3 %"), (0.05, "+5.0 %"), (0.0004, "0 %"), (-0.0004, "0 %"), (None, "–")],
)
def test_a_difference_is_shown_with_its_sign(difference: float | None, shown: str) -> None:
    assert change(difference) == shown


def test_undefined_ratios_are_dashes() -> None:
    (row,) = Page(layers_table(report(("empty",)))).rows["layers tbody"]
    assert row[0] == "empty"
    assert row[-1] == "–"


def test_a_run_of_no_cycles_has_a_page() -> None:
    data = report(("empty",))
    for result in (data["total"], *data["layers"]):
        result |= {"cycles": 0, "latency_s": 0.0, "energy_j": 0.0, "speedup_vs_dense": None}
        result["cycles_by_cause"] = dict.fromkeys(result["cycles_by_cause"], 0)
        result |= {"utilization": None, "mean_entry_weights": None, "pj_per_executed_mac": None}
    data["total"]["gops_per_watt"] = dict.fromkeys(data["total"]["gops_per_watt"])
    data["area_mm2"] = {"total": 0.0}
    text = Page(run_page(data, {}, {})).text
    assert "there was nothing to do" in text
    assert not re.search(r"\b(nan|inf|None)\b", text)


def test_generated_masks_are_called_so() -> None:
    mask = {"source": "generated", "sha256": None, "shapes": "gpt2-small", "seed": 0}
    text = Page(run_page(report(mask=mask), {}, {})).text
    assert "gpt2-small (generated) on tf_mvp" in text
    assert "seed 0" in text
    assert "sha256" not in text


def test_a_product_that_differs_is_not_hidden(data: dict[str, Any]) -> None:
    layers = [
        {**layer, "product": {"is_equal": index == 0}} for index, layer in enumerate(data["layers"])
    ]
    assert "in 1 of 2 matrices" in Page(run_page({**data, "layers": layers}, {}, {})).text


def test_the_same_report_gives_the_same_page(data: dict[str, Any]) -> None:
    assert run_page(data, {}, {}) == run_page(report(), {}, {})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.000204026, "204 µs"),
        (0.9999996e-3, "1.00 ms"),
        (1.0, "1.00 s"),
        (12.34, "12.3 s"),
        (0.0, "0 s"),
        (5e-13, "0.50 ps"),
        (4.4e12, "4,400 Gs"),
        (None, "–"),
    ],
)
def test_quantities_have_three_digits(value: float | None, shown: str) -> None:
    assert quantity(value, "s") == shown
