"""The simulator equals a model in plain Python that was written from docs/whole_models.md alone.

Both take the passes of a single product from the dataflows. Everything else is counted twice.
"""

import pytest

from tests.accel_sim.models.reference.compare import both, differences
from tests.accel_sim.models.reference.draw import drawn

DRAWN = 60


@pytest.mark.parametrize("first", range(0, DRAWN, 15))
def test_drawn_models_are_equal(first: int) -> None:
    for seed in range(first, first + 15):
        assert differences(both(drawn(seed))) == [], drawn(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 1150, 25))
def test_more_drawn_models_are_equal(first: int) -> None:
    for seed in range(first, first + 25):
        assert differences(both(drawn(seed))) == [], drawn(seed)
