"""What must hold of every dataflow's counts (docs/rivals.md §1)."""

import numpy as np

from accel_sim.dataflows.abstract.account import ACTIONS, Counted, Tile


def check_sums(tiles: tuple[Tile, ...], sizes: Counted, nnz: int) -> None:
    """Causes sum to cycles, units to count · cycles, MACs to kept weights × tokens."""
    macs = 0
    for tile in tiles:
        assert len(tile.cycles) in (1, len(sizes))
        assert (np.sum(list(tile.causes.values()), axis=0) == tile.cycles).all(), tile.causes
        assert all((counted >= 0).all() for counted in tile.causes.values()), tile.causes
        for name, unit in tile.units.items():
            spent = np.sum(list(unit.states.values()), axis=0)
            assert (spent == unit.count * tile.cycles).all(), name
            assert all((counted >= 0).all() for counted in unit.states.values()), unit.states
        assert set(tile.actions) <= set(ACTIONS)
        assert all((counted >= 0).all() for counted in tile.actions.values())
        done = tile.executed + tile.skipped
        macs += int(done[0]) * len(sizes) if len(done) == 1 else int(done.sum())
    assert macs == nnz * int(sizes.sum())
