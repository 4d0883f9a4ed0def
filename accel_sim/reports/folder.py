"""A run's folder: report.json, layers.csv, pictures and the page that shows them."""

import tempfile
from pathlib import Path
from typing import Any

from sparse_formats.errors import InputError
from sparse_formats.files.atomic import json_text, write_text
from sparse_formats.files.output_folder import prepare_folder

NAMES = (
    "layers.csv",
    "cycles_by_cause.png",
    "energy_by_component.png",
    "pe_load.png",
    "roofline.png",
    "report.html",
    "report.json",
)
"""What a run's folder may hold; report.json comes last and stands for a finished report."""


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds somebody else's file of a name that the report would take.

    Raises:
        InputError: naming the file.
    """
    for name in NAMES:
        if (folder / name).exists() and not (folder / "report.json").exists():
            raise InputError(
                f"{folder} holds a {name} that is not part of a report; give a new folder"
            )


def write_folder(folder: Path, data: dict[str, Any], csv: str) -> None:
    """Write the whole report into `folder`; data: the report as JSON; csv: the text of layers.csv.

    Everything is written beside first: a run that is stopped leaves the last report whole.

    Raises:
        InputError: the folder cannot be made or written, or holds somebody else's file.
    """
    from accel_sim.reports.html import page
    from accel_sim.reports.pictures import draw

    check_folder(folder)
    prepare_folder(folder, NAMES)
    with tempfile.TemporaryDirectory(prefix=".report-", dir=folder) as name:
        beside = Path(name)
        pictures = draw(data, beside)
        write_text(beside / "layers.csv", csv)
        write_text(beside / "report.html", page(data, [picture.name for picture in pictures]))
        write_text(beside / "report.json", json_text(data))
        for name in NAMES:
            if (beside / name).exists():
                (beside / name).replace(folder / name)
            else:
                (folder / name).unlink(missing_ok=True)  # of an earlier report
