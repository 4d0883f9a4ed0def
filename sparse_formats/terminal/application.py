"""What the command lines share: how they run, fail, and print JSON."""

import errno
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import typer

from sparse_formats.errors import InputError, SettingError
from sparse_formats.files.atomic import json_text, write_text
from sparse_formats.untrusted import printable

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

    An `InputError` or a misused option is printed as ``error: …`` on stderr, exit status 2.
    """
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
    except OSError as error:
        if error.errno not in _OUTPUT_FAILED:
            raise
        # Nothing more can be said on standard output: Python would try again at exit.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - lives as long as the process
        fail(f"cannot write the output: {error.strerror}; free some space or write elsewhere")
    else:
        if status == _INTERRUPTED:
            print("interrupted", file=sys.stderr)
        sys.exit(status or 0)


def fail(message: str) -> NoReturn:
    """Print `message` as one line on standard error; exit with status 2."""
    print(f"error: {printable(message)}", file=sys.stderr)
    sys.exit(2)


def emit_json(data: Any, target: str | Path) -> None:
    """Write `data` as JSON to the file `target`, or to standard output for ``-``."""
    if str(target) == "-":
        sys.stdout.write(json_text(data))
    else:
        write_text(Path(target), json_text(data))
