"""The report in four pictures: cycles, energy, load of the PEs, and the roofline.

Each figure is drawn from the report as JSON, whatever its number of layers. matplotlib is loaded
only when something is drawn, and used without pyplot, so that nothing outlives a call.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_sim.reports.bar_pictures import figure_of_cycles, figure_of_energy
from accel_sim.reports.load_picture import figure_of_load
from accel_sim.reports.roofline_picture import figure_of_roofline
from sparse_formats.files.pictures import own_style, write_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DOTS_PER_INCH = 130


def draw(data: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the pictures of `PICTURES` into `folder`; the same data gives the same bytes.

    data: the report as JSON (`report.as_json`).

    Raises:
        InputError: the folder cannot be written.
    """
    written = []
    with own_style():
        for name, figure_of in PICTURES.items():
            if figure_of is figure_of_load and not all(item["pe_load"] for item in data["layers"]):
                continue  # a dataflow that deals no entries out has no load to compare
            write_png(folder / name, figure_of(data), _DOTS_PER_INCH)
            written.append(folder / name)
    return written


PICTURES: dict[str, Callable[[Mapping[str, Any]], "Figure"]] = {
    "cycles_by_cause.png": figure_of_cycles,
    "energy_by_component.png": figure_of_energy,
    "pe_load.png": figure_of_load,
    "roofline.png": figure_of_roofline,
}
"""File name → what draws it."""
