"""Sums, closed forms, and what a whole model has in common with a run of its matrices."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accel_sim import Activations, Workload, load_machine, simulate
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.machines.builtin import builtin_accelerators
from accel_sim.models.config import transformer
from accel_sim.models.report import ModelReport, as_csv, as_json
from accel_sim.models.simulate import ModelRun, Request, simulate_model
from accel_sim.models.transformer import ModelMatrix, Step, Transformer, score_elements
from accel_sim.models.weights import MaskedModel, generated, masked
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.sparse_masked_matrix import SparseMaskedMatrix

SMALL: dict[str, Any] = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "vocab_size": 300,
    "max_position_embeddings": 400,
}
BERT: dict[str, Any] = {
    "model_type": "bert",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "vocab_size": 300,
}


def small(values: dict[str, Any] | None = None, density: float = 0.3) -> MaskedModel:
    return generated(transformer(values or SMALL, "a test"), density, "mvp", 0, None)


def run(machine: str | Machine = "tf_mvp", **request: Any) -> ModelRun:
    asked = Request(**{"prefill": 40, "generate": 4, **request})
    of = load_machine(machine) if isinstance(machine, str) else machine
    return simulate_model(small(), asked, of, threads=1)


@pytest.mark.parametrize("name", builtin_accelerators())
def test_cycles_causes_and_bytes_add_up_on_every_machine(name: str) -> None:
    found = run(name, batch=2)
    for phase in found.phases:
        assert sum(total.cycles for total in phase.operators) == phase.cycles
        for total in phase.operators:
            causes = sum(total.work.causes.values())
            waits = total.waits
            waited = waits.dram + waits.decoder + waits.writeback
            assert causes + waited == total.cycles
            assert sum(total.work.bytes.values()) == total.waits.dram_bytes
    assert found.dense.prompt >= found.without_pruned.prompt > 0


@pytest.mark.parametrize("name", builtin_accelerators())
def test_a_model_of_one_operator_is_a_run_of_its_matrix(name: str) -> None:
    """A head alone: no layer, no embedding, no norm."""
    keep = np.random.default_rng(3).random((120, 70)) < 0.2
    head = ModelMatrix("lm_head", "head", None, 120, 70)
    model = replace(
        transformer(SMALL, "a test"),
        layers=0,
        width=70,
        matrices=(head,),
        embedding_rows=(),
        head_rows=120,
        final_norm=False,
    )
    mask = MaskedMatrix("lm_head", keep, kind="head")
    machine = load_machine(name)
    found = simulate_model(
        MaskedModel(model, {"lm_head": mask}), Request(prefill=5, batch=9), machine, threads=1
    )
    report = simulate(Workload.of([mask], Activations(9)), machine, threads=1)
    (layer,) = report.layers
    assert found.cycles.prompt == layer.cycles
    assert found.dense.prompt == layer.dense_cycles
    (result,) = ModelReport(found).operators["prefill"]
    assert {k: n for k, n in layer.cycles_by_cause.items() if n} == result.cycles_by_cause
    assert result.energy_j == pytest.approx(layer.energy_j, rel=1e-12)
    assert sum(result.dram_bytes.values()) == layer.dram_bytes


def test_multiplications_and_softmax_elements_are_those_that_are_counted_by_hand() -> None:
    found = run(batch=3)
    report = ModelReport(found)
    model = found.model
    kinds = {each.kind: each for each in report.by_kind["prefill"]}
    elements = score_elements(model, Step(3, 40, 0))
    assert elements == 3 * 2 * 4 * 40 * 41 // 2
    assert kinds["softmax"].elements == elements
    assert kinds["QKᵀ"].macs_executed == kinds["AV"].macs_executed == elements * 16
    assert kinds["QKᵀ"].macs_padding > 0  # beyond the diagonal, and lanes without work
    assert kinds["Q"].macs == 3 * 40 * 64 * 64 * 2
    assert kinds["K"].macs == 3 * 40 * 64 * 32 * 2
    assert kinds["gate"].macs == kinds["down"].macs == 3 * 40 * 64 * 96 * 2
    assert kinds["head"].macs == 3 * 64 * 300  # the last token of each request
    decode = {each.kind: each for each in report.by_kind["decode"]}
    assert decode["head"].macs == 3 * 3 * 64 * 300
    assert decode["softmax"].elements == 3 * 2 * 4 * (41 + 42 + 43)


def test_bytes_of_the_cache_are_those_of_its_closed_form() -> None:
    """FP16 and 16 numbers a head: 32 bytes, which bursts of 32 bytes round to nothing more."""
    found = run(replace_dram(load_machine("tf_mvp"), burst_bytes=32), batch=3)
    report = ModelReport(found)
    prefill, decode = (report.phases[name]["dram_bytes"]["cache"] for name in report.phases)
    of_token = 2 * 2 * 2 * 16 * 2  # keys and values, layers, heads, numbers, bytes
    assert prefill == 3 * 40 * of_token  # written
    # Read 40, 41, 42 cached tokens, write one each time.
    assert decode == 3 * (41 + 42 + 43) * of_token


def replace_dram(machine: Machine, **values: Any) -> Machine:
    return replace(machine, dram=replace(machine.dram, **values))


def test_the_embedding_is_a_row_a_token_and_the_vectors_once() -> None:
    found = run(replace_dram(load_machine("tf_mvp"), burst_bytes=32))
    report = ModelReport(found)
    # 64 numbers a row; 5 norms of 64 numbers, no biases.
    assert report.phases["prefill"]["dram_bytes"]["embedding"] == (40 * 64 + 5 * 64) * 2


def test_a_cache_of_eight_bits_moves_half_the_bytes() -> None:
    machine = replace_dram(load_machine("tf_mvp"), burst_bytes=16)
    wide, narrow = (
        ModelReport(run(machine, cache_bits=bits)).phases["decode"]["dram_bytes"]["cache"]
        for bits in (16, 8)
    )
    assert wide == 2 * narrow


@pytest.mark.parametrize("scores", ["rows", "tiles", "dram"])
def test_scores_can_stay_in_three_places(scores: Any) -> None:
    found = run(scores=scores, prefill=200, generate=0)
    report = ModelReport(found)
    (attention,) = report.phases["prefill"]["attention"]
    assert attention["scores"] == scores
    moved = report.phases["prefill"]["dram_bytes"]["activations"]
    # Two layers, four heads; QKᵀ writes, softmax reads and writes, AV reads, rounded to bursts.
    blocks = [
        (first, min(first + attention["query_block"], 200))
        for first in range(0, 200, attention["query_block"])
    ]
    of_scores = 2 * 4 * 4 * sum((end - first) * end * 2 for first, end in blocks)
    if scores == "dram":
        assert of_scores <= moved <= of_scores + 2 * 4 * 4 * len(blocks) * 64
    else:
        assert moved == 0


def test_overlap_hides_softmax_and_never_more_than_all_of_it() -> None:
    machine = load_machine("tf_mvp", ["vector.elements_per_cycle=16"])
    with_overlap = run(machine, prefill=200, generate=0)
    apart = replace(machine, vector=replace(machine.vector, overlaps=False))
    without = run(apart, prefill=200, generate=0)
    softmax = [
        sum(t.cycles for t in found.phases[0].operators if t.work.kind == "softmax")
        for found in (with_overlap, without)
    ]
    assert 0 < softmax[0] < softmax[1]
    assert with_overlap.cycles.prompt < without.cycles.prompt


def test_decode_steps_differ_in_their_context_only() -> None:
    """A step of a generation is the step that a prompt behind so many cached tokens takes."""
    generated_steps = run(prefill=40, generate=4).cycles.decode
    for index, cycles in enumerate(generated_steps):
        assert run(prefill=1, generate=0, context=40 + index).cycles.prompt == cycles


def test_more_requests_share_the_weights() -> None:
    one, eight = (ModelReport(run(batch=batch)).phases["decode"] for batch in (1, 8))
    assert eight["dram_bytes"]["weights"] == one["dram_bytes"]["weights"]
    assert eight["cycles"] < 8 * one["cycles"]


def test_an_encoder_has_one_step_and_no_cache() -> None:
    found = simulate_model(small(BERT), Request(prefill=50), load_machine("tf_mvp"), threads=1)
    report = ModelReport(found)
    (phase,) = found.phases
    assert report.phases["prefill"]["dram_bytes"]["cache"] == 0
    assert report.phases["prefill"]["elements"] == 2 * 4 * 50 * 50
    assert [t.work.kind for t in phase.operators][:9] == [
        *("embedding", "norm", "Q", "K", "V", "QKᵀ", "softmax", "AV", "attention out"),
    ]
    with pytest.raises(InputError, match="generate"):
        simulate_model(small(BERT), Request(prefill=5, generate=2), load_machine("tf_mvp"))


def test_more_tokens_than_positions_are_refused() -> None:
    with pytest.raises(InputError, match="401 tokens, but the model tells 400 positions"):
        run(prefill=350, generate=52)
    assert run(prefill=350, generate=51).cycles.decode


def masks_of(model: Transformer) -> list[MaskedMatrix]:
    rng = np.random.default_rng(0)
    return [
        MaskedMatrix(m.name, rng.random((m.rows, m.cols)) < 0.3, kind=m.kind)
        for m in model.matrices
        if m.layer is not None
    ]


def test_matrices_without_a_mask_run_dense() -> None:
    model = transformer(SMALL, "a test")
    found = masked(model, masks_of(model)[:-1], "a file")
    assert set(found.dense) == {"model.layers.1.mlp.down_proj", "lm_head"}
    assert "run dense" in found.notes[-1]


def as_entries(mask: MaskedMatrix) -> SparseMaskedMatrix:
    """The same mask, as files of few entries are read: its array is made anew at each look."""
    places = np.flatnonzero(mask.keep)
    return SparseMaskedMatrix(mask.name, mask.shape, places, None, mask.kind)


def test_masks_that_are_held_as_entries_run_like_others() -> None:
    """Masks of one shape, each with another count: none is taken for another one."""
    model = transformer(SMALL, "a test")
    masks = [
        replace(mask, keep=mask.keep & (np.arange(mask.size).reshape(mask.shape) % (2 + i) == 0))
        for i, mask in enumerate(masks_of(model))
    ]
    machine, asked = load_machine("tf_mvp"), Request(prefill=9)
    plain, sparse = (
        simulate_model(masked(model, some, "a file"), asked, machine)
        for some in (masks, [as_entries(mask) for mask in masks])
    )
    assert plain.cycles == sparse.cycles
    executed = {t.work.name: t.work.executed for t in sparse.prefill.operators if t.work.name}
    assert {m.name: m.nnz * 9 for m in masks} == {m.name: executed[m.name] for m in masks}


def test_masks_say_whether_their_weights_have_eight_bits() -> None:
    model = transformer(SMALL, "a test")
    masks = masks_of(model)
    whole = [replace(mask, weight=mask.keep.astype(np.int8)) for mask in masks]
    assert masked(model, whole, "a file").is_int8
    assert not masked(model, [masks[0], *whole[1:]], "a file").is_int8
    assert not MaskedModel(model, {}).is_int8


def test_one_matrix_may_stand_for_three() -> None:
    model = transformer(SMALL, "a test")
    masks = [m for m in masks_of(model) if m.kind not in ("Q", "K", "V")]
    masks += [
        MaskedMatrix(f"h.{i}.attn.c_attn", np.ones((64 + 2 * 32, 64), np.bool_), kind="QKV")
        for i in range(2)
    ]
    found = masked(model, masks, "a file")
    assert next(m.kind for m in found.model.matrices if m.layer == 1) == "QKV"
    assert len(found.masks) == 2 * 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: replace(m, name="model.layers.7.self_attn.q_proj"), "no matrix like"),
        (lambda m: replace(m, keep=np.ones((64, 65), np.bool_)), "is 64×65, but that of the model"),
    ],
)
def test_a_matrix_that_the_model_lacks_is_an_error(change: Any, words: str) -> None:
    model = transformer(SMALL, "a test")
    first, *rest = masks_of(model)
    with pytest.raises(InputError, match=words):
        masked(model, [change(first), *rest], "a file")


def test_the_report_is_json_and_its_table_has_a_row_for_each_operator() -> None:
    from json import dumps

    report = ModelReport(run())
    data = as_json(report, timestamp="now")
    assert dumps(data, allow_nan=False)
    rows = as_csv(report).splitlines()
    operators = sum(len(phase["operators"]) for phase in data["phases"].values())
    assert len(rows) == 1 + operators
    first = sum(int(row.split(",")[4]) for row in rows[1:] if row.startswith("prefill"))
    assert first == data["phases"]["prefill"]["cycles"]
    assert report.all_notes[0].startswith("A step of decode has 1 token: 15 of the 16")
