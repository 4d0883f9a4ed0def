"""What the command lines share: how they run, fail, and print JSON."""

import codecs
import errno
import io
import os
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn, TextIO

import typer

from sparse_formats.errors import InputError, SettingError
from sparse_formats.files.atomic import json_text, write_text
from sparse_formats.untrusted import json_ascii, printable, printable_lines

_INTERRUPTED = 130
_OUTPUT_FAILED = (errno.ENOSPC, errno.EIO, errno.EDQUOT)


def new_app(help: str) -> typer.Typer:
    """A typer application with our settings: no completion flags, plain tracebacks for bugs."""
    return typer.Typer(
        help=help,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def run(app: typer.Typer, package: str) -> None:
    """Run `app`, the command line of `package`; what the user did wrong becomes one line.

    An `InputError` or a misused option is printed as ``error: …`` on stderr, exit status 2. Of any
    other exception, a bug of ours, the traceback is shown; the exit status is 1.
    """
    _open_streams()
    script = Path(sys.argv[0]).name
    program = script if script.startswith("mvpsim") else f"python -m {package}"
    try:
        status = app(sys.argv[1:] or ["--help"], prog_name=program, standalone_mode=False)
        sys.stdout.flush()
    except SettingError as error:
        fail(f"--{error.setting.replace('_', '-')} {error.reason}")
    except InputError as error:
        fail(str(error))
    except typer.TyperException as error:
        reason = error.format_message() if hasattr(error, "format_message") else str(error)  # type: ignore[attr-defined]
        fail(f"{reason.rstrip('.')}; see {program} --help")
    except BrokenPipeError:
        # The reader went away (`| head`): not an error, but Python would complain at exit.
        sys.stderr.close()
        sys.exit(141)
    except Exception as raised:
        # typer takes any end of a file for one of the terminal's input.
        error = (raised.__cause__ or raised) if isinstance(raised, typer.Abort) else raised
        if isinstance(error, OSError) and error.errno in _OUTPUT_FAILED:
            # Nothing more can be said on standard output: Python would try again at exit.
            sys.stdout = _nowhere()
            fail(f"cannot write the output: {error.strerror}; free some space or write elsewhere")
        if isinstance(error, OSError) and error.filename is not None:
            fail(f"{error.filename}: {error.strerror}; check the path and its rights")
        if isinstance(error, MemoryError):
            fail(f"there is not enough memory ({error}); give fewer or smaller matrices")
        if _is_of_numba_cache(error):
            fail(
                f"the cache of compiled code cannot be used ({type(error).__name__}: {error}); set "
                "NUMBA_CACHE_DIR to an empty folder that you may write to"
            )
        print(printable_lines(traceback.format_exc()), file=sys.stderr, end="")
        print(f"{program}: this is a bug; please report it with the lines above", file=sys.stderr)
        sys.exit(1)
    else:
        if status == _INTERRUPTED:
            print("interrupted", file=sys.stderr)
        sys.exit(status or 0)


def _open_streams() -> None:
    """Make the standard streams take any text, also where they are closed or know few letters."""
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, _nowhere())
        elif name == "stdout" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _nowhere() -> TextIO:
    return open(os.devnull, "r+")


def _is_of_numba_cache(error: BaseException) -> bool:
    """Whether the error was raised where Numba reads or writes compiled code."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(Path(frame.filename).parts[-3:] == _NUMBA_CACHE for frame in frames)


_LONGEST_LINE = 1600
_NUMBA_CACHE = ("numba", "core", "caching.py")


def fail(message: str) -> NoReturn:
    """Print `message` as one line on standard error; exit with status 2."""
    line = printable(message)
    if len(line) > _LONGEST_LINE:
        line = f"{line[: _LONGEST_LINE // 2]} … {line[-_LONGEST_LINE // 2 :]}"
    print(f"error: {line}", file=sys.stderr)
    sys.exit(2)


def emit_json(data: Any, target: str | Path) -> None:
    """Write `data` as JSON to the file `target`, or to standard output for ``-``."""
    if str(target) == "-":
        if getattr(sys.stdout, "name", "") == os.devnull:
            raise InputError("cannot write JSON to standard output: it is closed; name a file")
        text = json_text(data)
        is_utf8 = codecs.lookup(sys.stdout.encoding or "ascii").name == "utf-8"
        sys.stdout.write(text if is_utf8 else json_ascii(text))
    else:
        write_text(Path(target), json_text(data))
