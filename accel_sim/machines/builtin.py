"""The accelerators and memories that come with the package, by name."""

from pathlib import Path


def builtin_accelerators() -> dict[str, Path]:
    """Name → TOML file."""
    return _files("accelerators")


def builtin_memories() -> dict[str, Path]:
    """Name → TOML file."""
    return _files("memories")


def _files(folder: str) -> dict[str, Path]:
    return {path.stem: path for path in sorted((Path(__file__).parent / folder).glob("*.toml"))}
