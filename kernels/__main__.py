"""Command line: ``python -m kernels bench``."""

from kernels.commands import bench
from sparse_formats.terminal import command

SUMMARY = "Sparse products on this CPU."

COMMANDS: dict[str, command.Command] = {"bench": bench}


def main() -> None:
    """Run the command line; bad input ends in one line and exit status 2."""
    command.main("kernels", SUMMARY, COMMANDS)


if __name__ == "__main__":
    main()
