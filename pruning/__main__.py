"""`python -m pruning`."""

from pruning.command_line import app
from sparse_formats.terminal import run


def main() -> None:
    """Run the command line."""
    run(app, "pruning")


if __name__ == "__main__":
    main()
