"""Are targets read with their units, and refused where they do not go together?"""

import pytest

from pruning.targets.settings import Goal, amount, check_goal, said
from sparse_formats.errors import InputError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2ms", 2e-3), ("350 us", 350e-6), ("350µs", 350e-6), ("1e3ns", 1e-6), (" .5s ", 0.5)],
)
def test_a_latency_has_a_unit(text: str, seconds: float) -> None:
    assert amount(text, "latency") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["2", "2 m", "ms", "0ms", "-1ms", "1..2ms", "3mJ", "1e999s", ""])
def test_what_is_no_latency_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"target_latency is .*give a number above 0 and a unit"):
        amount(text, "latency")


@pytest.mark.parametrize("value", [3.2e-9, 45e-6, 1.234e-3, 2.0])
def test_what_is_said_can_be_given_again(value: float) -> None:
    for measure in ("latency", "energy"):
        assert amount(said(value, measure), measure) == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        (Goal(speedup=2, target_latency="1ms"), "--target-latency and --speedup are two targets"),
        (Goal(target_latency="2"), "target_latency is '2'; give a number above 0 and a unit"),
        (Goal(draws=5), "draws belongs to a target"),
        (Goal(set=("array.lanes=8",)), "set belongs to a target"),
        (Goal(speedup=2, generate=5), "generate goes with a prompt; give --prefill"),
        (Goal(speedup=2, densities=(0.0,)), "densities holds 0"),
    ],
)
def test_what_does_not_go_together_is_refused(goal: Goal, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_goal(goal)
