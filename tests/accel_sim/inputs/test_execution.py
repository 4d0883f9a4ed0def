"""Do shared layers cost as often as they run, and experts for their share of the tokens?"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from accel_sim.__main__ import COMMANDS
from accel_sim.commands.run import Settings as RunSettings
from accel_sim.commands.run import run, show
from accel_sim.inputs.activations import Activations
from accel_sim.inputs.activations_file import read_activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from accel_sim.reports.report import Report, as_json
from pruning import prune
from sparse_formats.errors import InputError, SettingError
from sparse_formats.files.mask_file import read_masks, sha256_of
from sparse_formats.masks.matrix import MaskSet
from sparse_formats.terminal.command import call

MACHINE = load_machine("tf_mvp")
ALBERT = "albert.encoder.albert_layer_groups.0.albert_layers.0."
PARTS = {
    "attention.query": (64, 64),
    "attention.dense": (64, 64),
    "ffn": (128, 64),
    "ffn_output": (64, 128),
}


def folder(place: Path, shapes: dict[str, tuple[int, int]], **config: Any) -> Path:
    """A model's folder with half of its weights at zero."""
    rng = np.random.default_rng(0)
    weights = {
        f"{name}.weight": (rng.standard_normal(shape) * (rng.random(shape) < 0.5)).astype(
            np.float32
        )
        for name, shape in shapes.items()
    }
    place.mkdir()
    save_file(weights, place / "model.safetensors")
    (place / "config.json").write_text(json.dumps(config))
    return place


@pytest.fixture
def albert(tmp_path: Path) -> Path:
    shapes = {ALBERT + part: shape for part, shape in PARTS.items()}
    shapes["albert.projection"] = (64, 64)
    return folder(tmp_path / "albert", shapes, model_type="albert", num_hidden_layers=12)


@pytest.fixture
def mixtral(tmp_path: Path) -> Path:
    place = "model.layers.0.block_sparse_moe.experts"
    shapes = {f"{place}.{e}.w1": (64, 64) for e in range(4)}
    shapes["model.layers.0.self_attn.q_proj"] = (64, 64)
    return folder(tmp_path / "moe", shapes, num_local_experts=4, num_experts_per_tok=2)


def unrolled(found: MaskSet, times: int) -> list[Any]:
    """The matrices in the order they run in, each run as a matrix of its own."""
    shared = [m for m in found.matrices if "albert_layer_groups" in m.name]
    others = [m for m in found.matrices if m not in shared]
    first = found.matrices.index(shared[0])
    layers = [replace(m, name=f"{m.name} {i}") for i in range(times) for m in shared]
    return [*others[:first], *layers, *others[first:]]


@pytest.mark.parametrize("machine", ["tf_mvp", "systolic_ws"])
def test_twelve_layers_that_share_weights_cost_twelve_times(albert: Path, machine: str) -> None:
    built = load_machine(machine)
    found = simulate(Workload.of(albert), built)
    wanted = simulate(Workload.of(unrolled(read_masks(albert), 12)), built)
    assert len(found.layers) == 5 and len(wanted.layers) == 4 * 12 + 1
    for key in ("cycles", "dense_cycles", "macs_executed", "macs_skipped", "macs_padding"):
        assert getattr(found.total, key) == getattr(wanted.total, key), key
    for key in ("dram_bytes", "macs_dense", "macs_effectual", "cycles_by_cause"):
        assert getattr(found.total, key) == getattr(wanted.total, key), key
    assert found.total.units == wanted.total.units
    assert found.total.energy_j == pytest.approx(wanted.total.energy_j, rel=1e-12)
    by_runs = [layer for layer in found.layers if layer.runs == 12]
    assert len(by_runs) == 4
    for layer in by_runs:
        of_it = [one for one in wanted.layers if one.name.rpartition(" ")[0] == layer.name]
        assert layer.cycles == sum(one.cycles for one in of_it)
    # Weights are stored once.
    assert found.total.storage_bits["values"] < wanted.total.storage_bits["values"] / 5
    assert found.total.nnz == sum(matrix.nnz for matrix in read_masks(albert).matrices)


def test_shared_layers_are_said_and_pruning_hands_them_on(albert: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    prune(albert, pattern="fine", sparsity=0.5).save(out)
    direct, after = simulate(Workload.of(albert), MACHINE), simulate(Workload.of(out), MACHINE)
    for report in (direct, after):
        sentences = report.mask["read"]["sentences"]
        assert any("4 matrices" in s and "runs 12 times" in s for s in sentences)
        assert [layer.runs for layer in report.layers].count(12) == 4
    data = as_json(direct)
    assert sum(layer["runs"] for layer in data["layers"]) == 4 * 12 + 1


def test_the_hash_covers_a_configuration_that_says_how_often(albert: Path) -> None:
    before = sha256_of(albert)
    config = json.loads((albert / "config.json").read_text())
    (albert / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 6}))
    assert sha256_of(albert) != before


