"""A run's folder: report.json, layers.csv, pictures and the page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accel_sim.reports.figures.mask_picture import MaskPicture
from accel_sim.reports.figures.timeline import Timeline
from sparse_formats.files.atomic import json_text, write_text
from sparse_formats.files.output_folder import check_owned, replace_files

NAMES = (
    "layers.csv",
    "cycles_by_cause.png",
    "energy_by_component.png",
    "pe_load.png",
    "roofline.png",
    "report.html",
    "report.json",
)
"""What a run's folder may hold."""


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds somebody else's file of a name that the report would take.

    Raises:
        InputError: naming the file.
    """
    check_owned(folder, "report", NAMES)


def write_folder(
    folder: Path,
    data: dict[str, Any],
    csv: str,
    pictures: Mapping[str, MaskPicture],
    timelines: Mapping[str, Timeline],
) -> None:
    """Write the whole report into `folder`.

    data: the report as JSON; csv: the text of layers.csv; pictures, timelines: as of `Report`.
    Whenever a run is stopped, the folder holds the last report or the new one, whole.

    Raises:
        InputError: the folder cannot be made or written, or holds somebody else's file.
    """
    from accel_sim.reports.pictures import draw
    from accel_sim.reports.run_page import run_page

    check_folder(folder)
    with replace_files(folder, "report") as beside:
        draw(data, beside)
        write_text(beside / "layers.csv", csv)
        write_text(beside / "report.html", run_page(data, pictures, timelines))
        write_text(beside / "report.json", json_text(data))
