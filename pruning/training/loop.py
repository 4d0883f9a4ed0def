"""The training loop: as small as can be, and taken up at any step."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.data.examples import Examples
from pruning.models.opening import OpenModel
from pruning.models.precision import check_precision
from pruning.processes import ALONE, Processes
from pruning.quantization.qat import fake_quantized
from pruning.quantization.ranges import Ranges
from pruning.training.log import Log, Step, no_log
from pruning.training.objective import Objective, guide_of
from pruning.training.pruner import Pruner
from pruning.training.run_state import RunState, identity_of
from pruning.training.step_parts import step_parts
from sparse_formats.errors import InputError, SettingError
from sparse_formats.masks.matrix import MaskSet
from sparse_formats.terminal.progress import Tell

if TYPE_CHECKING:
    from torch.optim import Optimizer


NO_DECAY = ("bias", "norm", "ln_")
"""Parts of names of parameters that weight decay spares, as usual."""


@dataclass(frozen=True)
class Run:
    """What training gave: masks with weights, and per step the loss and the density.

    losses: of the labels, also where a teacher's answers are learned instead. ranges: by matrix,
    where the model learned with rounding.
    """

    masks: MaskSet
    losses: tuple[float, ...]
    densities: tuple[float, ...]
    resumed_at: int
    ranges: Mapping[str, Ranges]


def train(
    opened: OpenModel,
    pruner: Pruner,
    examples: Examples,
    folder: Path | None = None,
    save_every: int = 50,
    tell: Tell = lambda step: None,
    teacher: OpenModel | None = None,
    processes: Processes = ALONE,
    log: Log = no_log,
) -> Run:
    """Train `opened`, which `pruner` was prepared on, to the end of its schedule.

    folder: where checkpoints go, every `save_every` steps; one that is there is taken up, and the
        run then ends in the same weights as one never interrupted (on the CPU, on as many threads).
    teacher: whom distilling learns from; the dense model itself if none is given.
    processes: those that train together, connected by `pruning.processes.joined`; all of them call
        this with the same model, pruner and examples, and end in the same weights.
    log: hears of every step that is done.

    Raises:
        InputError: examples without labels, a checkpoint of another run, a teacher of another kind
            or one that nothing is learned from; a loss that is no finite number; a precision or
            gradient checkpointing that device or model do not have.
    """
    import torch

    training = pruner.training
    if not any(key in examples.rows[0] for key in ("labels", "start_positions")):
        raise InputError(f"model {opened.name} is for {opened.task} and has no loss to train with")
    check_precision(training.precision, opened.device)
    guide = guide_of(pruner, teacher, max(len(row["input_ids"]) for row in examples.rows))
    opened.model.train()
    optimizer = adamw(opened.model, training.learning_rate, training.weight_decay)
    torch.manual_seed(pruner.recipe.seed + processes.rank)
    rounding = fake_quantized(opened) if training.quantize == "int8" else contextlib.nullcontext({})
    with rounding as layers, _gradient_checkpointing(opened, training.gradient_checkpointing):
        objective = Objective(pruner, guide)
        state = RunState(pruner, optimizer, layers, processes)
        identity = {} if folder is None else identity_of(pruner, examples, teacher, processes)
        if folder is not None:
            state.take_up(folder, identity)
        resumed_at, started = pruner.done, time.monotonic()
        while pruner.done < training.steps:
            rate = training.learning_rate * pruner.schedule.learning_rate(pruner.done)
            loss, norm = one_step(objective, optimizer, examples, processes)
            state.losses.append(loss)
            state.densities.append(pruner.density)
            seconds = time.monotonic() - started
            log(Step(pruner.done, loss, pruner.density, rate, norm, seconds))
            left = _time_left(seconds, pruner.done - resumed_at, training.steps - resumed_at)
            tell(
                f"step {pruner.done} of {training.steps}: loss {loss:.3f}, "
                f"density {pruner.density:.3f}, {left}"
            )
            is_due = pruner.done % save_every == 0 and pruner.done < training.steps
            if folder is not None and is_due:
                state.save(folder, identity)
        masks = pruner.finalize()
        opened.model.eval()
    ranges = {name: layer.ranges for name, layer in layers.items()}
    return Run(masks, tuple(state.losses), tuple(state.densities), resumed_at, ranges)


def one_step(
    objective: Objective, optimizer: "Optimizer", examples: Examples, processes: Processes = ALONE
) -> tuple[float, float]:
    """The next step of the pruner and the optimiser: the loss of its labels, and the norm of the
    gradient before it was clipped."""
    import torch

    pruner = objective.pruner
    training, opened, step = pruner.training, pruner.opened, pruner.done
    parts = step_parts(
        examples, opened.task, training.batch, training.accumulate, step, pruner.recipe.seed,
        processes, opened.device,
    )  # fmt: skip
    loss = objective.backward(parts)
    pruner.gradients()
    norm = torch.nn.utils.clip_grad_norm_(opened.model.parameters(), training.clip)
    for group in optimizer.param_groups:
        group["lr"] = training.learning_rate * pruner.schedule.learning_rate(step)
    optimizer.step()
    optimizer.zero_grad()
    pruner.step()
    return loss, float(norm)


def adamw(model: Any, learning_rate: float, weight_decay: float) -> "Optimizer":
    """AdamW on all parameters that learn; biases and normalisations do not decay."""
    import torch

    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    spared = [p for name, p in named if any(part in name.lower() for part in NO_DECAY)]
    decayed = [p for name, p in named if all(part not in name.lower() for part in NO_DECAY)]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate)


@contextlib.contextmanager
def _gradient_checkpointing(opened: OpenModel, is_on: bool) -> Iterator[None]:
    """Keep few activations in the block, and compute the others again where they are needed.

    Raises:
        InputError: the model has no such mode.
    """
    if not is_on:
        yield
        return
    if not getattr(opened.model, "supports_gradient_checkpointing", False):
        raise SettingError(
            "gradient_checkpointing",
            f"is on, but model {opened.name} does not have it; leave it out",
        )
    model: Any = opened.model
    # transformers 5.23 calls it so, and warns of the name that it had before.
    names = ("activation_checkpointing", "gradient_checkpointing")
    name = next(name for name in names if hasattr(model, f"{name}_enable"))
    getattr(model, f"{name}_enable")({"use_reentrant": False})
    try:
        yield
    finally:
        getattr(model, f"{name}_disable")()


def _time_left(taken: float, done: int, whole: int) -> str:
    """ "m:ss left", judged by the seconds that `done` of `whole` have taken."""
    seconds = taken / done * (whole - done)
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} left"
