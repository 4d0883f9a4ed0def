"""Settings that commands of all packages have; a command's `Settings` inherits them."""

from dataclasses import dataclass
from pathlib import Path

from sparse_formats.terminal.settings import option


@dataclass(frozen=True, kw_only=True)
class JsonOption:
    """Where the result goes as JSON."""

    json: Path | None = option(
        "Write the result as JSON to this file, or to standard output for -.",
        default=None,
        metavar="FILE",
        writes="file",
        is_replayed=False,
    )

    @property
    def is_json_printed(self) -> bool:
        """Whether standard output is for JSON alone."""
        return self.json == Path("-")


@dataclass(frozen=True, kw_only=True)
class NameOptions:
    """Which matrices are taken; see `masks.selection.select`."""

    include: tuple[str, ...] = option(
        "Regular expression. Only matrices whose name it matches are taken.",
        default=(),
        metavar="REGEX",
    )
    exclude: tuple[str, ...] = option(
        "Regular expression. Matrices whose name it matches are left out.",
        default=(),
        metavar="REGEX",
    )
