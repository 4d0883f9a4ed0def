"""What of a model can be counted without a machine, beside numbers worked out by hand."""

import pytest

from accel_sim.models.config import read_model
from accel_sim.models.transformer import Step, cache_bytes, score_elements


def linear_macs(name: str, tokens: int) -> int:
    return read_model(name).layer_weights * tokens


# 12 layers of 12·d² weights; h·T(T+1)/2 scores a layer of a causal model, h·T² of another.
@pytest.mark.parametrize(
    ("name", "tokens", "linear", "product", "elements", "head", "cache"),
    [
        ("gpt2-small", 512, 43_486_543_872, 1_210_318_848, 18_911_232, 38_597_376, 36_864),
        ("bert-base", 128, 10_871_635_968, 150_994_944, 2_359_296, 0, 36_864),
        ("bert-base", 384, 32_614_907_904, 1_358_954_496, 21_233_664, 0, 36_864),
        (
            *("llama-2-7b", 2048, 6_476_005_376 * 2048, 275_012_124_672),
            *(2_148_532_224, 131_072_000, 524_288),
        ),
        (
            *("llama-3-8b", 2048, 6_979_321_856 * 2048, 275_012_124_672),
            *(2_148_532_224, 525_336_576, 131_072),
        ),
        ("vit-b-16", 197, 16_732_127_232, 357_663_744, 5_588_496, 768_000, 36_864),
        ("deit-tiny", 197, 1_045_757_952, 89_415_936, 1_397_124, 192_000, 9_216),
    ],
)
def test_of_a_prompt(
    name: str, tokens: int, linear: int, product: int, elements: int, head: int, cache: int
) -> None:
    model, step = read_model(name), Step(1, tokens, 0)
    assert linear_macs(name, tokens) == linear
    assert score_elements(model, step) == elements
    assert score_elements(model, step) * model.head_width == product
    assert model.head_rows * model.width == head
    assert cache_bytes(model, 1, 16) == cache


def test_of_a_generation() -> None:
    model = read_model("gpt2-small")
    steps = [Step(1, 1, 512 + i) for i in range(99)]
    elements = sum(score_elements(model, step) for step in steps)
    assert elements == 8_011_872 == 144 * sum(range(513, 612))
    assert elements * model.head_width == 512_759_808
    assert linear_macs("gpt2-small", 99) == 8_408_530_944
    assert sum(cache_bytes(model, step.seen, 16) for step in steps) == 2_051_039_232


def test_requests_multiply_scores() -> None:
    model = read_model("gpt2-small")
    assert score_elements(model, Step(4, 7, 3)) == 4 * 144 * (4 + 5 + 6 + 7 + 8 + 9 + 10)


def test_a_window_of_three_tokens() -> None:
    from accel_sim.models.config import transformer

    values = {
        "model_type": "mistral",
        "num_hidden_layers": 1,
        "hidden_size": 8,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 16,
        "vocab_size": 10,
        "sliding_window": 3,
    }
    model = transformer(values, "a test")
    # Positions 2 … 6 see 3 keys each.
    assert score_elements(model, Step(1, 5, 2)) == 2 * 5 * 3


def test_attention_is_the_share_of_a_prompt_that_is_told_of_gpt2() -> None:
    """At density 0.2 QKᵀ and AV are 22 % of the multiplications of 512 tokens."""
    model = read_model("gpt2-small")
    attention = 2 * score_elements(model, Step(1, 512, 0)) * model.head_width
    weights = 0.2 * linear_macs("gpt2-small", 512)
    assert attention / (attention + weights) == pytest.approx(0.22, abs=0.005)
