"""The examples of one step, cut into what one process computes at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pruning.data.examples import IGNORED, Examples, step_numbers
from pruning.processes import Processes

if TYPE_CHECKING:
    from torch import Tensor, device


@dataclass(frozen=True, eq=False)
class Part:
    """A batch that is computed at once.

    inputs: what the model takes. labels, answers: the share of the step's labels, and of what
    distilling compares, that it has. A loss is a mean, so that of the whole step is the sum over
    its parts of share × loss.
    """

    inputs: "Mapping[str, Tensor]"
    labels: float = 1.0
    answers: float = 1.0


def step_parts(
    examples: Examples,
    task: str,
    batch: int,
    accumulate: int,
    step: int,
    seed: int,
    processes: Processes,
    place: "device",
) -> Iterator[Part]:
    """The parts of step number `step` that fall to this process, `accumulate` of them.

    All processes together compute `batch` · `accumulate` · processes examples, which depend on the
    seed and the step alone.
    """
    size = batch * accumulate * processes.count
    numbers = step_numbers(len(examples), size, step, seed)
    parts = numbers.reshape(accumulate, processes.count, -1)
    if size == batch:
        yield Part(examples.batch(numbers, place))
        return
    labels, answers = (
        [[sum(count(examples.rows[int(n)], task) for n in one) for one in row] for row in parts]
        for count in (_labels, _answers)
    )
    of_all = sum(map(sum, labels)), sum(map(sum, answers))
    for number, row in enumerate(parts):
        yield Part(
            examples.batch(row[processes.rank], place),
            labels[number][processes.rank] / max(of_all[0], 1),
            answers[number][processes.rank] / max(of_all[1], 1),
        )


def _labels(row: Mapping[str, Any], task: str) -> int:
    """How many losses the mean over an example is of."""
    labels = row.get("labels")
    if not isinstance(labels, list):
        return 1
    # A causal model predicts each token from those before it, the first one not at all.
    return sum(label != IGNORED for label in (labels[1:] if task == "causal" else labels))


def _answers(row: Mapping[str, Any], task: str) -> int:
    """How many answers of an example are distilled: those of all tokens, or one."""
    if task not in ("causal", "masked"):
        return 1
    return sum(row["attention_mask"]) if "attention_mask" in row else len(row["input_ids"])
