"""A run's folder: report.json, layers.csv, pictures and the page that shows them."""

import csv
import io
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from accel_sim.reports.report import Report, csv_rows
from sparse_formats.errors import InputError
from sparse_formats.files.atomic import check_writable, json_text, write_text

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


def prepare_folder(folder: Path, inputs: Iterable[Path]) -> None:
    """Make `folder` if it is not there; called before the run, so that no run is lost to a typo.

    Raises:
        InputError: it cannot be made, is not a folder, or holds somebody else's file of a name
            that the report would take.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InputError(f"--out {folder}: is a file; give a folder") from None
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be made: {error.strerror}") from error
    inputs = list(inputs)
    for name in NAMES:
        check_writable(folder / name, inputs)
        if (folder / name).exists() and not (folder / "report.json").exists():
            raise InputError(
                f"--out {folder}: holds a {name} that is not part of a report; give a new folder"
            )


def write_folder(folder: Path, report: Report, data: dict[str, Any]) -> None:
    """Write the whole report into `folder`; `data` is the report as JSON.

    Everything is written beside first: a run that is stopped leaves the last report whole.
    """
    from accel_sim.reports.html import page
    from accel_sim.reports.pictures import draw

    with tempfile.TemporaryDirectory(prefix=".report-", dir=folder) as name:
        beside = Path(name)
        pictures = draw(data, beside)
        write_text(beside / "layers.csv", _csv(report))
        write_text(beside / "report.html", page(data, [picture.name for picture in pictures]))
        write_text(beside / "report.json", json_text(data))
        for name in NAMES:
            if (beside / name).exists():
                (beside / name).replace(folder / name)
            else:
                (folder / name).unlink(missing_ok=True)  # of an earlier report


def _csv(report: Report) -> str:
    header, rows = csv_rows(report.layers)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
