"""`python -m pruning`."""

from pruning.commands.application import app
from sparse_formats.terminal.application import run


def main() -> None:
    """Run the command line."""
    run(app, "pruning")


if __name__ == "__main__":
    main()
