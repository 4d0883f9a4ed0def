"""Is perplexity that of the definition, whatever the windows, and per token and word?"""

import math
from collections.abc import Callable
from typing import Any

import pytest

from pruning.evaluation.perplexity import perplexity, windows
from pruning.models.opening import OpenModel, assemble
from sparse_formats.errors import InputError

torch = pytest.importorskip("torch")

Tiny = Callable[..., Any]
TEXT = " ".join(f"w{(7 * i * i + i) % 44}" for i in range(75))


def opened(model: Any, words: Any, task: str = "causal") -> OpenModel:
    return assemble("tiny", task, model, words)


@pytest.mark.parametrize(("count", "length", "stride"), [(75, 20, 20), (75, 20, 7), (12, 20, 3)])
def test_every_token_but_the_first_is_scored_once(count: int, length: int, stride: int) -> None:
    scored = [
        token
        for begin, first, end in windows(count, length, stride)
        for token in range(max(first, begin + 1), end)
        if end - begin <= length
    ]
    skipped = [begin for begin, first, _ in windows(count, length, stride) if begin == first]
    # Without overlap the first token of a window has nothing before it.
    assert scored == [t for t in range(count) if t not in skipped]
    assert skipped == ([0] if stride < length else list(range(0, count, stride)))


@pytest.mark.parametrize("stride", [20, 6, 1])
def test_a_stride_gives_every_token_its_context(stride: int, tiny: Tiny, words: Any) -> None:
    model = opened(tiny("llama"), words)
    ids = words(TEXT, add_special_tokens=False).input_ids
    loss, count, reached = 0.0, 0, 0
    # Token by token: its window is the first that reaches it.
    for token in range(1, len(ids)):
        begin = max(0, -(-(token + 1 - 20) // stride) * stride)
        if begin == token:
            continue
        with torch.no_grad():
            logits = model.model(torch.tensor([ids[begin:token]])).logits[0, -1]
        loss -= float(torch.log_softmax(logits, -1)[ids[token]])
        count, reached = count + 1, token
    found = perplexity(model, TEXT, length=20, stride=stride, batch=3)
    assert (found.tokens, found.words, reached) == (count, 75, 74)
    assert found.loss == pytest.approx(loss, rel=1e-5)
    assert found.per_token == pytest.approx(math.exp(loss / count), rel=1e-5)
    assert found.per_word == pytest.approx(math.exp(loss / 75), rel=1e-5)


def test_a_model_that_knows_nothing_has_the_vocabulary_as_perplexity(
    tiny: Tiny, words: Any
) -> None:
    model = tiny("gpt2")
    for parameter in model.parameters():
        parameter.data.zero_()
    assert perplexity(opened(model, words), TEXT).per_token == pytest.approx(48, rel=1e-5)


def test_a_masked_model_predicts_every_token_once(tiny: Tiny, words: Any) -> None:
    words.add_special_tokens({"mask_token": "w0"})
    found = perplexity(opened(tiny("bert"), words, "masked"), TEXT, length=20)
    ids = words(TEXT, add_special_tokens=False).input_ids
    assert found.tokens == len(ids) == 75
    assert found.per_token is not None and 30 < found.per_token < 70


def test_a_perplexity_beyond_all_floats_is_none(tiny: Tiny, words: Any) -> None:
    model = tiny("gpt2")
    model.transformer.wte.weight.data *= 1e4
    found = perplexity(opened(model, words), TEXT)
    assert found.loss / found.tokens > 710
    assert found.per_token is None and found.per_word is None


def test_only_the_beginning_of_a_text(tiny: Tiny, words: Any) -> None:
    model = opened(tiny("gpt2"), words)
    found = perplexity(model, TEXT, length=20, max_tokens=41)
    assert found.words == 41
    assert found == perplexity(model, " ".join(TEXT.split()[:41]), length=20)


def test_a_word_whose_token_begins_with_a_space_is_a_whole_word(tiny: Tiny) -> None:
    # As of GPT-2: the third token begins at the space, so that the second word ends before it.
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    plain = Tokenizer(models.WordLevel({"w1": 4, " w2": 5, " w3": 6, "?": 7}, unk_token="?"))
    plain.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_next")
    words = PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="?", model_max_length=40)
    found = perplexity(opened(tiny("gpt2"), words), "w1 w2 w3", max_tokens=2)
    assert (found.words, found.tokens) == (2, 1)


def test_what_cannot_be_measured_says_why(tiny: Tiny, words: Any) -> None:
    model = opened(tiny("gpt2"), words)
    with pytest.raises(InputError, match="give 2 to 40 tokens"):
        perplexity(model, TEXT, length=41)
    with pytest.raises(InputError, match="give 1 to the length, 20"):
        perplexity(model, TEXT, length=20, stride=21)
    with pytest.raises(InputError, match="fewer than two tokens"):
        perplexity(model, "w1")
    with pytest.raises(InputError, match="needs a language model"):
        perplexity(opened(tiny("bert_encoder"), words, "encode"), TEXT)
    with pytest.raises(InputError, match="no tokenizer"):
        perplexity(opened(tiny("gpt2"), None), TEXT)
