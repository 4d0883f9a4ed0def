"""Whole models whose cycles and bytes fit on paper (docs/whole_models.md)."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accel_sim import load_machine
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.timeline import Segment, lay_out
from accel_sim.models.attention import AttentionUnit, Turn, laid_out
from accel_sim.models.config import read_model, transformer
from accel_sim.models.dense_product import Product
from accel_sim.models.report import ModelReport, OperatorResult
from accel_sim.models.simulate import ModelRun, Request, simulate_model
from accel_sim.models.transformer import Step
from accel_sim.models.vector_unit import VectorWork
from accel_sim.models.weights import MaskedModel, generated

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 256,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "intermediate_size": 512,
    "vocab_size": 2000,
    "max_position_embeddings": 4000,
}
VIT: dict[str, Any] = {
    "model_type": "vit",
    "num_hidden_layers": 1,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 16,
    "patch_size": 8,
}


def dense(values: dict[str, Any], machine: Machine, **request: Any) -> ModelRun:
    model = MaskedModel(transformer(values, "a test"), {})
    return simulate_model(model, Request(**request), machine, threads=1)


def of_kind(run: ModelRun, kind: str, phase: str = "prefill") -> OperatorResult:
    (found,) = (each for each in ModelReport(run).by_kind[phase] if each.kind == kind)
    return found


def segment(transfer: int, pass_cycles: int, places: int | None) -> Segment:
    """One tile of one pass, which waits for its whole load."""
    return Segment(
        room=np.zeros(1, np.int64),
        transfer=np.array([transfer]),
        lead=np.array([transfer]),
        is_bound=np.zeros(1, np.bool_),
        is_awaited=np.ones(1, np.bool_),
        pass_cycles=np.array([[pass_cycles]]),
        write_cycles=np.zeros((1, 2), np.int64),
        groups=1,
        places=places,
        read_bytes=0,
        write_bytes=0,
        activations=0,
    )


def test_operators_of_the_vector_unit_take_no_place_of_the_tile_memory() -> None:
    """A product, four operators of 100 cycles, and a product with a load of 1000 cycles."""
    machine = load_machine("tf_mvp", ["dram.first_latency_cycles=5"])
    product, operator = segment(10, 20, 4), segment(0, 100, None)
    times = lay_out([product, *[operator] * 4, segment(1000, 20, 4)], machine)
    # The first load ends in cycle 15, so the other one in 1015, and its pass in 1035.
    assert [time.end for time in times] == [35, 135, 235, 335, 435, 1035]


def test_a_fifth_product_waits_for_the_place_of_the_first() -> None:
    machine = load_machine("tf_mvp", ["dram.first_latency_cycles=5"])
    times = lay_out([segment(10, 100, 4)] * 5 + [segment(0, 7, None)], machine)
    # Four loads until 45; the fifth from 115 on, with a latency of its own, until 130.
    assert [time.end for time in times] == [115, 215, 315, 415, 515, 522]
    times = lay_out([segment(10, 100, 1)] * 2, machine)
    assert [time.end for time in times] == [115, 115 + 15 + 100]


def turn(scores: int, softmax: int, values: int) -> Turn:
    def product(cycles: int) -> Product:
        return Product(cycles, {}, 0, 0, 0, {})

    return Turn(product(scores), VectorWork(softmax), product(values))


def test_tiles_of_a_block_overlap_like_blocks() -> None:
    """Q 10, V 5, A 10, in two tiles of one block: Q₁ 0–10, Q₂ –20, A₁ –30, A₂ –40; V₁ 10–15."""
    tiles = [turn(10, 5, 10), turn(10, 5, 10)]
    assert laid_out([tiles], 1, True) == ([0], 40)
    assert laid_out([tiles[:1], tiles[1:]], 1, True) == ([0, 10], 40)
    # Without overlap 25 cycles each; a block starts with its first tile.
    assert laid_out([tiles], 2, False) == ([0, 50], 100)
    assert laid_out([tiles], 2, True) == ([0, 30], 80)


def test_softmax_that_takes_longer_than_the_products_is_what_attention_takes() -> None:
    """Q 10, V 50, A 10: V₁ 10–60, V₂ –110, V₃ –160, and A₃ until 170."""
    blocks = [[turn(10, 50, 10)]] * 3
    assert laid_out(blocks, 1, True) == ([0, 10, 70], 170)


def test_a_step_of_decode_has_tiles_of_64_keys() -> None:
    model = transformer(LLAMA, "a test")
    unit = AttentionUnit(model, load_machine("tf_mvp"), "tiles", 16)
    (block,) = unit.run(Step(1, 1, 199), None).work
    assert len(block.turns) == 4
    assert block.turns[0].scores.executed == 64 * 32 * 2  # keys, width of a head, heads of a group
    assert block.turns[3].scores.executed == 8 * 32 * 2


def test_embeddings_that_do_not_fit_are_bytes_of_activations() -> None:
    """Of 300 tokens of 512 bytes the buffer of 64 KiB has room for 128."""
    machine = load_machine("tf_mvp", ["activation_buffer.bytes=65536"])
    found = of_kind(dense(LLAMA, machine, prefill=300), "embedding").dram_bytes
    assert found["activations"] == (300 - 128) * 512
    assert found["embedding"] == 300 * 512 + 5 * 512  # rows, and the vectors of five norms


def test_a_fused_operator_reads_only_what_its_product_does_not_make() -> None:
    """Per token and layer a residual reads 256 numbers, twice; gates are read, up is not."""
    machine = load_machine("tf_mvp")
    for overlaps, residual, activation in (
        (True, (2 * 256, 0), (512, 0)),
        # By itself: 2 × 2 · 256 read, 2 × 256 written; exp, product, and product with the gate.
        (False, (4 * 256, 2 * 256), (4 * 512, 3 * 512)),
    ):
        of = replace(machine, vector=replace(machine.vector, overlaps=overlaps))
        run = dense(LLAMA, of, prefill=9)
        counts = {
            kind: [
                sum(t.work.actions[key] for t in run.prefill.operators if t.work.kind == kind)
                for key in ("activation_bits_read", "activation_bits_written")
            ]
            for kind in ("residual", "activation")
        }
        assert counts["residual"] == [16 * 9 * 2 * count for count in residual]
        assert counts["activation"] == [16 * 9 * 2 * count for count in activation]


def test_positions_of_an_image_are_added_to_its_patches() -> None:
    """Five tokens of 32 numbers; both operands are read from the buffer."""
    run = dense(VIT, load_machine("tf_mvp"), prefill=5)
    (embedding,) = (t.work for t in run.prefill.operators if t.work.kind == "embedding")
    assert embedding.actions["activation_bits_read"] == 16 * 2 * 5 * 32
    assert embedding.actions["activation_bits_written"] == 16 * 5 * 32
    assert embedding.actions["vector_operations"] == 5 * 32
    # A buffer of 256 bytes holds patch and sum of two tokens; the other three come and go.
    tiny = load_machine("tensor_core_dense", ["activation_buffer.bytes=256"])
    moved = of_kind(dense(VIT, tiny, prefill=5, scores="dram"), "embedding").dram_bytes
    assert moved["activations"] == 2 * 3 * 32 * 2


def test_the_largest_operator_of_a_gated_model_is_its_activation() -> None:
    run = dense(LLAMA, load_machine("tf_mvp"), prefill=9)
    assert ModelReport(run).answer["memory_bytes"]["activations"] == 2 * 9 * 3 * 512


def test_weights_that_stay_on_the_chip_are_there_in_each_encoding() -> None:
    """Where the prompt stores a matrix in another way than decode, both have to fit."""
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4}
    values = {**LLAMA, **sizes, "num_key_value_heads": 2, "vocab_size": 300}
    asked: dict[str, Any] = {"prefill": 70, "generate": 3}
    stored = dense(values, load_machine("tf_mvp"), **asked).weight_bytes
    assert stored["again"] > 0.3 * (stored["layers"] + stored["head"])
    for room, is_resident in ((sum(stored.values()) - 1, False), (2 * sum(stored.values()), True)):
        machine = load_machine("tf_mvp", ["dram.resident=true", f"weight_buffer.bytes={room}"])
        moved = of_kind(dense(values, machine, **asked), "down").dram_bytes["weights"]
        assert (moved == 0) == is_resident


def test_the_dense_twin_decides_for_itself_where_its_weights_lie() -> None:
    """EIE holds a tenth of the weights and not all of them."""
    values = {**LLAMA, "hidden_size": 512, "intermediate_size": 1024, "vocab_size": 64}
    model = generated(transformer(values, "a test"), 0.1, "fine", 0, 0.1)
    machine = load_machine("eie", ["weight_buffer.bytes=2000000"])
    run = simulate_model(model, Request(prefill=2), machine, threads=1)
    report = ModelReport(run)
    assert report.phases["prefill"]["dram_bytes"]["weights"] == 0
    assert any("unpruned they would have to be loaded" in note for note in report.all_notes)
    dense_run = simulate_model(MaskedModel(model.model, {}), Request(prefill=2), machine, threads=1)
    assert run.dense == dense_run.cycles


def generated_llama(density: float = 0.2) -> MaskedModel:
    return generated(transformer(LLAMA, "a test"), density, "mvp", 0, None)


def test_a_token_of_gpt2_moves_the_bytes_that_are_counted_by_hand() -> None:
    """124 M weights of two bytes, and keys and values of 513 tokens; nothing is pruned.

    A layer has 12·768² weights, the head 50,257·768. A cached token has 12 layers × 12 heads × 2 ×
    64 numbers. Two rows of the embedding, and the vectors: in a layer two norms of 2·768 and
    biases of 3·768, 768, 4·768 and 768; a norm behind the last one.
    """
    model = MaskedModel(read_model("gpt2-small"), {})
    run = simulate_model(model, Request(prefill=1, context=512), load_machine("tf_mvp"), threads=1)
    moved = ModelReport(run).phases["prefill"]["dram_bytes"]
    weights = 2 * (12 * 12 * 768**2 + 50_257 * 768)
    assert weights <= moved["weights"] <= 1.002 * weights  # descriptors and records
    assert moved["cache"] == 513 * 36_864
    assert moved["embedding"] == 2 * (2 * 768 + 12 * 13 * 768 + 2 * 768)
    assert moved["activations"] == 0
    # Nothing hides behind so few multiplications: the step is these bytes at .95 of 64 a cycle.
    assert run.cycles.prompt == pytest.approx(sum(moved.values()) / (0.95 * 64), rel=0.02)


def test_where_the_dram_is_slow_the_ratio_of_generation_is_that_of_the_bytes() -> None:
    """Pruned weights get fewer; head, cache and embedding stay."""
    machine = load_machine("tf_mvp", ["dram.bytes_per_cycle=2"])
    asked = Request(prefill=1, generate=3, context=1000)
    model = generated_llama()
    pruned, unpruned = (
        simulate_model(each, asked, machine, threads=1)
        for each in (model, MaskedModel(model.model, {}))
    )
    moved, of_dense = (
        sum(ModelReport(run).phases["decode"]["dram_bytes"].values()) for run in (pruned, unpruned)
    )
    layers = 2 * (2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 512)
    cache = 2 * 2 * 4 * 32 * (1002 + 1003)  # read and written, in both steps together
    by_hand = 2 * (2 * (layers + 2000 * 256 + 6 * 256) + cache)
    assert of_dense == pytest.approx(by_hand, rel=0.01)
    speedup = ModelReport(pruned).answer["speedup_vs_dense"]["output_token"]
    assert speedup == pytest.approx(of_dense / moved, rel=0.02)
    # Kept weights have indices too, so less is saved than of their number.
    assert speedup < by_hand / (by_hand - 2 * 2 * 0.8 * layers)


@pytest.mark.parametrize(("cached", "room"), [(100, 100 * 2 * 4 * 32 * 2), (1000, 655_360 // 4)])
def test_cached_keys_and_values_take_a_quarter_of_the_weight_buffer(cached: int, room: int) -> None:
    """Numbers of two bytes: keys and values of 4 heads of 32 for each token."""
    unit = AttentionUnit(transformer(LLAMA, "a test"), load_machine("tf_mvp"), None, 16)
    assert unit.run(Step(1, 1, cached), None).segment.room[0] == room
