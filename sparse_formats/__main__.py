"""Command line: ``python -m sparse_formats inspect --mask out.npz``."""

from sparse_formats.commands import inspect
from sparse_formats.terminal import command

SUMMARY = "What a pruned model's matrices cost in each sparse format."

COMMANDS: dict[str, command.Command] = {"inspect": inspect}


def main() -> None:
    """Run the command line; bad input ends in one line and exit status 2."""
    command.main("sparse_formats", SUMMARY, COMMANDS)


if __name__ == "__main__":
    main()
