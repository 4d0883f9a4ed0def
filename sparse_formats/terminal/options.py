"""Settings that commands of all packages have; a command's `Settings` inherits them."""

from dataclasses import dataclass
from pathlib import Path

from sparse_formats.terminal.settings import Positive, option


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


@dataclass(frozen=True, kw_only=True)
class MemoryOption:
    """How much memory a command that reads files may take; see `sparse_formats.memory`."""

    max_memory: Positive | None = option(
        "Memory that this run may take, in GB (1,000,000,000 bytes).",
        default=None,
        otherwise="2, and 4 times the size of the files that are read",
        metavar="GB",
        is_replayed=False,
    )

    @property
    def most_bytes(self) -> int | None:
        """The same in bytes, None where it goes by the files."""
        return None if self.max_memory is None else int(self.max_memory * 1e9)
