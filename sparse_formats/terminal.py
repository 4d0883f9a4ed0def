"""What the three command lines share: how they run, fail, and print JSON."""

import sys
from pathlib import Path
from typing import Any

import typer

from sparse_formats.errors import InputError
from sparse_formats.files import json_text, write_text


def new_app(help: str) -> typer.Typer:
    """A typer application with our settings: no completion flags, plain tracebacks for bugs."""
    return typer.Typer(
        help=help,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def run(app: typer.Typer, program: str) -> None:
    """Run `app` as `program`; an `InputError` becomes one line on stderr and exit status 2."""
    try:
        app(prog_name=program)
    except InputError as error:
        # A matrix name may hold anything, line breaks too.
        print(f"error: {' '.join(str(error).splitlines())}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # The reader went away (`| head`): not an error, but Python would complain at exit.
        sys.stderr.close()
        sys.exit(141)


def emit_json(data: Any, target: str) -> None:
    """Write `data` as JSON to the file `target`, or to standard output for ``-``."""
    if target == "-":
        sys.stdout.write(json_text(data))
    else:
        write_text(Path(target), json_text(data))
