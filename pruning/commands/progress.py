"""Progress on standard error, if that is a terminal."""

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """A function that shows, in a few words, the step at work."""
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status("") as status:
        yield lambda step: status.update(escape(step))
