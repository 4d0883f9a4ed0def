"""Do layers train with rounded numbers, keep their zeros, and go on as if never interrupted?"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pruning.data.examples import Examples, step_numbers
from pruning.models.masking import zeros_of
from pruning.models.opening import OpenModel
from pruning.quantization.layers import quantisable
from pruning.quantization.qat import fake_quantized
from pruning.quantization.ranges import RANGES, read_ranges, write_ranges
from pruning.recipe import Recipe
from pruning.training.loop import Run, train
from pruning.training.pruner import prepare
from pruning.training.settings import Training
from sparse_formats.errors import InputError

torch = pytest.importorskip("torch")

Reader = Callable[..., tuple[OpenModel, Examples]]
FINE = Recipe(pattern="fine", sparsity=0.75)
LOCKED = Training(
    steps=12, batch=4, warmup=2, learning_rate=1e-2, weight_decay=0.1,
    method="recovery", distill=0.5, quantize="int8",
)  # fmt: skip
F32 = np.float32


def rounded_product(
    x: Any, w: Any, b: Any, inputs: tuple[float, float], outputs: tuple[float, float] | None
) -> Any:
    """The definition, in NumPy's float64 but for the scales: independent of the code tested."""
    s_w = float(F32(np.abs(w).max() / 127))
    s_x = float(F32((max(inputs[1], 0) - min(inputs[0], 0)) / 255))
    z = round(-min(inputs[0], 0) / s_x)
    q_w = np.clip(np.rint(w / s_w), -128, 127)
    q_x = np.clip(np.rint(x / s_x) + z, 0, 255)
    y = (q_x - z) @ q_w.T * (s_x * s_w) + np.rint(b / (s_x * s_w)) * (s_x * s_w)
    if outputs is None:
        return y
    s_y = float(F32((max(outputs[1], 0) - min(outputs[0], 0)) / 255))
    z_y = round(-min(outputs[0], 0) / s_y)
    return (np.clip(np.rint(y / s_y) + z_y, 0, 255) - z_y) * s_y


def test_a_layer_computes_as_defined_and_its_ranges_rest_in_evaluation(reader: Reader) -> None:
    opened, _ = reader("bert", "masked")
    opened.model.double()
    x = torch.randn(3, 5, 32, dtype=torch.float64)
    for end in ("layer.0.attention.self.query", "layer.0.attention.output.dense"):
        module: Any = opened.model.get_submodule(f"bert.encoder.{end}")
        with fake_quantized(opened) as layers:
            ranges = layers[f"bert.encoder.{end}.weight"].ranges
            module.train()
            module(x)
            module(2 * x)
            low, high = float(x.min()), float(x.max())
            limits = (1.01 * low, 1.01 * high)
            assert (ranges.inputs.low, ranges.inputs.high) == pytest.approx(limits)
            module.eval()
            found = module(4 * x).detach().numpy()
            assert (ranges.inputs.low, ranges.inputs.high) == pytest.approx(limits)
        outputs = None if ranges.outputs is None else (ranges.outputs.low, ranges.outputs.high)
        assert (outputs is None) == end.endswith("output.dense")
        w, b = (p.detach().numpy() for p in (module.weight, module.bias))
        expected = rounded_product(4 * x.numpy(), w, b, limits, outputs)
        assert np.allclose(found, expected, rtol=0, atol=1e-12)
        assert not np.allclose(module(4 * x).detach().numpy(), expected, atol=1e-3)


def test_every_layer_is_rounded_but_not_an_embedding(reader: Reader) -> None:
    masked = [m.name for m in quantisable(reader("bert", "masked")[0])]
    assert len(masked) == 13 and "cls.predictions.transform.dense.weight" in masked
    assert "cls.predictions.decoder.weight" not in masked  # tied to the embedding
    classifier = [m.name for m in quantisable(reader("bert_classifier", "classify")[0])]
    assert classifier[-2:] == ["bert.pooler.dense.weight", "classifier.weight"]
    assert len(quantisable(reader("gpt2", "causal")[0])) == 8


@pytest.mark.parametrize(
    ("family", "task"),
    [
        ("bert", "masked"),
        pytest.param("gpt2", "causal", marks=pytest.mark.slow),
        pytest.param("llama", "causal", marks=pytest.mark.slow),
    ],
)
def test_training_with_rounding_learns_and_keeps_zeros(
    family: str, task: str, reader: Reader
) -> None:
    opened, examples = reader(family, task)
    zeros = [matrix.weight() == 0 for matrix in opened.matrices]
    run = train(opened, prepare(opened, FINE, LOCKED, zeros_of(opened)), examples)
    assert run.losses[-1] < run.losses[0]
    assert list(run.ranges) == [m.name for m in quantisable(opened)]
    for matrix, zero in zip(opened.matrices, zeros, strict=True):
        assert np.array_equal(matrix.weight() == 0, zero)
    # Afterwards it is a plain model again.
    assert not any("forward" in vars(matrix.module) for matrix in opened.linears)
    without = reader(family, task)[0]
    plain = replace(LOCKED, quantize="none")
    other = train(without, prepare(without, FINE, plain, zeros_of(without)), examples)
    assert other.losses[0] != run.losses[0] and not other.ranges


def test_gradual_pruning_goes_with_rounding(reader: Reader) -> None:
    opened, examples = reader("bert", "masked")
    training = replace(LOCKED, method="gradual_magnitude")
    run = train(opened, prepare(opened, FINE, training), examples)
    assert [m.density for m in run.masks.matrices] == pytest.approx([0.25] * 12, abs=1e-3)


