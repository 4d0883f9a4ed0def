"""Commands in processes of their own, which may be killed."""

import os
import select
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

SLOW_IMPORTS = ("matplotlib.backends.backend_agg", "numba", "scipy.sparse", "torch", "transformers")
FILE_OPERATIONS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod")


def import_once() -> None:
    """Import here what takes long, so that no command's process has to."""
    for name in SLOW_IMPORTS:
        import_module(name)


@dataclass(frozen=True)
class Process:
    """A command that runs. handle: readable when it has ended. said: what it prints."""

    words: Sequence[str]
    number: int
    handle: int
    said: int

    def kill(self, after: float) -> None:
        """Kill it after so many seconds, unless it has ended by then."""
        select.select([self.handle], [], [], after)
        os.kill(self.number, signal.SIGKILL)

    def wait(self) -> tuple[int, str]:
        """Its exit status, negative if it was killed, and what it printed."""
        os.close(self.handle)
        with os.fdopen(self.said) as said:
            text = said.read()
        return os.waitstatus_to_exitcode(os.waitpid(self.number, 0)[1]), text


def start(words: Sequence[str], folder: Path | None = None, at: int = -1) -> Process:
    """Start a command; its last line is how many operations it did on files below `folder`.

    words: without `python -m`. at: the number of the operation before which it is killed.
    """
    said, into = os.pipe()
    number = os.fork()
    if not number:
        _become(words, folder, at, into)
    os.close(into)
    return Process(words, number, os.pidfd_open(number), said)


def finish(words: Sequence[str], folder: Path | None = None, at: int = -1) -> int | None:
    """Run a command to its end: how many operations it did, or None if it was killed, see `start`.

    Raises:
        AssertionError: it failed.
    """
    code, text = start(words, folder, at).wait()
    assert code in (0, -signal.SIGKILL), f"{' '.join(words)}: exit status {code}: {text}"
    return None if code else int(text.splitlines()[-1])


def _become(words: Sequence[str], folder: Path | None, at: int, said: int) -> NoReturn:
    operations = 0

    def count(event: str, given: tuple[Any, ...]) -> None:
        nonlocal operations
        if event in FILE_OPERATIONS and str(given[0]).startswith(f"{folder}"):
            if operations == at:
                os.kill(os.getpid(), signal.SIGKILL)
            operations += 1

    status = 1
    try:
        sys.stdout = sys.stderr = os.fdopen(os.dup(said), "w")
        sys.argv = list(words)
        main = import_module(f"{words[0]}.__main__").main
        sys.addaudithook(count)
        main()
    except SystemExit as stop:
        status = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os.write(said, f"\n{operations}\n".encode())
        os._exit(status)
