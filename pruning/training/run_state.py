"""The state of a run: all that its next step depends on, and how a checkpoint keeps it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.data.examples import Examples
from pruning.models.opening import OpenModel, first_line
from pruning.models.order import order_of
from pruning.processes import Processes, first_before_others, of_each
from pruning.quantization.qat import FakeQuantized
from pruning.training import checkpoint
from pruning.training.pruner import Pruner
from pruning.training.random_states import random_states, set_random_states
from pruning.training.settings import as_json
from sparse_formats.errors import InputError
from sparse_formats.files.reading import parsing

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer


@dataclass(frozen=True, eq=False)
class RunState:
    """What changes while a run goes on. layers: those that learn with rounding."""

    pruner: Pruner
    optimizer: "Optimizer"
    layers: Mapping[str, FakeQuantized]
    processes: Processes
    losses: list[float] = field(default_factory=list)
    densities: list[float] = field(default_factory=list)

    def save(self, folder: Path, identity: Mapping[str, Any]) -> None:
        """Write a checkpoint into `folder`; every process must call this, the first one writes.

        Raises:
            InputError: the folder cannot be written.
        """
        tensors = self.tensors()
        if self.processes.is_first:
            plain = {
                "identity": identity,
                "losses": self.losses,
                "densities": self.densities,
                "pruner": self.pruner.state(),
            }
            checkpoint.save(folder, self.pruner.done, tensors, plain)

    def take_up(self, folder: Path, identity: Mapping[str, Any]) -> None:
        """Go on from the checkpoint in `folder`, if there is one.

        Raises:
            InputError: it is damaged, or of a run with another identity.
        """
        with first_before_others():
            found = checkpoint.load(folder)
        if found is None:
            return
        tensors, plain = found
        if plain.identity != identity:
            raise InputError(
                f"checkpoint {folder} belongs to another run (model, mask, data, recipe, settings, "
                "device or number of processes differ); give another folder, or remove it"
            )
        self.losses[:], self.densities[:] = plain.losses, plain.densities
        with parsing(folder / checkpoint.INDEX, "a whole checkpoint", checkpoint.AGAIN):
            self.restore(tensors, plain.pruner)

    def tensors(self) -> "dict[str, Tensor]":
        """All tensors a checkpoint must hold; every process must call this."""
        tensors = {**self._model_tensors(), **self.pruner.tensors()}
        tensors |= _optimizer_tensors("optimizer", self.optimizer)
        if self.pruner.optimizer is not None:
            tensors |= _optimizer_tensors("scores", self.pruner.optimizer)
        tensors |= {f"ranges.{name}": layer.tensor() for name, layer in self.layers.items()}
        place = self.pruner.opened.device
        for kind, state in random_states(place).items():
            # What drops out is drawn by each process for itself.
            every = of_each(state, place)
            tensors |= {f"random.{kind}.{rank}": one for rank, one in enumerate(every)}
        return tensors

    def restore(self, tensors: "Mapping[str, Tensor]", plain: Mapping[str, Any]) -> None:
        """Take back what `tensors`, and the pruner's `state`, gave.

        Raises:
            KeyError, ValueError: something is missing or of another shape or type.
        """
        try:
            for name, parameter in self.pruner.opened.model.named_parameters():
                if (held := tensors.get(f"model.{name}")) is not None:
                    parameter.data.copy_(held)
            _restore_optimizer("optimizer", self.optimizer, tensors)
            if self.pruner.optimizer is not None:
                _restore_optimizer("scores", self.pruner.optimizer, tensors)
            for name, layer in self.layers.items():
                layer.restore(tensors[f"ranges.{name}"])
            self.pruner.restore(tensors, plain)
            place, rank = self.pruner.opened.device, self.processes.rank
            states = {kind: tensors[f"random.{kind}.{rank}"] for kind in random_states(place)}
            set_random_states(states, place)
        except RuntimeError as error:  # as torch says that shapes or types differ
            raise ValueError(first_line(error)) from error

    def _model_tensors(self) -> "dict[str, Tensor]":
        """Parameters besides the pruned matrices, which the pruner holds; tied ones once."""
        pruned = {id(matrix.parameter) for matrix in self.pruner.matrices}
        return {
            f"model.{name}": parameter.data.contiguous()
            for name, parameter in self.pruner.opened.model.named_parameters()
            if id(parameter) not in pruned
        }


def _optimizer_tensors(prefix: str, optimizer: "Optimizer") -> "dict[str, Tensor]":
    import torch

    return {
        f"{prefix}.{number}.{key}": torch.as_tensor(value).contiguous()
        for number, values in optimizer.state_dict()["state"].items()
        for key, value in values.items()
    }


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


def identity_of(
    pruner: Pruner, examples: Examples, teacher: OpenModel | None, processes: Processes
) -> dict[str, Any]:
    """What tells a run from others, before its first step: settings, model, masks, data, place."""
    rows, masks, order = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
    order.update(repr(order_of(pruner.opened.model)).encode())
    for row in examples.rows:
        rows.update(repr(sorted(row.items())).encode())
    for keep in pruner.keep:
        masks.update(keep.cpu().numpy().tobytes())
    return {
        "training": as_json(pruner.training),
        "recipe": repr(pruner.recipe),
        "of": pruner.opened.name,
        "masks": masks.hexdigest(),
        "order": order.hexdigest(),
        "examples": rows.hexdigest(),
        "teacher": None if teacher is None else teacher.name,
        "device": pruner.opened.device.type,
        "processes": processes.count,
    }
