"""Pruning around any training loop: prepare → (backward, gradients, optimiser, step)* → finalize.

The model's parameters hold the masked weights W′ = W ⊙ factor while it runs, and the dense W while
the optimiser steps; `torch` autograd sees neither. So any loop and any optimiser will do:

    pruner = prepare(opened, recipe, training)
    for each step:  loss.backward();  pruner.gradients();  optimizer.step();  pruner.step()
    masks = pruner.finalize()
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pruning.direction.retention import kept_sum, top_sum
from pruning.models.masking import matched
from pruning.models.matrices import Matrix
from pruning.models.opening import OpenModel
from pruning.models.order import header_of
from pruning.patterns.pattern import Pattern, Pruned, Target
from pruning.profiles import UNIFORM, layer_sparsities
from pruning.recipe import Recipe
from pruning.recipe import as_json as recipe_json
from pruning.recipe import checked as checked_recipe
from pruning.training.mask_choice import choose, pattern_at
from pruning.training.methods import METHODS, Method
from pruning.training.random_states import random_states, set_random_states
from pruning.training.settings import Training, as_json, checked, resolved
from sparse_formats.errors import InputError, SettingError
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
from sparse_formats.masks.slots import Slots
from sparse_formats.masks.vectors import VectorLayout

if TYPE_CHECKING:
    from torch import Tensor


class Pruner:
    """The state of a pruning run; made by `prepare`.

    recipe: as resolved; its score is the method's name. done: optimiser steps so far.
    original: the weights as they came, dense: as they are now without the mask, keep: bool masks;
    all (out, in) in the module's row order.
    patterns: those of the stages and of the recipe, by their text.
    retained: of each matrix the importance that its mask kept when it was locked, and the most that
    so many weights could, in units of the matrix's mean.
    """

    def __init__(
        self, opened: OpenModel, recipe: Recipe, training: Training, given: MaskSet | None
    ) -> None:
        import torch

        assert recipe.sparsity is not None
        self.opened, self.training = opened, training
        self.recipe = replace(recipe, score=training.method, update="none")
        self.matrices = opened.matrices
        self.schedule = training.schedule(recipe.sparsity)
        self.method: Method = METHODS[training.method](opened, training)
        self.original = [m.upright(m.parameter.data) for m in self.matrices]
        self.dense = [weight.clone() for weight in self.original]
        self.keep = [torch.ones(m.shape, dtype=torch.bool, device=m.device) for m in self.matrices]
        self.layouts: list[VectorLayout | None] = [None] * len(self.matrices)
        self.slots: list[Slots | None] = [None] * len(self.matrices)
        self.factors = [keep.float() for keep in self.keep]
        self.patterns: dict[str, Pattern] = {}
        self.layers: Mapping[int, float] = {}
        self.done, self.is_locked = 0, False
        self.retained: list[tuple[float, float]] = []
        self.random = random_states(opened.device)
        for parameter in self.method.parameters:
            parameter.requires_grad_(False)
        self.optimizer = (
            torch.optim.Adam(self.method.parameters, lr=self.method.learning_rate)
            if self.method.parameters
            else None
        )
        if given is not None:
            self._take(given)
        else:
            self._check_patterns()
        self.choose_mask()
        self.mask_weights()

    def _take(self, given: MaskSet) -> None:
        import torch

        places = {m.name: i for i, m in enumerate(self.matrices)}
        for matrix, mask in matched(self.opened, given):
            place = places[matrix.name]
            self.keep[place] = matrix.from_file(mask.keep)
            self.layouts[place], self.slots[place] = mask.vectors, mask.slots
            if (own := mask.float_weight) is not None:
                weight = matrix.from_file(own.astype(np.float32))
                self.dense[place] = torch.where(
                    self.keep[place], weight.to(self.dense[place].dtype), self.dense[place]
                )
        self._lock()

    def _check_patterns(self) -> None:
        """Make a mask of every pattern to come: an error now is better than one at the end."""
        every = (*self.training.stages, self.recipe.pattern)
        scores = self.scores()
        targets = [Target(m.name, m.kind, scores[m.name]) for m in self.matrices]
        assert self.recipe.sparsity is not None
        self.layers = layer_sparsities(self.recipe.profile, targets, self.recipe.sparsity)
        is_settled = self.training.fix_vectors and self.method.is_hard
        for number, text in enumerate(every, 1):
            sparsity = self.schedule.sparsity_at(number / len(every))
            pattern = pattern_at(
                self.opened, scores, self.recipe, text, sparsity, is_settled, self.layers
            )
            choose(self.opened, scores, self.recipe, pattern, sparsity, self.layers)
            self.patterns[text] = pattern

    def _lock(self) -> None:
        """From now on the mask stays, and what it drops is exactly 0."""
        self.is_locked = True
        self.retained = [
            _retained(scores, matrix.to_file(keep))
            for scores, matrix, keep in zip(
                self.method.importance(self.dense), self.matrices, self.keep, strict=True
            )
        ]
        self.factors = [k.to(w.dtype) for k, w in zip(self.keep, self.dense, strict=True)]
        self._clear()

    def _clear(self) -> None:
        for weight, keep in zip(self.dense, self.keep, strict=True):
            weight.masked_fill_(~keep, 0)

    @property
    def pattern(self) -> str:
        """The pattern of this step: the stages and the recipe's share the ramp equally."""
        every = (*self.training.stages, self.recipe.pattern)
        progress = self.schedule.progress(self.done)
        return every[min(int(progress * len(every)), len(every) - 1)]

    def choose_mask(self) -> None:
        """The mask, or the gates, of the step to come."""
        if self.is_locked:
            return
        final = self.schedule.is_final(self.done)
        if self.method.is_hard or final:
            due = self.done % self.training.every == 0
            if due or (final and not self.schedule.is_final(self.done - 1)):
                self._choose(self.schedule.sparsity(self.done))
            settled = self.training.lock and self.schedule.is_settled(self.done)
            if settled or (final and not self.method.is_hard):
                self._lock()
        else:
            self.random = random_states(self.opened.device)
            factors = self.method.factors(self.done, self.schedule.progress(self.done))
            assert factors is not None
            self.factors = factors

    def _choose(self, sparsity: float) -> None:
        found = self.chosen(sparsity, self.pattern)
        for place, matrix in enumerate(self.matrices):
            self.keep[place] = matrix.from_file(found[matrix.name].keep)
            self.layouts[place] = found[matrix.name].layout
            self.slots[place] = found[matrix.name].slots
        self.factors = [k.to(w.dtype) for k, w in zip(self.keep, self.dense, strict=True)]

    def chosen(self, sparsity: float, pattern: str) -> dict[str, Pruned]:
        """The masks that `pattern` makes of the method's importance."""
        made = self.patterns[pattern]
        return choose(self.opened, self.scores(), self.recipe, made, sparsity, self.layers)

    def scores(self) -> dict[str, NDArray[np.float32]]:
        """The method's importance by matrix."""
        importance = self.method.importance(self.dense)
        return {m.name: s for m, s in zip(self.matrices, importance, strict=True)}

    def mask_weights(self) -> None:
        """Let the model's parameters hold the masked weights."""
        for matrix, weight, factor in zip(self.matrices, self.dense, self.factors, strict=True):
            matrix.parameter.data = matrix.stored(weight * factor)

    def gradients(self) -> None:
        """After backward: the method learns, weights get ∂L/∂W, the optimiser gets W to step on.

        Dropped weights get no gradient; with straight-through methods their scores do.
        """
        found = [self._gradient(matrix) for matrix in self.matrices]
        upright = [m.upright(g) for m, g in zip(self.matrices, found, strict=True)]
        if self.learns:
            self.method.learn(upright, self.dense, self.factors)
        for matrix, gradient, weight, factor in zip(
            self.matrices, upright, self.dense, self.factors, strict=True
        ):
            gradient.mul_(factor)
            matrix.parameter.data = matrix.stored(weight)
            if self.method.freezes:
                matrix.parameter.grad = None

    @property
    def learns(self) -> bool:
        """Whether the method's own parameters still learn."""
        return self.method.goes_on or not self.is_locked

    @staticmethod
    def _gradient(matrix: Matrix) -> "Tensor":
        if matrix.parameter.grad is None:
            raise InputError(
                f"matrix {matrix.name} does not affect the loss; leave it out with the recipe's "
                "exclude"
            )
        return matrix.parameter.grad

    def step(self) -> None:
        """After the optimiser's step: scores step too, then the next mask goes on."""
        if self.learns:
            if self.optimizer is not None:
                rate = self.method.learning_rate * self.schedule.learning_rate(self.done)
                self.optimizer.param_groups[0]["lr"] = rate
                self.optimizer.step()
            self.method.rebuild(self.dense)
        if not self.is_locked and not self.method.is_hard:
            asked = 1 - self.schedule.sparsity(self.done)
            self.method.steer(self.method.density() - asked)
        self.done += 1
        if self.is_locked:
            self._clear()
        self.choose_mask()
        self.mask_weights()

    @property
    def density(self) -> float:
        """What is kept: of the mask, or what a relaxed method expects."""
        if not self.method.is_hard and not self.is_locked:
            return self.method.density()
        whole = sum(keep.numel() for keep in self.keep)
        return sum(int(keep.sum()) for keep in self.keep) / whole

    def finalize(self) -> MaskSet:
        """Leave the pruned weights in the model, and give the masks with them.

        A run that ends before its last sparsity is brought there now.
        """
        assert self.recipe.sparsity is not None
        if not self.is_locked:
            if not (self.method.is_hard and self.schedule.is_final(self.done)):
                self.done = max(self.done, self.training.steps + 1)
                self._choose(self.recipe.sparsity)
            self._lock()
        self.mask_weights()
        self.method.release()
        header = {
            "model": self.opened.name,
            "method": self.recipe.pattern,
            "recipe": recipe_json(self.recipe),
            "training": as_json(self.training),
            "seed": self.recipe.seed,
            "heads": None if self.opened.heads is None else asdict(self.opened.heads),
            "execution": self.opened.execution.as_data(),
            **header_of(self.opened.model),
        }
        return MaskSet(
            tuple(
                MaskedMatrix(m.name, m.to_file(keep), m.weight(), m.kind, layout, slots)
                for m, keep, layout, slots in zip(
                    self.matrices, self.keep, self.layouts, self.slots, strict=True
                )
            ),
            header,
        )

    def tensors(self) -> "dict[str, Tensor]":
        """All tensors a checkpoint must hold, by name."""
        import torch

        held: dict[str, Tensor] = {f"before_gates.{key}": s for key, s in self.random.items()}
        for i, (weight, keep, factor) in enumerate(
            zip(self.dense, self.keep, self.factors, strict=True)
        ):
            held[f"dense.{i}"] = weight.contiguous()
            held[f"keep.{i}"] = keep.to(torch.uint8).contiguous()
            held[f"factor.{i}"] = factor.contiguous()
        for i, parameter in enumerate(self.method.parameters):
            held[f"score.{i}"] = parameter
        for i, buffer in enumerate(self.method.buffers):
            held[f"buffer.{i}"] = buffer.contiguous()
        for i, layout in enumerate(self.layouts):
            if layout is not None:
                for part in ("lines", "starts", "lengths"):
                    held[f"layout.{i}.{part}"] = torch.from_numpy(getattr(layout, part).copy())
        return held

    def state(self) -> dict[str, Any]:
        """All plain values a checkpoint must hold."""
        orientations = [None if x is None else x.orientation for x in self.layouts]
        return {
            "done": self.done,
            "is_locked": self.is_locked,
            "retained": self.retained,
            "method": self.method.state(),
            "orientations": orientations,
            "slots": [None if cut is None else asdict(cut) for cut in self.slots],
        }

    def restore(self, tensors: "Mapping[str, Tensor]", state: Mapping[str, Any]) -> None:
        """Take back what `tensors` and `state` gave."""
        self.done, self.is_locked = state["done"], state["is_locked"]
        self.retained = [(kept, best) for kept, best in state["retained"]]
        self.method.restore(state["method"])
        self.slots = [None if cut is None else Slots(**cut) for cut in state["slots"]]
        for i, weight in enumerate(self.dense):
            weight.copy_(tensors[f"dense.{i}"])
            self.keep[i] = tensors[f"keep.{i}"].to(weight.device).bool()
            self.factors[i] = tensors[f"factor.{i}"].to(weight.device)
            orientation = state["orientations"][i]
            if orientation is not None:
                parts: list[NDArray[np.int32]] = [
                    tensors[f"layout.{i}.{part}"].numpy() for part in ("lines", "starts", "lengths")
                ]
                self.layouts[i] = VectorLayout(orientation, *parts)
        for i, parameter in enumerate(self.method.parameters):
            parameter.copy_(tensors[f"score.{i}"])
        for i, buffer in enumerate(self.method.buffers):
            buffer.copy_(tensors[f"buffer.{i}"])
        if not self.is_locked and not self.method.is_hard:
            # Gates were drawn before the checkpoint; they are drawn again from the same numbers,
            # which leaves the generator where the checkpoint found it.
            states = {key: tensors[f"before_gates.{key}"] for key in self.random}
            set_random_states(states, self.opened.device)
            self.choose_mask()
        self.mask_weights()


