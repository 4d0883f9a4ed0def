"""Which points does a study have, and what does it leave out and say so?"""

import pytest

from accel_sim.comparisons.variants import Variant
from pruning.evaluation.measure_settings import MeasureSettings
from pruning.frontier.plan import Plan, plan
from pruning.frontier.study import Load, Recovery, Study
from pruning.training.settings import Training
from sparse_formats.errors import InputError


def planned(patterns: str, sparsities: tuple[float, ...], **others: object) -> Plan:
    from pathlib import Path

    study = Study(
        patterns=tuple(patterns.split(",")),
        sparsities=sparsities,
        machines=(("tf_mvp", Variant("tf_mvp")),),
        load=Load(128),
        **{"model": Path("model"), "measure": MeasureSettings(text=Path("text")), **others},  # type: ignore[arg-type]
    )
    return plan(study)


def pruned(found: Plan) -> list[tuple[str, float, int]]:
    return [(p.pattern, p.sparsity, p.seed) for p in found.points if p.kind == "pruned"]


def test_a_pattern_with_a_sparsity_of_its_own_stands_there_once_and_that_is_said() -> None:
    found = planned("2:4,1:4", (0.5, 0.7, 0.9))
    assert pruned(found) == [("2:4", 0.5, 0), ("1:4", 0.75, 0)]
    assert found.skipped == (
        "2:4 has one sparsity of its own, 50 %, and was left out at 70 % and 90 %.",
        "1:4 has one sparsity of its own, 75 %, and was left out at 50 %, 70 % and 90 %.",
    )
    # Each has a random mask of its own density to be better than.
    floors = [p.sparsity for p in found.points if p.kind == "random mask"]
    assert floors == [0.5, 0.75]


def test_a_pattern_that_cannot_keep_so_much_is_left_out_there() -> None:
    found = planned("lane_select:16:4", (0.5, 0.75, 0.9))
    assert [sparsity for _, sparsity, _ in pruned(found)] == [0.75, 0.9]
    assert found.skipped == ("lane_select:16:4 removes 75 % at least, and was left out at 50 %.",)


def test_only_what_is_drawn_depends_on_seeds() -> None:
    at_once = planned("fine", (0.8,), seeds=(3, 4))
    assert pruned(at_once) == [("fine", 0.8, 3)]
    assert [p.seed for p in at_once.points if p.kind == "random mask"] == [3, 4]
    from pathlib import Path

    recovery = Recovery(Training(steps=5), text=Path("train"))
    trained = planned("fine", (0.8,), seeds=(3, 4), recovery=recovery)
    assert pruned(trained) == [("fine", 0.8, 3), ("fine", 0.8, 4)]
    kinds = [p.kind for p in trained.points]
    assert {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)} == {
        "dense": 1,
        "trained dense": 2,
        "zeroed": 2,
        "random mask": 2,
        "pruned": 2,
    }


def test_what_is_given_twice_is_there_once() -> None:
    assert len(pruned(planned("fine,fine", (0.5, 0.5)))) == 1


def test_a_pattern_that_does_not_exist_is_refused_before_anything_is_computed() -> None:
    with pytest.raises(InputError, match="did you mean 'vector'"):
        planned("vectr:8", (0.5,))
