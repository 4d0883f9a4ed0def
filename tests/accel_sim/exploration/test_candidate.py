"""Is a candidate what `simulate` says of it, whatever was kept of those before?"""

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from accel_sim import Activations, Workload, load_machine, simulate
from accel_sim.dataflows.mixed_vector.kept import Kept
from accel_sim.exploration import candidate as candidates
from accel_sim.exploration.candidate import Candidate, measured
from sparse_formats.files.mask_file import write_masks
from sparse_formats.files.toml import toml_text

# Everything that an encoding depends on, and some of what it does not.
CHANGED = (
    (),
    ("array.lanes=8",),
    ("array.pe_rows=8",),
    ("array.token_columns=4",),
    ("array.lane_groups=[1, 2]",),
    ("array.lane_select=2",),
    ("array.packing=false",),
    ("array.datatype=int8",),
    ("array.accumulators_per_pe=64",),
    ("scheduler.sets=8",),
    ("scheduler.policy=snake",),
    ("scheduler.policy=lpt",),
    ("decompressor.word_bytes=32",),
    ("decompressor.buffer_words=24",),
    ("weight_buffer.bytes=8192",),
    ("dram.resident=true",),
    ("queue.depth_entries=2",),
    ("dram.bytes_per_cycle=8",),
    ("array.pe_rows=8", "scheduler.sets=2", "array.lanes=8"),
)


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    shapes = {"h.0.attn.c_proj": (96, 64), "h.0.mlp.c_fc": (130, 70)}
    write_masks(
        tmp_path / "m.npz", {name: rng.random(shape) < 0.3 for name, shape in shapes.items()}
    )
    return tmp_path / "m.npz"


@pytest.mark.parametrize(("density", "most_bytes"), [(1.0, 2**29), (0.5, 20_000)])
def test_what_is_kept_changes_no_result(
    mask: Path, density: float, most_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(most_bytes)
    monkeypatch.setattr(candidates, "_encodings", kept)
    base = Candidate(mask=str(mask), tokens=40, activation_density=density, seed=3)
    workload = Workload.of(mask, Activations(40, density, 3))
    expected = {}
    for changed in CHANGED:
        report = simulate(workload, load_machine("tf_mvp", changed), is_checked=False)
        expected[changed] = report.total
    order = np.random.default_rng(1).permutation(2 * len(CHANGED)) % len(CHANGED)
    for number in order:
        changed = CHANGED[number]
        found = measured(replace(base, set=changed))
        assert found["cycles"] == expected[changed].cycles, changed
        assert found["energy_j"] == pytest.approx(expected[changed].energy_j, rel=1e-14), changed
        assert found["bound_by"] == expected[changed].bound_by
    assert 0 < kept.bytes <= most_bytes


@pytest.mark.parametrize(
    "value", ["plain", 'q"uo\\te', "tab\t\x1b[2J\u202e", 3, 2.5, 1e30, True, ("a", 1), []]
)
def test_toml_text_is_read_again(value: object) -> None:
    text = toml_text(value)
    assert text.isprintable()
    expected = list(value) if isinstance(value, tuple) else value
    assert tomllib.loads(f"value = {text}")["value"] == expected
