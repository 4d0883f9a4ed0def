"""Planted matrices (log-normal importance), and the program."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sparse_formats.masks.matrix import MaskedMatrix

Planted = Callable[..., NDArray[np.float32]]


@pytest.fixture(scope="session")
def masks_of_scores() -> Callable[..., list[MaskedMatrix]]:
    """(scores, pattern, sparsity, settings of a recipe by name) → what pruning makes of them."""
    from pruning.pipeline import prune_matrices
    from pruning.recipe import Recipe
    from pruning.scoring import ScoredMatrix

    def masks(
        scores: Sequence[NDArray[np.float32]], pattern: str, sparsity: float, **settings: Any
    ) -> list[MaskedMatrix]:
        matrices = [ScoredMatrix(f"m{i}", "", s, None) for i, s in enumerate(scores)]
        recipe = Recipe(pattern, sparsity, **settings)
        return list(prune_matrices(matrices, recipe, "test").masks.matrices)

    return masks


@pytest.fixture
def planted() -> Planted:
    """(seed, shape, row=, col=, head=) → scores exp(√row·f_i + √col·g_j + √rest·noise).

    head: share of a factor per column and 64-row head instead of per whole column.
    """

    def scores(
        seed: int,
        shape: tuple[int, int] = (768, 768),
        row: float = 0.0,
        col: float = 0.0,
        head: float = 0.0,
    ) -> NDArray[np.float32]:
        rng = np.random.default_rng(seed)
        rows, cols = shape
        logs = np.sqrt(1 - row - col - head) * rng.standard_normal(shape)
        logs += np.sqrt(row) * rng.standard_normal((rows, 1))
        logs += np.sqrt(col) * rng.standard_normal((1, cols))
        if head:
            per_head = rng.standard_normal((-(-rows // 64), cols))
            logs += np.sqrt(head) * np.repeat(per_head, 64, axis=0)[:rows]
        return np.exp(logs).astype(np.float32)

    return scores


@pytest.fixture
def tiny() -> Callable[..., Any]:
    """(family, **config) → a randomly initialised model of transformers: 2 layers, hidden 32."""
    torch = pytest.importorskip("torch")
    import transformers

    torch.set_num_threads(1)
    layers = {"num_hidden_layers": 2, "num_attention_heads": 4}
    small = {"vocab_size": 48, "hidden_size": 32, "max_position_embeddings": 40, **layers}
    quiet = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    llama = {**small, **quiet, "intermediate_size": 48, "num_key_value_heads": 2}
    gpt2 = {"vocab_size": 48, "n_positions": 40, "n_embd": 32, "n_layer": 2, "n_head": 4}
    distil = {"vocab_size": 48, "max_position_embeddings": 40, "dim": 32, "hidden_dim": 64}
    distil = {**distil, "n_layers": 2, "n_heads": 4}
    families = {
        "bert": ("BertForMaskedLM", "BertConfig", {**small, "intermediate_size": 64}),
        "bert_encoder": ("BertModel", "BertConfig", {**small, "intermediate_size": 64}),
        "bert_classifier": (
            "BertForSequenceClassification",
            "BertConfig",
            {**small, "intermediate_size": 64},
        ),
        "bert_answerer": (
            "BertForQuestionAnswering",
            "BertConfig",
            {**small, "intermediate_size": 64},
        ),
        "distilbert": ("DistilBertForMaskedLM", "DistilBertConfig", distil),
        "distilbert_classifier": (
            "DistilBertForSequenceClassification",
            "DistilBertConfig",
            distil,
        ),
        "distilbert_answerer": ("DistilBertForQuestionAnswering", "DistilBertConfig", distil),
        "albert": (
            "AlbertForMaskedLM",
            "AlbertConfig",
            {**small, "embedding_size": 16, "intermediate_size": 64},
        ),
        "gpt2": ("GPT2LMHeadModel", "GPT2Config", {**gpt2, **quiet}),
        "gpt_neox": (
            "GPTNeoXForCausalLM",
            "GPTNeoXConfig",
            {**small, **quiet, "intermediate_size": 64},
        ),
        "opt": (
            "OPTForCausalLM",
            "OPTConfig",
            {**small, **quiet, "ffn_dim": 64, "word_embed_proj_dim": 32},
        ),
        "llama": ("LlamaForCausalLM", "LlamaConfig", {**llama, "tie_word_embeddings": True}),
        "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", {**llama, "head_dim": 8}),
        "mistral": ("MistralForCausalLM", "MistralConfig", {**llama, "sliding_window": 8}),
        "gemma": ("GemmaForCausalLM", "GemmaConfig", {**llama, "head_dim": 8}),
        "vit": (
            "ViTForImageClassification",
            "ViTConfig",
            {
                "hidden_size": 32,
                **layers,
                "intermediate_size": 64,
                "image_size": 16,
                "patch_size": 4,
            },
        ),
        "phi3": ("Phi3ForCausalLM", "Phi3Config", llama),
        "phi": ("PhiForCausalLM", "PhiConfig", {**small, **quiet, "intermediate_size": 64}),
        "bloom": ("BloomForCausalLM", "BloomConfig", {**small, **quiet}),
        "mpt": (
            "MptForCausalLM",
            "MptConfig",
            {"vocab_size": 48, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 40},
        ),
        "modernbert": (
            "ModernBertForMaskedLM",
            "ModernBertConfig",
            {**small, **quiet, "intermediate_size": 48, "cls_token_id": 2, "sep_token_id": 3},
        ),
        "falcon": ("FalconForCausalLM", "FalconConfig", {**small, **quiet}),
        "falcon_grouped": (
            "FalconForCausalLM",
            "FalconConfig",
            {**small, **quiet, "new_decoder_architecture": True, "num_kv_heads": 2},
        ),
        "gpt_bigcode": ("GPTBigCodeForCausalLM", "GPTBigCodeConfig", {**gpt2, **quiet}),
        "gptj": ("GPTJForCausalLM", "GPTJConfig", {**gpt2, **quiet, "rotary_dim": 4}),
        "mpnet": ("MPNetForMaskedLM", "MPNetConfig", {**small, "intermediate_size": 64}),
        "xglm": (
            "XGLMForCausalLM",
            "XGLMConfig",
            {
                **quiet,
                "vocab_size": 48,
                "d_model": 32,
                "ffn_dim": 64,
                "num_layers": 2,
                "attention_heads": 4,
                "max_position_embeddings": 40,
            },
        ),
        "mobilebert": (
            "MobileBertForMaskedLM",
            "MobileBertConfig",
            {**small, "intermediate_size": 64, "intra_bottleneck_size": 16, "embedding_size": 16},
        ),
        "t5_encoder": (
            "T5EncoderModel",
            "T5Config",
            {
                "vocab_size": 48,
                "d_model": 32,
                "d_kv": 8,
                "d_ff": 64,
                "num_layers": 2,
                "num_heads": 4,
            },
        ),
        "mixtral": ("MixtralForCausalLM", "MixtralConfig", {**llama, "num_local_experts": 2}),
        "deberta_v2": (
            "DebertaV2ForMaskedLM",
            "DebertaV2Config",
            {
                **small,
                "intermediate_size": 64,
                "relative_attention": True,
                "pos_att_type": ["p2c", "c2p"],
            },
        ),
    }

    def build(family: str, seed: int = 0, **changes: Any) -> Any:
        architecture, config, settings = families[family]
        torch.manual_seed(seed)
        made = getattr(transformers, config)(**{**settings, **changes})
        return getattr(transformers, architecture)(made).eval()

    return build


@pytest.fixture
def words() -> Any:
    """A tokenizer of 48 made-up words, w0 … w43, and four special tokens."""
    pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: i for i, word in enumerate(specials + [f"w{i}" for i in range(44)])}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=plain,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=40,
    )


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the program with arguments; returns (exit status, stdout, stderr)."""
    from pruning.__main__ import main

    def program(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["pruning", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return program
