"""Which lines of which matrices are one head or one neuron?"""

import json
from pathlib import Path
from typing import Any

import pytest

from pruning.models.model_files import heads_with, read_heads
from pruning.structure.couplings import couplings_of
from pruning.structure.heads import Heads
from pruning.structure.slices import COLS, ROWS, Slice
from sparse_formats.errors import InputError

LLAMA = {
    "model.layers.0.self_attn.q_proj.weight": (8, 6),
    "model.layers.0.self_attn.k_proj.weight": (4, 6),
    "model.layers.0.self_attn.v_proj.weight": (4, 6),
    "model.layers.0.self_attn.o_proj.weight": (6, 8),
    "model.layers.0.mlp.gate_proj.weight": (10, 6),
    "model.layers.0.mlp.up_proj.weight": (10, 6),
    "model.layers.0.mlp.down_proj.weight": (6, 10),
}


def test_a_llama_layer_with_grouped_queries() -> None:
    heads, neurons = couplings_of(LLAMA, Heads(4, 2))
    assert (heads.unit, heads.count, heads.groups) == ("head", 4, 2)
    (q, o), (k, v) = heads.parts, heads.shared
    assert q == Slice("model.layers.0.self_attn.q_proj.weight", ROWS, 0, 2, 2)
    # Two query heads of two rows each read one key-value head.
    assert (k.lines(1), v.size) == (range(2, 4), 2)
    assert (o.axis, o.lines(1)) == (COLS, range(2, 4))
    assert (neurons.unit, neurons.count) == ("neuron", 10)
    assert [(p.axis, p.lines(9)) for p in neurons.parts] == [
        (ROWS, range(9, 10)),
        (ROWS, range(9, 10)),
        (COLS, range(9, 10)),
    ]


def test_layers_with_different_numbers_of_heads() -> None:
    name = "bert.encoder.layer.{}.{}.weight".format
    shapes: dict[str, tuple[int, int]] = {}
    for layer, rows in ((0, 24), (2, 8)):
        for part in ("query", "key", "value"):
            shapes[name(layer, f"attention.self.{part}")] = (rows, 32)
        shapes[name(layer, "attention.output.dense")] = (32, rows)
    # In layer 1 nothing of attention is left.
    shapes[name(1, "intermediate.dense")] = (5, 32)
    first, last, neurons = sorted(couplings_of(shapes, Heads(4, 4, 8)), key=lambda c: c.unit)
    assert (first.count, last.count, neurons.count) == (3, 1, 5)
    for part in (*first.parts, *last.parts):
        assert part.size == 8


def test_stacked_queries_keys_and_values() -> None:
    shapes = {
        "h.3.attn.c_attn.weight": (12, 4),
        "h.3.attn.c_proj.weight": (4, 4),
        "h.3.mlp.c_fc.weight": (16, 4),
        "h.3.mlp.c_proj.weight": (4, 16),
    }
    heads, neurons = couplings_of(shapes, Heads(2, 2))
    assert [part.lines(1) for part in heads.parts] == [
        range(2, 4),
        range(6, 8),
        range(10, 12),
        range(2, 4),
    ]
    assert neurons.count == 16


def test_experts_of_one_layer_stay_apart() -> None:
    shapes = {
        f"model.layers.1.mlp.experts.{e}.{part}_proj.weight": shape
        for e in (0, 1)
        for part, shape in (("gate", (5, 3)), ("up", (5, 3)), ("down", (3, 5)))
    }
    found = couplings_of(shapes, None)
    assert [c.count for c in found] == [5, 5]
    assert all(len({p.matrix.split("experts.")[1][0] for p in c.parts}) == 1 for c in found)


def test_a_unit_has_lines_in_what_is_there() -> None:
    some = {n: s for n, s in LLAMA.items() if "down" in n or "q_proj" in n}
    heads, neurons = couplings_of(some, Heads(4, 2))
    assert [(p.axis, p.size) for p in heads.parts] == [(ROWS, 2)]
    assert [(p.axis, p.size) for p in neurons.parts] == [(COLS, 1)]
    keys = {n: s for n, s in LLAMA.items() if "k_proj" in n}
    (heads,) = couplings_of(keys, Heads(4, 2))
    assert (heads.count, [p.size for p in heads.parts], heads.shared) == (2, [2], ())
    assert couplings_of({"model.layers.0.input_layernorm.weight": (1, 6)}, Heads(4, 2)) == ()


@pytest.mark.parametrize(
    ("name", "shape", "heads"),
    [
        ("model.layers.0.self_attn.k_proj.weight", (8, 6), Heads(4, 2)),
        ("model.layers.0.mlp.up_proj.weight", (9, 6), None),
    ],
)
def test_shapes_that_do_not_go_together_are_named(
    name: str, shape: tuple[int, int], heads: Heads | None
) -> None:
    with pytest.raises(InputError, match=name):
        couplings_of({**LLAMA, name: shape}, heads)


