"""The pages of the reference, written from the code when the documentation is built.

    python -m docs.from_code

`docs/conf.py` writes them before Sphinx reads the pages, so they say what the code says today.
"""

from collections.abc import Callable
from pathlib import Path

from docs.from_code import accelerators, commands, files, python, words

PAGES: dict[str, Callable[[], str]] = {
    "commands_pruning": lambda: commands.page("pruning"),
    "commands_accel_sim": lambda: commands.page("accel_sim"),
    "commands_sparse_formats": lambda: commands.page("sparse_formats"),
    "commands_kernels": lambda: commands.page("kernels"),
    "accelerators": accelerators.page,
    "report": files.report_page,
    "model": files.model_page,
    "formats": files.formats_page,
    "python": python.page,
    "glossary": words.page,
}
"""What writes each page, by its name in docs/reference/."""

FOLDER = Path(__file__).parents[1] / "reference"


def write(folder: Path = FOLDER) -> None:
    """Write every page, and leave alone what has not changed: Sphinx goes by the time of files."""
    folder.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        path, text = folder / f"{name}.md", page()
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
