"""Command line: ``python -m accel_sim run --mask out.npz``."""

from accel_sim.commands import accelerators, compare, diff, explore, model, run, validate
from sparse_formats.terminal import command

SUMMARY = "Latency and energy of a pruned transformer on a sparse accelerator, and why."

COMMANDS: dict[str, command.Command] = {
    "run": run,
    "model": model,
    "accelerators": accelerators,
    "validate": validate,
    "compare": compare,
    "explore": explore,
    "diff": diff,
}


def main() -> None:
    """Run the command line; bad input ends in one line and exit status 2."""
    command.main("accel_sim", SUMMARY, COMMANDS)


if __name__ == "__main__":
    main()
