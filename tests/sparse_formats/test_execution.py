"""How often does a model run each matrix, and how many tokens does each of its experts get?"""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_formats.errors import InputError, SettingError
from sparse_formats.files.model_config import read_config
from sparse_formats.masks.execution import (
    Execution,
    execution_in,
    expert_of,
    said_of,
    said_of_tokens,
    tokens_of,
)

EXPERTS = [f"model.layers.0.block_sparse_moe.experts.{e}.w1.weight" for e in range(8)]


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"model_type": "bert"}, Execution()),
        ({"num_local_experts": 8, "num_experts_per_tok": 2}, Execution(8, 2)),
        ({"num_experts": 60, "num_experts_per_tok": 4}, Execution(60, 4)),
        ({"n_routed_experts": 64, "num_experts_per_tok": 6}, Execution(64, 6)),
        ({"ffn_config": {"moe_num_experts": 16, "moe_top_k": 4}}, Execution(16, 4)),
        ({"model_type": "switch_transformers", "num_experts": 8}, Execution(8, 1)),
        # A list by layer, a truth and a number in words are none of ours.
        ({"num_experts": [4, 8], "moe_topk": True, "num_local_experts": "8"}, Execution()),
        (
            {"model_type": "albert", "num_hidden_layers": 12},
            Execution(runs={"albert_layer_groups.0.": 12}),
        ),
        (
            {"model_type": "albert", "num_hidden_layers": 5, "num_hidden_groups": 2},
            Execution(runs={"albert_layer_groups.0.": 3, "albert_layer_groups.1.": 2}),
        ),
        (
            {"model_type": "perceiver", "num_blocks": 8},
            Execution(runs={"encoder.self_attends.": 8}),
        ),
    ],
)
def test_what_a_configuration_says(
    tmp_path: Path, config: dict[str, Any], found: Execution
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    read = read_config(tmp_path)
    assert read is not None and read.execution == found
    assert read.changes_results == (found != Execution())
    # A header carries it through a file.
    assert execution_in({"execution": json.loads(json.dumps(found.as_data()))}) == found


@pytest.mark.parametrize(
    "said", [7, {"experts": 0}, {"runs": {"a": -1}}, {"runs": {"a": 10**9}}, {"experts": 10**6}]
)
def test_a_header_that_cannot_be_is_refused(said: Any) -> None:
    with pytest.raises(InputError, match=r"mask\.npz: its header does not say how"):
        execution_in({"execution": said}, "mask.npz")


@pytest.mark.parametrize(
    ("name", "expert"),
    [
        ("model.layers.1.mlp.experts.12.down_proj.weight", 12),
        ("encoder.block.1.layer.1.mlp.experts.expert_3.wi.weight", 3),
        ("experts.0.w1", 0),
        ("model.layers.3.mlp.experts.gate_up_proj[5]", 5),
        ("model.layers.1.mlp.shared_experts.0.down_proj.weight", None),
        ("model.layers.1.mlp.shared_expert.down_proj.weight", None),
        ("model.layers.1.mlp.gate.weight", None),
    ],
)
def test_which_names_are_of_an_expert(name: str, expert: int | None) -> None:
    found = expert_of(name)
    assert (found and found[1]) == expert


def counts(
    tokens: int, execution: Execution, loads: tuple[float, ...] = (), names: list[str] = EXPERTS
) -> list[int]:
    return list(tokens_of(names, tokens, execution, loads).values())


def test_experts_share_the_tokens() -> None:
    assert counts(128, Execution(8, 2)) == [32] * 8
    # 2 × 10 tokens for 8 experts: four of them get one more.
    assert counts(10, Execution(8, 2)) == [3] * 4 + [2] * 4
    assert counts(1, Execution(8, 2)) == [1, 1] + [0] * 6
    # The file holds two of sixty.
    assert counts(60, Execution(60, 4), names=EXPERTS[:2]) == [4, 4]
    assert counts(128, Execution(8, 2), (3, 1, 1, 1, 1, 1, 0, 0)) == [96, 32, 32, 32, 32, 32, 0, 0]
    # No expert gets a token twice.
    assert counts(10, Execution(8, 2), (9, 1, 0, 0, 0, 0, 0, 0)) == [10, 10] + [0] * 6
    assert counts(128, Execution(8)) == counts(128, Execution()) == [128] * 8
    assert counts(128, Execution(8, 8)) == [128] * 8


def test_other_matrices_get_all_tokens() -> None:
    names = ["model.layers.0.self_attn.q_proj.weight", *EXPERTS[:1]]
    assert tokens_of(names, 64, Execution(8, 2)) == {names[0]: 64, names[1]: 16}


@pytest.mark.parametrize(
    ("loads", "said"),
    [
        ((1, 2), "expert_load has 2 numbers, but there are 8 experts of"),
        ((1, 0, 0, 0, 0, 0, 0, 0), "leaves 1 experts with a load, but each token goes to 2"),
    ],
)
def test_loads_that_do_not_fit_are_refused(loads: tuple[float, ...], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        counts(8, Execution(8, 2), loads)


@given(
    st.integers(1, 300),
    st.integers(1, 8),
    st.lists(st.integers(1, 50), min_size=8, max_size=8),
)
def test_every_token_is_routed_and_nobody_is_far_from_its_share(
    tokens: int, wanted: int, loads: list[int]
) -> None:
    found = counts(tokens, Execution(8, wanted), tuple(map(float, loads)))
    assert sum(found) == tokens * wanted and max(found) <= tokens
    # Above its share only because others are full.
    for count, load in zip(found, loads, strict=True):
        share = Fraction(load * tokens * wanted, sum(loads))
        assert count > min(share, tokens) - 1
        assert count < share + 1 or max(found) == tokens


def test_what_is_said_of_it() -> None:
    albert = "albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.weight"
    assert list(said_of(Execution(runs={"albert_layer_groups.0.": 12}), [albert])) == [
        f"1 matrix ({albert}) is shared by layers: each of them runs 12 times."
    ]
    (untold,) = said_of(Execution(), [albert])
    assert "no config.json that tells how many, so each of them counts once" in untold
    assert list(said_of(Execution(8, 2), EXPERTS)) == [
        "Each token goes to 2 of 8 experts of a layer."
    ]
    assert list(said_of(Execution(8, 2), ["a"])) == []

    def said(execution: Execution, tokens: int) -> str:
        return said_of_tokens(tokens_of(EXPERTS, tokens, execution), tokens, execution)

    assert said(Execution(8, 2), 128) == "Each of the 8 matrices of experts gets 32 of 128 tokens."
    assert said(Execution(8, 2), 1) == (
        "Each of the 8 matrices of experts gets 0 to 1 of 1 tokens. The 6 that get none were not "
        "simulated."
    )
    assert "so each of them gets all tokens; give --experts-per-token" in said(Execution(), 9)
    assert said_of_tokens({"a": 4}, 4, Execution()) == ""
