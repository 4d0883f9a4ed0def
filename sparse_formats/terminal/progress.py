"""Progress on standard error, if that is a terminal."""

import contextlib
from collections.abc import Callable, Iterator

Tell = Callable[[str], None]
"""Called with a few words when a step begins."""


@contextlib.contextmanager
def progress() -> Iterator[Tell]:
    """A function that shows, in a few words, the step at work."""
    from rich.markup import escape

    from sparse_formats.terminal.tables import new_console
    from sparse_formats.untrusted import printable

    with new_console(is_stderr=True).status("") as status:
        yield lambda step: status.update(escape(printable(step)))
