"""The training loop: as small as can be, and taken up at any step."""

import contextlib
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.data.examples import Examples, step_numbers
from pruning.models.opening import OpenModel, first_line
from pruning.quantization.qat import FakeQuantized, fake_quantized
from pruning.quantization.ranges import Ranges
from pruning.training import checkpoint
from pruning.training.distillation import answers, check_teacher, distilled, teacher_of
from pruning.training.pruner import Pruner
from pruning.training.settings import as_json
from sparse_formats.errors import InputError
from sparse_formats.files.reading import parsing
from sparse_formats.masks.matrix import MaskSet
from sparse_formats.terminal.progress import Tell

if TYPE_CHECKING:
    from torch import Tensor
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
) -> Run:
    """Train `opened`, which `pruner` was prepared on, to the end of its schedule.

    folder: where checkpoints go, every `save_every` steps; one that is there is taken up, and the
        run then ends in the same weights as one never interrupted (on as many threads).
    teacher: whom distilling learns from; the dense model itself if none is given.

    Raises:
        InputError: examples without labels, a checkpoint of another run, a teacher of another kind
            or one that nothing is learned from; a loss that is no finite number.
    """
    import torch

    training, seed = pruner.training, pruner.recipe.seed
    if not any(key in examples.rows[0] for key in ("labels", "start_positions")):
        raise InputError(f"model {opened.name} is for {opened.task} and has no loss to train with")
    model = opened.model
    guide = _guide(pruner, examples, teacher)
    model.train()
    optimizer = adamw(model, training.learning_rate, training.weight_decay)
    losses: list[float] = []
    densities: list[float] = []
    torch.manual_seed(seed)
    identity = {} if folder is None else _identity(pruner, examples, teacher)
    rounding = fake_quantized(opened) if training.quantize == "int8" else contextlib.nullcontext({})
    with rounding as layers:
        if folder is not None and (found := checkpoint.load(folder)) is not None:
            tensors, state = found
            if state.identity != identity:
                raise InputError(
                    f"checkpoint {folder} belongs to another run (model, mask, data, recipe or "
                    "settings differ); give another folder, or remove it"
                )
            losses, densities = list(state.losses), list(state.densities)
            with parsing(folder / checkpoint.INDEX, "a whole checkpoint", checkpoint.AGAIN):
                _restore(opened, pruner, optimizer, layers, tensors, state.pruner)
        resumed_at, started = pruner.done, time.monotonic()
        while pruner.done < training.steps:
            step = pruner.done
            losses.append(_one_step(opened, pruner, optimizer, examples, guide))
            densities.append(pruner.density)
            left = _time_left(started, pruner.done - resumed_at, training.steps - resumed_at)
            tell(
                f"step {pruner.done} of {training.steps}: loss {losses[-1]:.3f}, "
                f"density {densities[-1]:.3f}, {left}"
            )
            is_due = pruner.done % save_every == 0 and pruner.done < training.steps
            if folder is not None and is_due:
                state = {"identity": identity, "losses": losses, "densities": densities}
                state["pruner"] = pruner.state()
                tensors = _tensors(opened, pruner, optimizer, layers)
                checkpoint.save(folder, step + 1, tensors, state)
        masks = pruner.finalize()
        model.eval()
    ranges = {name: layer.ranges for name, layer in layers.items()}
    return Run(masks, tuple(losses), tuple(densities), resumed_at, ranges)


def _identity(pruner: Pruner, examples: Examples, teacher: OpenModel | None) -> dict[str, Any]:
    """What tells a run from others, before its first step: settings, model, masks, data."""
    rows, masks = hashlib.sha256(), hashlib.sha256()
    for row in examples.rows:
        rows.update(repr(sorted(row.items())).encode())
    for keep in pruner.keep:
        masks.update(keep.numpy().tobytes())
    return {
        "training": as_json(pruner.training),
        "recipe": repr(pruner.recipe),
        "of": pruner.opened.name,
        "masks": masks.hexdigest(),
        "examples": rows.hexdigest(),
        "teacher": None if teacher is None else teacher.name,
    }


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


