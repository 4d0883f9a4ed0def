"""The command `calibrate`: statistics of a model on text, for the scores that look at them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pruning.commands.options import MODEL_FORMS, MachineOptions, SampleOptions
from pruning.scores import SCORES
from sparse_formats.errors import InputError
from sparse_formats.terminal.options import MemoryOption, NameOptions
from sparse_formats.terminal.progress import progress
from sparse_formats.terminal.settings import Positive, option


@dataclass(frozen=True, kw_only=True)
class Settings(SampleOptions, NameOptions, MachineOptions, MemoryOption):
    """Collect the sums over inputs and the gradients that scores look at."""

    model: Path = option(f"Model to run: {MODEL_FORMS}.")
    out: Path = option("Statistics file to write.", writes="file", suffix=".npz")
    score: tuple[str, ...] = option(
        "Score to collect statistics for.", default=(), choices=SCORES, otherwise="all"
    )
    memory_gb: Positive = option(
        "Memory for the sums in gigabytes. With less, the examples run several times.",
        default=4.0,
        is_replayed=False,
    )


@dataclass(frozen=True)
class Result:
    """How many matrices, examples and tokens the statistics are of."""

    matrices: int
    examples: int
    tokens: int


def run(settings: Settings) -> Result:
    """Run the model on the examples, and write what was collected while its files last."""
    from pruning.models.opening import open_model
    from pruning.statistics.matrix_statistics import write_statistics

    needs, device = _needs(settings.score), settings.find_device()
    with progress() as tell:
        tell(f"opening {settings.model}")
        opened = open_model(settings.model, None, settings.include, settings.exclude, device=device)
        from pruning.statistics.calibration import calibrated

        examples = settings.examples(opened)
        memory = settings.memory_gb * 1e9
        with calibrated(opened, examples, needs, memory_bytes=memory, tell=tell) as known:
            tell(f"writing {settings.out}")
            write_statistics(settings.out, known)
    tokens = max((mine.tokens for mine in known.values()), default=0)
    return Result(len(known), len(examples), tokens)


def show(settings: Settings, result: Result) -> None:
    """Print what the statistics are of."""
    from sparse_formats.terminal.tables import say

    say(
        f"{result.matrices} matrices, {result.examples} examples, {result.tokens} tokens; "
        f"wrote {settings.out}"
    )


def _needs(scores: Iterable[str]) -> set[str] | tuple[str, ...]:
    from pruning.statistics.matrix_statistics import STATISTICS

    needs = {need for name in scores for need in SCORES[name].needs}
    if scores and not needs:
        raise InputError(
            f"score {', '.join(scores)} needs only the weights; there is nothing to calibrate"
        )
    return needs or STATISTICS
