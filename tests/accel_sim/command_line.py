"""The command line of accel_sim, called in the process of the tests."""

import sys

import pytest

from accel_sim.__main__ import main


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the command line in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", ["accel_sim", *words])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0