def _one_step(
    opened: OpenModel,
    pruner: Pruner,
    optimizer: "Optimizer",
    examples: Examples,
    guide: Any,
) -> float:
    import torch

    training, step = pruner.training, pruner.done
    numbers = step_numbers(len(examples), training.batch, step, pruner.recipe.seed)
    inputs = examples.batch(numbers)
    output = opened.model(**inputs)
    loss = output.loss
    if not bool(loss.isfinite()):
        raise InputError(
            f"the loss of step {step + 1} is {loss.item()}: the run diverged; give a smaller "
            "learning_rate"
        )
    if guide is not None:
        target = answers(guide, inputs)
        loss = distilled(loss, output, target, inputs, training.distill, training.temperature)
    loss.backward()
    pruner.gradients()
    torch.nn.utils.clip_grad_norm_(opened.model.parameters(), training.clip)
    for group in optimizer.param_groups:
        group["lr"] = training.learning_rate * pruner.schedule.learning_rate(step)
    optimizer.step()
    optimizer.zero_grad()
    pruner.step()
    return float(output.loss.detach())


def _time_left(started: float, done: int, whole: int) -> str:
    """ "m:ss left", judged by the time `done` of `whole` took since `started` (monotonic)."""
    if not done:
        return "…"
    seconds = (time.monotonic() - started) / done * (whole - done)
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} left"


def _guide(pruner: Pruner, examples: Examples, teacher: OpenModel | None) -> Any:
    """The frozen model to distil from; None where nothing is distilled."""
    if teacher is None:
        return _dense_self(pruner) if pruner.training.distill else None
    if not pruner.training.distill:
        raise InputError(
            f"teacher {teacher.name} has no effect with distill 0; give a distill above 0, up to 1"
        )
    check_teacher(pruner.opened, teacher, max(len(row["input_ids"]) for row in examples.rows))
    return teacher.model.requires_grad_(False)


def _dense_self(pruner: Pruner) -> Any:
    """The model without masks, which hide its weights already."""
    for matrix, weight in zip(pruner.matrices, pruner.original, strict=True):
        matrix.parameter.data = matrix.stored(weight)
    teacher = teacher_of(pruner.opened.model)
    pruner.mask_weights()
    return teacher


def _tensors(
    opened: OpenModel,
    pruner: Pruner,
    optimizer: "Optimizer",
    layers: Mapping[str, FakeQuantized],
) -> "dict[str, Tensor]":
    """All tensors a checkpoint must hold."""
    import torch

    tensors = {**_model_tensors(opened, pruner), **pruner.tensors()}
    tensors |= _optimizer_tensors("optimizer", optimizer)
    if pruner.optimizer is not None:
        tensors |= _optimizer_tensors("scores", pruner.optimizer)
    tensors |= {f"ranges.{name}": layer.tensor() for name, layer in layers.items()}
    return {**tensors, "random": torch.get_rng_state()}


def _model_tensors(opened: OpenModel, pruner: Pruner) -> "dict[str, Tensor]":
    """Parameters besides the pruned matrices, which `pruner` holds; tied ones once."""
    pruned = {id(matrix.parameter) for matrix in pruner.matrices}
    return {
        f"model.{name}": parameter.data.contiguous()
        for name, parameter in opened.model.named_parameters()
        if id(parameter) not in pruned
    }


def _optimizer_tensors(prefix: str, optimizer: "Optimizer") -> "dict[str, Tensor]":
    import torch

    return {
        f"{prefix}.{number}.{key}": torch.as_tensor(value).contiguous()
        for number, values in optimizer.state_dict()["state"].items()
        for key, value in values.items()
    }


def _restore(
    opened: OpenModel,
    pruner: Pruner,
    optimizer: "Optimizer",
    layers: Mapping[str, FakeQuantized],
    tensors: "Mapping[str, Tensor]",
    state: Mapping[str, Any],
) -> None:
    import torch

    try:
        for name, parameter in opened.model.named_parameters():
            if (held := tensors.get(f"model.{name}")) is not None:
                parameter.data.copy_(held)
        _restore_optimizer("optimizer", optimizer, tensors)
        if pruner.optimizer is not None:
            _restore_optimizer("scores", pruner.optimizer, tensors)
        for name, layer in layers.items():
            layer.restore(tensors[f"ranges.{name}"])
        torch.set_rng_state(tensors["random"])
        pruner.restore(tensors, state)
    except RuntimeError as error:  # as torch says that shapes or types differ
        raise ValueError(first_line(error)) from error


def _restore_optimizer(
    prefix: str, optimizer: "Optimizer", tensors: "Mapping[str, Tensor]"
) -> None:
    values: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(f"{prefix}."):
            _, number, name = key.split(".", 2)
            values.setdefault(int(number), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": values, "param_groups": groups})