def _retained(scores: NDArray[np.float32], keep: NDArray[np.bool_]) -> tuple[float, float]:
    mean = float(scores.mean(dtype=np.float64)) or 1.0
    best = top_sum(scores, int(np.count_nonzero(keep)))
    return kept_sum(scores, keep) / mean, best / mean


def prepare(
    opened: OpenModel, recipe: Recipe, training: Training, masks: MaskSet | None = None
) -> Pruner:
    """Begin to prune `opened` by `recipe` while it trains; its parameters get masked at once.

    masks: with method "recovery", and only then: what stays.

    Raises:
        InputError: masks missing or not asked for, phases that do not fit into the steps, masks of
            another model, a method the model or the schedule does not fit, a recipe that asks for
            what training does not do.
    """
    parameters = sum(p.numel() for p in opened.model.parameters())
    recipe, training = checked_recipe(recipe), resolved(checked(training), parameters)
    method = training.method
    if recipe.score != Recipe.score:
        raise SettingError(
            "score",
            f"is {recipe.score!r}, which has no effect, because method {method} finds the "
            "importance itself; leave it out",
        )
    if recipe.update not in (None, "none"):
        raise SettingError(
            "update",
            f"is {recipe.update!r}, which has no effect, because training changes the kept "
            "weights; leave it out",
        )
    if recipe.count != "weights" and not METHODS[method].is_hard:
        raise SettingError("count", f"is {recipe.count!r}, but method {method} only counts weights")
    if recipe.profile != UNIFORM and (not METHODS[method].is_hard or method == "recovery"):
        raise SettingError(
            "profile",
            f"is {recipe.profile!r}, but method {method} does not choose masks layer by layer; "
            "leave it out",
        )
    if method == "recovery" and training.learning_rate_schedule == "rewind":
        raise InputError("method recovery makes no new masks, so the learning rate cannot rewind")
    if training.settle and not METHODS[method].is_hard:
        raise SettingError("settle", f"must be 0: method {method} makes its mask once, at the end")
    if (masks is not None) != (method == "recovery"):
        found = "none" if masks is None else "one"
        raise InputError(
            f"method {method}: only recovery takes a mask, and it needs one; found {found}"
        )
    return Pruner(opened, recipe, training, masks)
