"""Parameters of tests that `make check` leaves out."""

from typing import Any

import pytest


def slow(*values: Any) -> list[Any]:
    """`values` of a parameter, marked slow: `parametrize("family", ["bert", *slow("opt")])`."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]