@pytest.mark.slow
def test_a_run_taken_up_ends_in_the_same_weights_and_ranges(reader: Reader, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def run(folder: Path | None, last: int = 99, name: str = "tiny") -> Run:
        opened, examples = reader("bert", "masked")
        teacher = replace(reader("bert", "masked", seed=4)[0], name=name)
        training = replace(
            LOCKED, method="gradual_magnitude", learning_rate_schedule="rewind", every=3, settle=1
        )

        def kill(step: str) -> None:
            if step.startswith(f"step {last} "):
                raise Killed

        torch.manual_seed(last)
        pruner = prepare(opened, FINE, training)
        return train(opened, pruner, examples, folder, 3, kill, teacher)

    whole = run(None)
    with pytest.raises(Killed):
        run(tmp_path, last=8)
    with pytest.raises(InputError, match="belongs to another run"):
        run(tmp_path, name="another")
    taken_up = run(tmp_path)
    assert taken_up.resumed_at == 6
    assert taken_up.losses == whole.losses
    assert taken_up.ranges == whole.ranges
    for one, other in zip(taken_up.masks.matrices, whole.masks.matrices, strict=True):
        assert one.weight is not None and other.weight is not None
        assert np.array_equal(one.weight, other.weight)


def test_ranges_keep_exactly_in_their_file(reader: Reader, tmp_path: Path) -> None:
    opened, examples = reader("bert", "masked")
    run = train(opened, prepare(opened, FINE, LOCKED, zeros_of(opened)), examples)
    assert read_ranges(tmp_path) is None
    write_ranges(tmp_path, run.ranges)
    assert read_ranges(tmp_path) == run.ranges
    (tmp_path / RANGES).write_text('{"schema_version": 1, "matrices": {"a": {"inputs": [1]}}}')
    with pytest.raises(InputError, match=r"quantization\.json: not a file of ranges"):
        read_ranges(tmp_path)
    # A model without ranges must not be saved beside those of another.
    write_ranges(tmp_path, {})
    assert read_ranges(tmp_path) is None


@pytest.mark.parametrize(
    ("family", "task", "quantize", "parts"),
    [("bert", "masked", "int8", 1), ("gpt2", "causal", "none", 2)],
)
def test_the_trainer_of_transformers_rounds_and_distils_as_our_loop(
    family: str, task: str, quantize: str, parts: int, reader: Reader, tmp_path: Path
) -> None:
    pytest.importorskip("accelerate")
    from transformers import Trainer, TrainingArguments

    from pruning.training.trainer_callback import trainer_callback

    # Neither clips: the Trainer would clip what the weights to be dropped add to the norm, too.
    training = replace(
        LOCKED, steps=3, batch=4, warmup=0, initial_warmup=0, final_warmup=1, clip=1e6,
        weight_decay=0.0, method="gradual_magnitude", distill=0.7, quantize=quantize,
    )  # fmt: skip
    teacher = reader("bert", "masked", seed=4)[0] if family == "bert" else None
    runs = []
    for is_ours in (True, False):
        opened, examples = reader(family, task)
        for module in opened.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0  # type: ignore[assignment]
        pruner = prepare(opened, FINE, training)
        if is_ours:
            run = train(opened, pruner, examples, teacher=teacher)
            runs.append((run.masks, run.ranges))
            continue
        order = np.concatenate([step_numbers(len(examples), 4, step, 0) for step in range(3)])
        rows = [{k: torch.tensor(v) for k, v in examples.rows[i].items()} for i in order]
        callback = trainer_callback(pruner, teacher)
        arguments = TrainingArguments(
            str(tmp_path),
            max_steps=3,
            per_device_train_batch_size=4 // parts,
            gradient_accumulation_steps=parts,
            learning_rate=1e-2,
            max_grad_norm=1e6,
            report_to=[],
            save_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
            dataloader_pin_memory=False,
            train_sampling_strategy="sequential",
        )
        given: Any = {"train_dataset": rows, "callbacks": [callback]}
        Trainer(opened.model, arguments, **given).train()
        runs.append((callback.masks, callback.ranges))
        assert "forward" not in vars(opened.model)
    (ours, our_ranges), (theirs, their_ranges) = runs
    agree = []
    for one, other in zip(ours.matrices, theirs.matrices, strict=True):
        assert one.weight is not None and other.weight is not None
        # A step of Adam is 1e-2 for nearly every weight, whatever its gradient.
        agree.append(np.mean(np.abs(one.weight - other.weight) < 1e-4))
    assert np.mean(agree) > 0.98
    assert list(our_ranges) == list(their_ranges)
    for name, ranges in our_ranges.items():
        expected = (ranges.inputs.low, ranges.inputs.high)
        found = their_ranges[name].inputs
        assert (found.low, found.high) == pytest.approx(expected, rel=1e-2)


def test_the_trainer_has_settings_of_its_own(reader: Reader) -> None:
    from pruning.training.trainer_callback import trainer_callback

    opened, _ = reader("bert", "masked")
    for name, value in (("precision", "bf16"), ("accumulate", 2)):
        pruner = prepare(opened, FINE, replace(LOCKED, **{name: value}), zeros_of(opened))
        with pytest.raises(InputError, match=f"{name} is .*set in TrainingArguments"):
            trainer_callback(pruner)
