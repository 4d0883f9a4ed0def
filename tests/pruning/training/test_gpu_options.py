"""Do batches in parts, bfloat16, computing again and other devices change only what they should?"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pruning.data.examples import Examples, text_windows
from pruning.models.devices import find_device
from pruning.models.opening import OpenModel, assemble
from pruning.processes import Processes
from pruning.recipe import Recipe
from pruning.training.loop import Run, train
from pruning.training.pruner import prepare
from pruning.training.settings import Training
from pruning.training.step_parts import step_parts
from sparse_formats.errors import InputError

torch = pytest.importorskip("torch")

Tiny = Callable[..., Any]
TEXT = " ".join(f"w{(i * i + 3 * (i // 7)) % 43}" for i in range(400))
FINE = Recipe(pattern="fine", sparsity=0.5)
FIVE = Training(steps=5, batch=4, warmup=1, learning_rate=1e-2, initial_warmup=1, final_warmup=2)
NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
CPU = torch.device("cpu")


@pytest.fixture
def masking(words: Any) -> Any:
    """The made-up words, of which the last is the mask token."""
    words.add_special_tokens({"mask_token": "w43"})
    return words


def trained(model: Any, tokenizer: Any, task: str, training: Training, device: str = "cpu") -> Run:
    opened = assemble("tiny", task, model.to(device), tokenizer)
    examples = text_windows(tokenizer, TEXT, 20, task)
    return train(opened, prepare(opened, FINE, training), examples)


def same(one: Run, other: Run, relative: float) -> bool:
    """Whether the losses agree, and the masks but for weights that are as good as equal."""
    agree = [
        np.mean(a.keep == b.keep)
        for a, b in zip(one.masks.matrices, other.masks.matrices, strict=True)
    ]
    return one.losses == pytest.approx(other.losses, rel=relative) and min(agree) > 0.99


def test_the_parts_of_a_step_are_its_examples_and_their_shares_by_hand() -> None:
    # Of five labels of a step the first part has three, of eight tokens six.
    rows = [
        {"input_ids": [5, 6, 7, 8], "labels": [-100, 6, 7, -100]},
        {"input_ids": [5, 6], "labels": [5, -100]},
        {"input_ids": [5], "labels": [5]},
        {"input_ids": [5], "labels": [5]},
    ]
    both = [
        list(step_parts(Examples(rows), "masked", 1, 2, 0, 3, Processes(rank, 2), CPU))
        for rank in (0, 1)
    ]
    parts = [part for row in both for part in row]
    taken = sorted(part.inputs["input_ids"].tolist()[0] for part in parts)
    assert taken == [[5], [5], [5, 6], [5, 6, 7, 8]]
    for part in parts:
        labels = int((part.inputs["labels"] != -100).sum())
        assert part.labels == pytest.approx(labels / 5)
        assert part.answers == pytest.approx(part.inputs["input_ids"].numel() / 8)
    # A causal model has nothing to predict the first token from.
    causal = list(step_parts(Examples(rows), "causal", 2, 2, 0, 3, Processes(), CPU))
    assert sum(part.labels for part in causal) == pytest.approx(1)
    assert {round(part.labels * 2) for part in causal} <= {0, 1, 2}


@pytest.mark.parametrize(
    ("family", "task", "changes"),
    [
        ("gpt2", "causal", {}),
        ("bert", "masked", {"distill": 0.5, "method": "gradual_magnitude"}),
    ],
)
def test_a_batch_in_parts_learns_as_a_whole_one(
    family: str, task: str, changes: dict[str, Any], tiny: Tiny, masking: Any
) -> None:
    still = NO_DROPOUT if family == "gpt2" else {
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip
    whole = replace(FIVE, batch=6, **changes)
    parts = replace(whole, batch=2, accumulate=3)
    one, other = (trained(tiny(family, **still), masking, task, each) for each in (whole, parts))
    assert same(one, other, 1e-5)
    # Without shares, parts of unequal size would count alike.
    assert one.losses != trained(tiny(family, **still), masking, task, FIVE).losses


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_computing_activations_again_changes_nothing(
    quantize: str, tiny: Tiny, masking: Any
) -> None:
    # Dropout is drawn again, too, and ranges follow a batch once.
    plain = replace(FIVE, quantize=quantize)
    again = replace(plain, gradient_checkpointing=True)
    one, other = (trained(tiny("bert"), masking, "masked", each) for each in (plain, again))
    assert one.losses == other.losses
    assert one.ranges == other.ranges


def test_a_model_that_cannot_compute_again_is_refused(tiny: Tiny, words: Any) -> None:
    model = tiny("gpt2")
    type(model).supports_gradient_checkpointing, before = False, True
    try:
        with pytest.raises(InputError, match="model tiny does not have it"):
            trained(model, words, "causal", replace(FIVE, gradient_checkpointing=True))
    finally:
        type(model).supports_gradient_checkpointing = before


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_bfloat16_has_masters_in_float32(quantize: str, tiny: Tiny, masking: Any) -> None:
    opened = assemble("tiny", "masked", tiny("bert"), masking)
    seen = set()
    opened.by_name["bert.encoder.layer.0.output.dense.weight"].module.register_forward_hook(
        lambda module, inputs, output: seen.add(output.dtype)
    )
    training = replace(FIVE, precision="bf16", quantize=quantize)
    examples = text_windows(masking, TEXT, 20, "masked")
    run = train(opened, prepare(opened, FINE, training), examples)
    # Rounded numbers of 8 bits and a scale do not fit bfloat16.
    assert seen == ({torch.bfloat16} if quantize == "none" else {torch.float32})
    assert {p.dtype for p in opened.model.parameters()} == {torch.float32}
    exact = trained(tiny("bert"), masking, "masked", replace(training, precision="fp32"))
    assert run.losses == pytest.approx(exact.losses, rel=0.02)
    assert run.losses != exact.losses
    some = opened.matrices[0].weight()
    assert not np.array_equal(some, torch.from_numpy(some).bfloat16().float().numpy())


def test_a_device_that_is_not_there_is_told(run: Callable[..., Any], tmp_path: Path) -> None:
    missing = "mps" if not torch.backends.mps.is_available() else "cuda"
    (tmp_path / "text").write_text(TEXT)
    status, _, said = run(
        "eval", "--model", tmp_path, "--text", tmp_path / "text", "--device", missing
    )
    assert status == 2
    assert f"--device is '{missing}', but PyTorch {torch.__version__} finds only cpu" in said
    with pytest.raises(InputError, match="device is 'tpu'"):
        find_device("tpu")
    assert find_device("cpu") == CPU


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA or AMD GPU")
@pytest.mark.parametrize("method", ["movement", "soft_movement", "l0", "head_gates", "lora_prune"])
def test_a_gpu_learns_what_the_cpu_learns(method: str, tiny: Tiny, words: Any) -> None:
    training = replace(FIVE, method=method)
    if method in ("l0", "head_gates"):  # their gates are drawn, on either device otherwise
        run = trained(tiny("gpt2", **NO_DROPOUT), words, "causal", training, "cuda")
        assert np.isfinite(run.losses).all()
        return
    one, other = (
        trained(tiny("gpt2", **NO_DROPOUT), words, "causal", training, device)
        for device in ("cpu", "cuda")
    )
    assert same(one, other, 1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA or AMD GPU")
def test_a_run_on_a_gpu_is_taken_up(tiny: Tiny, words: Any, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(step: str) -> None:
        if step.startswith("step 4 "):
            raise Killed

    def begin() -> tuple[OpenModel, Any, Examples]:
        opened = assemble("tiny", "causal", tiny("gpt2").to("cuda"), words)
        training = replace(FIVE, precision="bf16")
        return opened, prepare(opened, FINE, training), text_windows(words, TEXT, 20, "causal")

    whole = train(*begin())
    with pytest.raises(Killed):
        train(*begin(), tmp_path, 2, kill)
    taken_up = train(*begin(), tmp_path, 2)
    assert taken_up.resumed_at == 2
    assert taken_up.losses == pytest.approx(whole.losses, rel=1e-2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA or AMD GPU")
def test_a_gpu_measures_what_the_cpu_measures(tiny: Tiny, words: Any) -> None:
    from pruning.evaluation.perplexity import perplexity
    from pruning.statistics.calibration import calibrated

    def found(device: str) -> tuple[float, Any]:
        opened = assemble("tiny", "causal", tiny("gpt2").to(device), words)
        examples = text_windows(words, TEXT, 20, "causal")
        with calibrated(opened, examples, ("gram", "squared_gradient")) as known:
            grams = {name: (np.array(k.gram), k.squared_gradient) for name, k in known.items()}
        return perplexity(opened, TEXT, 20).loss, grams

    (one, grams), (other, theirs) = found("cpu"), found("cuda")
    assert one == pytest.approx(other, rel=1e-5)
    for name, (gram, square) in grams.items():
        assert np.allclose(gram, theirs[name][0], rtol=1e-4, atol=1e-4)
        assert np.allclose(square, theirs[name][1], rtol=1e-3, atol=1e-9)