@pytest.mark.parametrize(
    ("config", "heads"),
    [
        ({"n_head": 12}, Heads(12, 12)),
        ({"num_attention_heads": 9, "num_key_value_heads": 3}, Heads(9, 3)),
        ({"hidden_size": 4}, None),
        # Folders of `shrink --own-code`: a head stays as wide as the whole model's were.
        ({"num_attention_heads": 4, "hidden_size": 32, "layer_heads": [3, 0]}, Heads(4, 4, 8)),
        ({"n_heads": 4, "dim": 32, "layer_heads": [3, 1]}, Heads(4, 4, 8)),
        ({"num_attention_heads": [1, 2, 4]}, None),
        ({"encoder_attention_heads": 4, "decoder_attention_heads": 4}, Heads(4, 4)),
        ({"encoder_attention_heads": 4, "decoder_attention_heads": 2}, None),
        ({"model_type": "bloom", "n_head": 4}, Heads(4, 4, qkv="by_head")),
        ({"model_type": "falcon", "num_attention_heads": 4, "num_kv_heads": 4}, Heads(4, 1)),
        (
            {"model_type": "gpt_bigcode", "n_head": 4, "multi_query": False},
            Heads(4, 4, qkv="by_head"),
        ),
        ({"model_type": "codegen", "n_head": 4}, Heads(4, 4, qkv="unknown")),
    ],
)
def test_head_counts_of_a_configuration(
    tmp_path: Path, config: dict[str, Any], heads: Heads | None
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_heads(tmp_path) == heads


def test_no_configuration_no_head_counts(tmp_path: Path) -> None:
    assert read_heads(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "[]",
        '{"n_head": "x"}',
        '{"n_head": 9, "num_key_value_heads": 4}',
        '{"num_attention_heads": 4, "hidden_size": 30, "layer_heads": [3]}',
        '{"num_attention_heads": 4, "hidden_size": "32", "layer_heads": [3]}',
        '{"num_attention_heads": 4, "layer_heads": [3]}',
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config\.json"):
        read_heads(tmp_path)


def test_a_mask_file_says_its_heads(tmp_path: Path) -> None:
    said = {"heads": 4, "key_value_heads": 2, "qkv": "by_head"}
    assert heads_with(tmp_path / "mask.npz", {"heads": said}) == Heads(4, 2, qkv="by_head")
    assert heads_with(tmp_path / "mask.npz", {"heads": None}) is None
    (tmp_path / "config.json").write_text('{"n_head": 3}')
    assert heads_with(tmp_path, {"heads": said}) == Heads(3, 3)
    for wrong in ({**said, "heads": "x"}, {**said, "heads": 3}, 7):
        with pytest.raises(InputError, match=r"mask\.npz"):
            heads_with(tmp_path / "mask.npz", {"heads": wrong})


def test_queries_keys_and_values_head_by_head() -> None:
    # Two key-value heads of three lines: each has its two queries, its key and its value.
    shapes = {"h.0.self_attention.query_key_value": (24, 12), "h.0.self_attention.dense": (12, 12)}
    (heads,) = couplings_of(shapes, Heads(4, 2, qkv="by_head"))
    query, out = heads.parts
    assert [list(query.lines(unit)) for unit in range(4)] == [
        [0, 1, 2],
        [3, 4, 5],
        [12, 13, 14],
        [15, 16, 17],
    ]
    assert query.of_units(4).tolist() == [list(query.lines(unit)) for unit in range(4)]
    assert [list(part.lines(1)) for part in heads.shared] == [[18, 19, 20], [21, 22, 23]]
    assert list(out.lines(1)) == [3, 4, 5]
    assert couplings_of(shapes, Heads(4, 2, qkv="unknown")) == ()


def test_one_key_and_value_for_all_heads() -> None:
    shapes = {"h.0.attn.c_attn": (16, 12), "h.0.attn.c_proj": (12, 12)}
    (heads,) = couplings_of(shapes, Heads(6, 1))
    assert (heads.count, heads.groups) == (6, 1)
    assert [list(part.lines(5)) for part in heads.parts] == [[10, 11], [10, 11]]
    assert [list(part.lines(0)) for part in heads.shared] == [[12, 13], [14, 15]]
    with pytest.raises(InputError, match="cannot be the queries, keys and values of 5"):
        couplings_of(shapes, Heads(5, 5))


def test_gate_and_up_in_one_matrix() -> None:
    shapes = {"layers.0.mlp.gate_up_proj": (10, 4), "layers.0.mlp.down_proj": (4, 5)}
    (neurons,) = couplings_of(shapes, None)
    assert [list(part.lines(2)) for part in neurons.parts] == [[2], [7], [2]]


def test_cross_attention_stands_with_its_own() -> None:
    parts = ("self.query", "self.key", "self.value", "output.dense")
    shapes = {
        f"decoder.layer.0.{place}.{part}": (6, 6)
        for place in ("attention", "crossattention")
        for part in parts
    }
    shapes |= {"decoder.layer.0.intermediate.dense": (8, 6), "decoder.layer.0.output.dense": (6, 8)}
    *heads, neurons = couplings_of(shapes, Heads(2, 2))
    places = [{part.matrix.split(".")[3] for part in one.parts} for one in heads]
    assert places == [{"attention"}, {"crossattention"}]
    assert [len(one.parts) for one in (*heads, neurons)] == [4, 4, 2]
