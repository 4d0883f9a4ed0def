"""Results, one JSON line each, so that a run that is cut short loses little."""

import json
from pathlib import Path
from typing import Any


def keep(kind: str, row: dict[str, Any], folder: Path) -> None:
    """Append a row to the results of its kind."""
    folder.mkdir(parents=True, exist_ok=True)
    line = json.dumps(row)
    with (folder / f"{kind}.jsonl").open("a") as file:
        file.write(line + "\n")
    print(kind, line, flush=True)


def read(kind: str, folder: Path) -> list[dict[str, Any]]:
    """All rows of a kind."""
    path = folder / f"{kind}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
