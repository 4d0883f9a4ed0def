"""Does the pattern `combined` keep one weight of each group of inputs, and run merged?"""

import numpy as np
import pytest

from accel_sim.dataflows.channel_merging import ChannelMergingArray, merge
from pruning.patterns import make_pattern
from pruning.patterns.pattern import Target
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix import MaskedMatrix


def targets(seed: int = 0) -> list[Target]:
    rng = np.random.default_rng(seed)
    return [
        Target(name, "other", rng.random(shape, dtype=np.float32) ** 3)
        for name, shape in (("a", (70, 64)), ("b", (32, 96)))
    ]


@pytest.mark.parametrize("text", ["combined", "combined:4:16", "combined:8:1000"])
@pytest.mark.parametrize("density", [0.02, 0.1])
def test_are_exactly_so_many_kept_and_merged_in_few_groups(text: str, density: float) -> None:
    pattern, of = make_pattern(text, {}), targets()
    kept = round(density * sum(t.scores.size for t in of))
    found = pattern.masks(of, kept)
    assert sum(int(each.keep.sum()) for each in found) == kept
    matrices = [MaskedMatrix(t.name, each.keep) for t, each in zip(of, found, strict=True)]
    assert pattern.conforms(matrices) is None


def test_are_all_groups_full_where_as_much_is_kept_as_fits() -> None:
    # 64 of 512 weights of each strip: one of each of 8 groups of 8, for 8 outputs.
    scores = np.random.default_rng(1).random((16, 64), dtype=np.float32)
    (found,) = make_pattern("combined:8:8", {}).masks([Target("a", "o", scores)], 128)
    assert (found.keep.sum(axis=1) == 8).all()
    with pytest.raises(InputError, match=r"asks for 129 of 1024 weights, but combined:8:8 keeps"):
        make_pattern("combined:8:8", {}).masks([Target("a", "o", scores)], 129)


def test_does_a_machine_that_merges_need_fewer_groups_than_for_the_best_weights() -> None:
    rng = np.random.default_rng(2)
    scores = rng.random((32, 256), dtype=np.float32)
    target, kept = [Target("a", "o", scores)], 32 * 256 // 10
    machine = ChannelMergingArray(outputs=32, merged_inputs=8)
    groups = {
        text: len(merge(make_pattern(text, {}).masks(target, kept)[0].keep, machine))
        for text in ("combined:8:32", "fine")
    }
    # The pattern keeps its weights in 32 groups; the machine finds its own.
    assert groups["combined:8:32"] < groups["fine"]


def test_do_few_conflicts_drop_little() -> None:
    of, kept = targets(3), 500
    best = sum(np.sort(np.concatenate([t.scores.ravel() for t in of]))[-kept:])

    def retention(**known: float) -> float:
        masks = make_pattern("combined:8:32", known).masks(of, kept)
        return sum(t.scores[m.keep].sum() for t, m in zip(of, masks, strict=True)) / best

    assert retention() < retention(conflicts=0.5) < retention(conflicts=0.0) == pytest.approx(1)


def test_is_a_weight_too_many_found() -> None:
    keep = np.zeros((3, 16), np.bool_)
    keep[1, [0, 5, 9]] = True
    broken = make_pattern("combined:8:2", {}).conforms([MaskedMatrix("m", keep)])
    assert broken is not None and (broken.matrix, broken.row, broken.col) == ("m", 1, 9)
    assert make_pattern("combined:4:2", {}).conforms([MaskedMatrix("m", keep)]) is None


@pytest.mark.parametrize("text", ["combined:1:32", "combined:8:0"])
def test_is_an_impossible_group_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"e\.g\. combined:8:32"):
        make_pattern(text, {})
