"""Do the pictures show what the report says, whatever the report holds?"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from accel_sim.costs.energy import COMPONENTS
from accel_sim.dataflows.abstract.account import Unit
from accel_sim.dataflows.abstract.machine_sections import MARKS
from accel_sim.dataflows.registry import DATAFLOWS, causes_of
from accel_sim.machines.load import load_machine
from accel_sim.reports.bar_pictures import figure_of_cycles, figure_of_energy
from accel_sim.reports.glossary import MARK_WORDS
from accel_sim.reports.layer_labels import KIND_STYLES, short_names
from accel_sim.reports.load_picture import figure_of_load, relative_load
from accel_sim.reports.picture_frame import MANY_LAYERS
from accel_sim.reports.pictures import PICTURES, draw
from accel_sim.reports.report import Report, as_json
from accel_sim.reports.results import LayerResult
from accel_sim.reports.roofline_picture import figure_of_roofline, roofline_points
from sparse_formats.masks.matrix_names import KINDS

MACHINE = load_machine("tf_mvp")
CAUSES = causes_of(MACHINE.dataflow)
NOTHING = dict.fromkeys(CAUSES, 0)


def layer(name: str, kind: str = "Q", scale: int = 1) -> LayerResult:
    """A made-up result whose parts add up; `scale` = 0 did nothing at all."""
    causes = {cause: scale * (index % 4) for index, cause in enumerate(CAUSES)}
    energy = {part: scale * (index + 1) * 1e-9 for index, part in enumerate(COMPONENTS)}
    cycles, executed = sum(causes.values()), 5000 * scale
    return LayerResult(
        **{"name": name, "kind": kind, "rows": 4, "cols": 4, "nnz": 8, "density": 0.5},
        **{"tokens": 2, "runs": 1, "orientation": "horizontal"},
        **{"lane_groups": 1, "lane_select": 1},
        **{"entries": 2, "mean_entry_weights": 4.0},
        **{"format": "sub_streams", "storage_bits": {"values": 128}, "tiles": 1},
        **{"cycles": cycles, "latency_s": cycles / MACHINE.clock.clock_hz},
        **{"ideal_cycles": 3 * scale, "ideal_compute_cycles": scale, "ideal_dram_cycles": scale},
        **{"dense_cycles": 30, "speedup_vs_dense": None, "utilization": None},
        **{"bound_by": "imbalance", "limited_by": {}, "energy_j": sum(energy.values())},
        **{"energy_band_j": {"low": energy, "high": energy}},
        **{"energy_by_component_j": energy, "pj_per_executed_mac": None, "macs_dense": 32},
        **{"macs_executed": executed, "macs_skipped": 0, "macs_padding": 0},
        **{"macs_effectual": executed, "dram_bytes": 64, "cycles_by_cause": causes},
        **{"units": {"pe": Unit(256, {"busy": 0})}, "pe_load": [scale, 3 * scale]},
        **{"imbalance": 1.5 if scale else None, "product": None},
    )


def report(*layers: LayerResult) -> dict[str, Any]:
    return as_json(Report(MACHINE, layers, mask={"source": "m.npz"}), "now")


def many(count: int) -> dict[str, Any]:
    kinds = ("Q", "K", "FFN1")
    return report(*(layer(f"l.{i // 3}.{i % 3}", kinds[i % 3], i + 1) for i in range(count)))


def bars(figure: Figure) -> dict[str, list[float]]:
    """Length of each bar by the label of its stack."""
    return {
        str(container.get_label()): [float(patch.get_width()) for patch in container.patches]
        for axes in figure.axes
        for container in axes.containers
        if isinstance(container, BarContainer)
    }


def texts(figure: Figure) -> list[str]:
    """Everything written on the axes, titles and tick labels too."""
    written = [text.get_text() for axes in figure.axes for text in axes.texts]
    written += [axes.get_title(loc="left") for axes in figure.axes]
    return written + [text.get_text() for axes in figure.axes for text in axes.get_yticklabels()]


def test_everything_that_can_occur_has_a_look_and_a_meaning() -> None:
    causes = {name: cause for flow in DATAFLOWS for name, cause in causes_of(flow).items()}
    # One name means the same and looks the same in every dataflow.
    assert all(causes[name] == cause for f in DATAFLOWS for name, cause in causes_of(f).items())
    cause_colours = {name: cause.colour for name, cause in causes.items()}
    component_colours = {name: component.colour for name, component in COMPONENTS.items()}
    assert all(each.words for each in (*causes.values(), *COMPONENTS.values()))
    assert tuple(KIND_STYLES) == KINDS
    assert set(MARK_WORDS) == set(MARKS)
    for colours in (cause_colours, component_colours, KIND_STYLES):
        assert len(set(colours.values())) == len(colours)


@pytest.mark.parametrize("count", [1, 3, MANY_LAYERS])
def test_cycle_bars_are_as_long_as_the_cycles(count: int) -> None:
    data = many(count)
    drawn = bars(figure_of_cycles(data))
    occurring = [cause for cause in CAUSES if data["total"]["cycles_by_cause"][cause]]
    assert drawn == {
        cause.replace("_", " "): [x["cycles_by_cause"][cause] for x in data["layers"]]
        for cause in occurring
    }


def test_stacked_bars_follow_each_other_without_gaps() -> None:
    axes = figure_of_cycles(many(2)).axes[0]
    stacks = [c for c in axes.containers if isinstance(c, BarContainer)]
    ends = np.zeros(2)
    for stack in stacks:
        assert [patch.get_x() for patch in stack.patches] == ends.tolist()
        ends += [patch.get_width() for patch in stack.patches]
    assert ends.tolist() == [x["cycles"] for x in many(2)["layers"]]


def test_the_ideal_is_marked_on_each_bar() -> None:
    data = many(3)
    (line,) = figure_of_cycles(data).axes[0].lines
    assert np.asarray(line.get_xdata()).tolist() == [x["ideal_cycles"] for x in data["layers"]]
    assert np.asarray(line.get_ydata()).tolist() == [0, 1, 2]


def test_energy_bars_are_as_long_as_the_energy() -> None:
    data = many(3)
    drawn = bars(figure_of_energy(data))
    for part in COMPONENTS:
        in_nanojoule = [x["energy_by_component_j"][part] * 1e9 for x in data["layers"]]
        assert drawn[part.replace("_", " ")] == pytest.approx(in_nanojoule)


def test_only_dram_is_hatched() -> None:
    axes = figure_of_energy(many(1)).axes[0]
    stacks = [c for c in axes.containers if isinstance(c, BarContainer)]
    assert [c.get_label() for c in stacks if c.patches[0].get_hatch()] == ["dram"]


@pytest.mark.parametrize("figure_of", [figure_of_cycles, figure_of_energy])
def test_many_layers_are_summed_by_kind_and_the_picture_says_so(figure_of: Any) -> None:
    data = many(50)
    figure = figure_of(data)
    assert any("summed by kind" in text for text in texts(figure))
    assert {"Q (sum of 17)", "K (sum of 17)", "FFN1 (sum of 16)"} <= set(texts(figure))
    whole = sum(sum(lengths) for lengths in bars(figure).values())
    cycles, energy_uj = data["total"]["cycles"], data["total"]["energy_j"] * 1e6
    assert whole == pytest.approx(cycles if figure_of is figure_of_cycles else energy_uj)


def test_the_load_is_relative_to_the_mean_of_its_layer() -> None:
    data = report(layer("a", scale=1), layer("b", scale=0))
    np.testing.assert_array_equal(relative_load(data), [[0.5, 1.5], [np.nan, np.nan]])
    figure = figure_of_load(data)
    (image,) = (x for x in figure.axes[0].get_children() if isinstance(x, AxesImage))
    drawn = image.get_array()
    assert drawn is not None and drawn.shape == (2, 2)
    assert {"1.500", "–"} <= set(texts(figure))


def test_the_roof_stands_where_the_machine_puts_it() -> None:
    (roof,) = figure_of_roofline(many(3)).axes[0].lines
    xs, ys = np.asarray(roof.get_xdata()), np.asarray(roof.get_ydata())
    # 4096 MACs at 0.5 GHz; 64 bytes a cycle: 64 MACs a byte keep both busy.
    assert ys[1] == ys[2] == 2048
    assert xs[1] == 64
    assert ys[0] / xs[0] == pytest.approx(32)


def test_a_point_per_layer_that_executed_anything_and_a_note_of_the_others() -> None:
    data = report(layer("l.0.q", "Q"), layer("l.0.k", "K", 2), layer("l.1.q", "Q", 0))
    figure = figure_of_roofline(data)
    drawn = [c for c in figure.axes[0].collections if isinstance(c, PathCollection)]
    offsets = np.concatenate([np.asarray(c.get_offsets()) for c in drawn])
    points = roofline_points(data)
    assert offsets.tolist() == [[p.macs_per_byte, p.gmacs_per_second] for p in points]
    assert points[0].macs_per_byte == 5000 / 64
    assert points[0].gmacs_per_second == pytest.approx(5000 * 0.5 / data["layers"][0]["cycles"])
    assert any("1 without executed MACs left out" in text for text in texts(figure))


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["encoder.layer.3.attention.self.query.weight"], ["3 Q"]),
        (["enc.layer.0.q", "dec.layer.0.q"], ["0 Q enc", "0 Q dec"]),
        (["layer.0.q", "layer.0.q"], ["0 Q #1", "0 Q #2"]),
        (["w.weight"], ["w"]),
        ([""], ["(no name)"]),
        (["a" * 99], ["…" + "a" * 27]),
        (["two\nlines \u6f22"], ["two lines ?"]),
    ],
)
def test_names_are_short_and_unlike_each_other(names: list[str], short: list[str]) -> None:
    assert short_names([{"name": name, "kind": "Q"} for name in names]) == short


ODD_NAMES = ("$x_$", "$", "_hidden", "<script>", "", "\u6f22\u5b57", "\\frac", "a\0b", "q" * 300)


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        many(1),
        many(50),
        many(224),
        report(layer("nothing", scale=0)),
        report(*(layer(name, "other", index) for index, name in enumerate(ODD_NAMES))),
        report(replace(layer("no such kind"), kind="$new$")),
        report(replace(layer("one PE row"), pe_load=[7], imbalance=1.0)),
        report(replace(layer("idle rows"), pe_load=[0] * 4095 + [9], imbalance=4096.0)),
        report(replace(layer("only DRAM"), cycles_by_cause={**NOTHING, "dram": 10**12})),
    ],
    ids=["1", "50", "224", "nothing", "names", "kind", "1 row", "4096 rows", "dram"],
)
def test_all_pictures_are_drawn(data: dict[str, Any], tmp_path: Path) -> None:
    written = draw(data, tmp_path)
    assert [path.name for path in written] == list(PICTURES)
    assert sorted(tmp_path.iterdir()) == sorted(written)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)


@pytest.mark.slow
def test_odd_names_of_masks_are_drawn_too(tmp_path: Path) -> None:
    for mask in (
        None,
        {"source": "$\\oops{$ \u6f22" * 20},
        {"source": "generated", "shapes": "4x4"},
    ):
        assert draw({**many(1), "mask": mask}, tmp_path)


@pytest.mark.slow
def test_the_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first, again = draw(many(3), tmp_path), draw(many(3), tmp_path / "again")
    assert [x.read_bytes() for x in first] == [x.read_bytes() for x in again]


@pytest.mark.slow
def test_settings_of_the_users_matplotlib_change_nothing(tmp_path: Path) -> None:
    import matplotlib

    (tmp_path / "again").mkdir()
    first = draw(many(3), tmp_path)
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red"}):
        again = draw(many(3), tmp_path / "again")
        assert matplotlib.rcParams["font.size"] == 20
    assert [x.read_bytes() for x in first] == [x.read_bytes() for x in again]


def test_the_report_is_only_read(tmp_path: Path) -> None:
    data, untouched = many(50), many(50)
    draw(data, tmp_path)
    assert data == untouched
