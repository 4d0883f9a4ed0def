"""Does the check see what a machine does wrong?"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_sim.models.outputs import forward, score_blocks
from accel_sim.models.outputs.forward import ForwardPass
from accel_sim.models.outputs.instructions import VectorUnit
from accel_sim.models.outputs.parameters import Parameters
from accel_sim.models.outputs.score_blocks import ScoreBlocks
from tests.accel_sim.models.outputs.small_models import checked, made, masks_of

Patch = Callable[[pytest.MonkeyPatch], None]


def causal_mask_off_by_one(patch: pytest.MonkeyPatch) -> None:
    """Each token but the last of a block sees the next one too."""
    right = score_blocks.seen_keys

    def wrong(block: Any, *rest: Any) -> Any:
        starts, counts = right(block, *rest)
        return starts, np.minimum(counts + 1, block.seen)

    patch.setattr(score_blocks, "seen_keys", wrong)


def no_causal_mask(patch: pytest.MonkeyPatch) -> None:
    right = score_blocks.seen_keys

    def wrong(block: Any, step: Any, is_causal: bool, window: int | None) -> Any:
        return right(block, step, False, window)

    patch.setattr(score_blocks, "seen_keys", wrong)


def a_head_of_the_wrong_group(patch: pytest.MonkeyPatch) -> None:
    right = ScoreBlocks.attend

    def wrong(self: Any, queries: Any, keys: Any, values: Any, *rest: Any) -> Any:
        return right(self, queries, keys[:, :, ::-1], values, *rest)

    patch.setattr(ScoreBlocks, "attend", wrong)


def rope_of_neighbours(patch: pytest.MonkeyPatch) -> None:
    """Pairs (2·i, 2·i + 1) in place of (i, i + half)."""
    right = VectorUnit.rope

    def wrong(self: Any, x: Any, cosines: Any, sines: Any) -> Any:
        apart = np.concatenate([x[..., 0::2], x[..., 1::2]], axis=-1)
        turned = right(self, apart, cosines, sines)
        found = np.empty_like(turned)
        half = x.shape[-1] // 2
        found[..., 0::2], found[..., 1::2] = turned[..., :half], turned[..., half:]
        return found

    patch.setattr(VectorUnit, "rope", wrong)


def positions_from_one_on(patch: pytest.MonkeyPatch) -> None:
    right = ForwardPass._angles
    patch.setattr(
        ForwardPass,
        "_angles",
        # Keys of the prompt and of decode differ by one more.
        lambda self, step: right(self, replace(step, cached=step.cached + (step.cached > 0))),
    )


def a_cache_without_the_new_token(patch: pytest.MonkeyPatch) -> None:
    right = ForwardPass._with_cache

    def wrong(self: Any, layer: int, heads: dict[str, Any]) -> Any:
        queries, keys, values = right(self, layer, heads)
        if queries.shape[1] == 1:
            keys, values = keys.copy(), values.copy()
            keys[:, -1], values[:, -1] = keys[:, -2], values[:, -2]
        return queries, keys, values

    patch.setattr(ForwardPass, "_with_cache", wrong)


def a_residual_left_out(patch: pytest.MonkeyPatch) -> None:
    right = forward.operators

    def wrong(*given: Any) -> Any:
        found = right(*given)
        first = next(i for i, each in enumerate(found) if each.kind == "residual")
        return found[:first] + found[first + 1 :]

    patch.setattr(forward, "operators", wrong)


def norms_that_change_places(patch: pytest.MonkeyPatch) -> None:
    right = ForwardPass.__init__

    def wrong(self: Any, masked: Any, parameters: Parameters, *rest: Any) -> None:
        layers = tuple(replace(each, norms=each.norms[::-1]) for each in parameters.layers)
        right(self, masked, replace(parameters, layers=layers), *rest)

    patch.setattr(ForwardPass, "__init__", wrong)


def an_epsilon_a_thousand_times_too_large(patch: pytest.MonkeyPatch) -> None:
    right = ForwardPass.__init__

    def wrong(self: Any, masked: Any, parameters: Parameters, *rest: Any) -> None:
        right(self, masked, replace(parameters, epsilon=0.1), *rest)

    patch.setattr(ForwardPass, "__init__", wrong)


FAULTS: tuple[Patch, ...] = (
    causal_mask_off_by_one,
    no_causal_mask,
    a_head_of_the_wrong_group,
    rope_of_neighbours,
    positions_from_one_on,
    a_cache_without_the_new_token,
    a_residual_left_out,
    norms_that_change_places,
    an_epsilon_a_thousand_times_too_large,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("llama")
    made("llama", found)
    return found


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(
    fault: Patch, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = masks_of(folder)
    assert checked(folder, masks, 12, generate=4).is_equal
    fault(monkeypatch)
    found = checked(folder, masks, 12, generate=4)
    assert not found.is_equal
    assert found.max_abs_error > 3 * found.bound


def test_a_bias_that_is_left_out_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made("bert", tmp_path)
    right = ForwardPass._product

    def wrong(self: Any, matrix: Any, x: Any) -> Any:
        own = self._parameters.products[matrix.name]
        if matrix.kind == "V":
            own = replace(own, bias=None)
        kept = self._parameters
        self._parameters = replace(kept, products={**kept.products, matrix.name: own})
        found = right(self, matrix, x)
        self._parameters = kept
        return found

    monkeypatch.setattr(ForwardPass, "_product", wrong)
    assert not checked(tmp_path, masks_of(tmp_path), 9).is_equal
