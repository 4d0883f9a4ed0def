"""`python -m pruning`."""

from pruning.commands import (
    analyze,
    calibrate,
    check,
    convert,
    eval,
    frontier,
    heads,
    kprune,
    merge,
    permute,
    prune,
    quantize,
    shrink,
    train,
)
from sparse_formats.terminal import command

SUMMARY = "Prune transformers into vectors an accelerator can use, and see what masks look like."

COMMANDS: dict[str, command.Command] = {
    "prune": prune,
    "check": check,
    "analyze": analyze,
    "calibrate": calibrate,
    "permute": permute,
    "train": train,
    "eval": eval,
    "frontier": frontier,
    "heads": heads,
    "merge": merge,
    "shrink": shrink,
    "kprune": kprune,
    "quantize": quantize,
    "convert": convert,
}


def main() -> None:
    """Run the command line."""
    command.main("pruning", SUMMARY, COMMANDS)


if __name__ == "__main__":
    main()
