"""Progress on standard error, if that is a terminal."""

import contextlib
import time
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """A function that shows, in a few words, the step at work."""
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status("") as status:
        yield lambda step: status.update(escape(step))


def time_left(started: float, done: int, whole: int) -> str:
    """ "m:ss left", judged by the time `done` of `whole` took since `started` (monotonic)."""
    if not done:
        return "…"
    seconds = (time.monotonic() - started) / done * (whole - done)
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} left"