def experts(report: Report) -> list[int]:
    return [layer.tokens for layer in report.layers if "experts" in layer.name]


def test_an_expert_gets_its_share_of_the_tokens(mixtral: Path) -> None:
    workload = Workload.of(mixtral, Activations(128))
    found = simulate(workload, MACHINE)
    assert experts(found) == [64] * 4
    assert found.total.tokens == 128
    note = "Each of the 4 matrices of experts gets 64 of 128 tokens."
    assert note in found.notes
    assert "Each token goes to 2 of 4 experts of a layer." in found.mask["read"]["sentences"]
    for layer in found.layers:
        assert layer.macs_executed == layer.nnz * layer.tokens
        assert layer.macs_dense == 64 * 64 * layer.tokens
        # The dense baseline has as many tokens.
        assert (
            layer.dense_cycles
            < simulate(
                Workload.of([m for m in read_masks(mixtral).matrices if m.name == layer.name]),
                MACHINE,
            ).total.cycles
            * 4
        )


def test_an_expert_costs_what_it_costs_alone(mixtral: Path) -> None:
    machine = load_machine("tf_mvp", ["dram.prefetch_across_layers=false"])
    found = simulate(Workload.of(mixtral, Activations(50)), machine)
    assert experts(found) == [25] * 4
    for layer, matrix in zip(found.layers, read_masks(mixtral).matrices, strict=True):
        alone = simulate(Workload.of([matrix], Activations(layer.tokens)), machine).layers[0]
        if layer.name == found.layers[0].name:
            assert (layer.cycles, layer.dense_cycles) == (alone.cycles, alone.dense_cycles)
        assert layer.macs_executed == alone.macs_executed
        assert layer.cycles == pytest.approx(alone.cycles, rel=0.2)


def test_with_one_token_only_the_experts_it_goes_to_run(mixtral: Path) -> None:
    found = simulate(Workload.of(mixtral, Activations(1)), MACHINE)
    assert experts(found) == [1, 1]
    assert any("The 2 that get none were not simulated." in note for note in found.notes)


def test_loads_and_experts_per_token_can_be_given(mixtral: Path, tmp_path: Path) -> None:
    given = Workload.of(mixtral, experts_per_token=1, expert_load=(2, 1, 1, 0))
    assert experts(simulate(given, MACHINE)) == [64, 32, 32]
    (mixtral / "config.json").unlink()
    untold = simulate(Workload.of(mixtral), MACHINE)
    assert experts(untold) == [128] * 4
    assert any("nothing tells how many experts a token goes to" in note for note in untold.notes)

    settings = RunSettings(mask=mixtral, experts_per_token=1, out=tmp_path / "r", tokens=10)
    assert show(settings, result := run(settings)) == 0
    assert "--experts-per-token 1" in result.report.command
    assert "2 to 3 of 10 tokens" in (tmp_path / "r" / "report.html").read_text()
    with pytest.raises(SettingError, match="is about the experts of a mask file"):
        run(RunSettings(shapes="8x8", expert_load=(1.0,)))


def test_recorded_tokens_are_those_that_were_routed(mixtral: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lengths = dict(zip((m.name for m in read_masks(mixtral).matrices), range(99), strict=False))
    arrays = {
        name: rng.standard_normal((20 if "q_proj" in name else length, 64)).astype(np.float32)
        for name, length in lengths.items()
    }
    np.savez(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
    recorded = read_activations(tmp_path / "x.npz", lengths, 20)
    found = simulate(Workload.of(mixtral, recorded), MACHINE)
    assert {layer.name: layer.tokens for layer in found.layers} == {
        name: len(x) for name, x in arrays.items() if len(x)
    }
    arrays = {name: x if "q_proj" in name else np.ones((21, 64)) for name, x in arrays.items()}
    np.savez(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="21 tokens"):
        read_activations(tmp_path / "x.npz", lengths)


def test_compare_says_what_was_read_of_each_mask(
    albert: Path, mixtral: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(COMMANDS, "compare", "--mask", str(albert), "--mask", str(mixtral))
    printed = " ".join(capsys.readouterr().out.split())
    assert "from albert." in printed and "from moe." in printed
    assert "each of them runs 12 times" in printed
    assert "moe: Each of the 4 matrices of experts gets 64 of 128 tokens." in printed
