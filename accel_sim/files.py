"""A run's folder: report.json, layers.csv, pictures and the page that shows them."""

import csv
import io
from pathlib import Path
from typing import Any

from accel_sim.report import Report, csv_rows
from sparse_formats.errors import InputError
from sparse_formats.files import check_writable, json_text, write_text


def prepare_folder(folder: Path) -> None:
    """Make `folder` if it is not there; called before the run, so that no run is lost to a typo.

    Raises:
        InputError: it cannot be made, or is not a folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InputError(f"--out {folder}: is a file; give a folder") from None
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be made: {error.strerror}") from error
    check_writable(folder / "report.json")


def write_folder(folder: Path, report: Report, data: dict[str, Any]) -> list[Path]:
    """Write everything into `folder`; `data` is the report as JSON. Returns the files written."""
    from accel_sim.page import page
    from accel_sim.pictures import draw

    written = [folder / "report.json", folder / "layers.csv"]
    write_text(written[0], json_text(data))
    write_text(written[1], _csv(report))
    pictures = draw(data, folder)
    written += [*pictures, folder / "report.html"]
    write_text(written[-1], page(data, [picture.name for picture in pictures]))
    return written


def _csv(report: Report) -> str:
    header, rows = csv_rows(report.layers)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
