"""Are exported numbers those of the definition, and whole products the simulator's, bit for bit?"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from accel_sim.inputs.activations import Activations
from accel_sim.machines.load import load_machine
from pruning.data.examples import Examples
from pruning.models.opening import OpenModel
from pruning.quantization.export import calibrated, exported
from pruning.quantization.integer_inference import TOKENS, Recording, integer_products
from pruning.quantization.layers import quantisable
from pruning.quantization.qat import fake_quantized
from pruning.quantization.ranges import Range
from sparse_formats.errors import InputError
from sparse_formats.files import int8_file
from sparse_formats.files.int8_file import QuantizedMatrix
from tests.accel_sim.workloads import simulated

torch = pytest.importorskip("torch")

Reader = Callable[..., tuple[OpenModel, Examples]]
F32 = np.float32
FAMILIES = [("bert", "masked"), ("bert_classifier", "classify"), ("gpt2", "causal"), ("llama", "causal")]  # fmt: skip # noqa: E501


def logits(opened: OpenModel, examples: Examples) -> NDArray[Any]:
    """Of all examples in batches of 4, one under the other."""
    found = []
    with torch.inference_mode():
        for first in range(0, len(examples), 4):
            inputs = examples.batch(range(first, min(first + 4, len(examples))))
            inputs.pop("labels")
            found.append(opened.model(**inputs).logits.numpy())
    return np.concatenate([rows.reshape(-1, rows.shape[-1]) for rows in found])


@pytest.mark.parametrize(("family", "task"), FAMILIES[:3])
def test_exported_numbers_by_definition(family: str, task: str, reader: Reader) -> None:
    opened, examples = reader(family, task)
    ranges = calibrated(opened, examples)
    matrices = exported(opened, ranges)
    by_name = {m.name: m for m in opened.linears}
    assert [m.name for m in matrices] == [m.name for m in quantisable(opened)]
    for held in matrices:
        module: Any = by_name[held.name].module
        weight = by_name[held.name].weight()  # (out, in) also where GPT-2 stores (in, out)
        scale = float(F32(np.abs(weight).max() / 127))
        assert held.weight_scale == scale
        assert np.array_equal(held.weight, np.rint(weight / F32(scale)))
        assert np.array_equal(held.keep, weight != 0)
        seen = ranges[held.name].inputs
        low, high = min(seen.low, 0), max(seen.high, 0)
        assert held.input_scale == float(F32((high - low) / 255))
        assert held.input_zero_point == round(-low / held.input_scale)
        assert 0 <= held.input_zero_point <= 255
        own = 0
        if module.bias is not None:
            own = np.rint(module.bias.detach().numpy() / F32(held.input_scale * scale))
        shift = (128 - held.input_zero_point) * held.weight.astype(np.int64).sum(1)
        assert np.array_equal(held.bias, own + shift)
        assert (held.output is not None) == (ranges[held.name].outputs is not None)


def test_calibration_sees_the_smallest_and_the_largest(reader: Reader) -> None:
    opened, examples = reader("bert", "masked")
    seen: list[Any] = []
    module = opened.model.get_submodule("bert.encoder.layer.1.intermediate.dense")
    hook = module.register_forward_hook(lambda _, x, y: seen.append((x[0], y)))
    ranges = calibrated(opened, examples)["bert.encoder.layer.1.intermediate.dense.weight"]
    hook.remove()
    x, y = (torch.cat([both[i].flatten() for both in seen]) for i in (0, 1))
    assert ranges.inputs == Range(float(x.min()), float(x.max()))
    assert ranges.outputs == Range(float(y.min()), float(y.max()))


@pytest.mark.parametrize(("family", "task"), FAMILIES)
def test_sums_are_the_simulators_bit_for_bit(
    family: str, task: str, reader: Reader, tmp_path: Path
) -> None:
    opened, examples = reader(family, task)
    int8_file.write(tmp_path / "m.safetensors", exported(opened, calibrated(opened, examples)), {})
    matrices, _ = int8_file.read(tmp_path / "m.safetensors")
    recording = Recording()
    with integer_products(opened, matrices, recording):
        logits(opened, examples)
    recording.write(tmp_path)
    inputs, sums = (np.load(tmp_path / f"{name}.npz") for name in ("inputs", "sums"))
    machine = load_machine("tf_mvp", ["array.datatype=int8"])
    for held in matrices:
        x = inputs[held.name]
        assert x.dtype == np.int8 and x.shape[1] == held.weight.shape[1]
        assert sums[held.name].dtype == np.int32
        by_brute_force = x.astype(np.int64) @ held.weight.T.astype(np.int64)
        assert np.array_equal(sums[held.name], by_brute_force)
        assert by_brute_force.any()
        products: dict[str, NDArray[Any]] = {}
        (result,) = simulated(
            [held.masked],
            machine,
            Activations(len(x), recorded={held.name: x}),
            on_outputs=products.__setitem__,
        )
        assert result.product is not None and result.product["is_equal"]
        assert products[held.name].dtype == np.int32
        assert np.array_equal(products[held.name].T, sums[held.name])


def test_padding_is_not_recorded_and_rows_are_the_same_tokens(reader: Reader) -> None:
    opened, examples = reader("bert_classifier", "classify")
    matrices = exported(opened, calibrated(opened, examples))
    recording = Recording()
    with integer_products(opened, matrices, recording):
        logits(opened, examples)
    tokens = sum(len(row["input_ids"]) for row in examples.rows)
    assert tokens < TOKENS
    for name, pieces in recording.inputs.items():
        head = "pooler" in name or "classifier" in name
        assert sum(map(len, pieces)) == (len(examples) if head else tokens)
    query, key = (
        np.concatenate(recording.inputs[f"bert.encoder.layer.1.attention.self.{n}.weight"])
        for n in ("query", "key")
    )
    assert np.array_equal(query, key)
    again = Examples(list(examples.rows) * 3)
    recording = Recording()
    with integer_products(opened, matrices, recording):
        logits(opened, again)
    lengths = {name: sum(map(len, pieces)) for name, pieces in recording.inputs.items()}
    assert lengths["bert.encoder.layer.0.attention.self.query.weight"] == TOKENS


@pytest.mark.parametrize(("family", "task"), FAMILIES)
def test_whole_products_give_what_training_simulated(
    family: str, task: str, reader: Reader
) -> None:
    opened, examples = reader(family, task)
    plain = logits(opened, examples)
    with fake_quantized(opened) as layers:
        opened.model.train()
        opened.model(**examples.batch(range(8)))
        opened.model.eval()
        # In float64 no difference of a last bit becomes one of a whole step of rounding.
        opened.model.double()
        simulated = logits(opened, examples)
        opened.model.float()
        in_float32 = logits(opened, examples)
    matrices = exported(opened, {name: layer.ranges for name, layer in layers.items()})
    with integer_products(opened, matrices):
        found_in_float32 = logits(opened, examples)
        opened.model.double()
        found = logits(opened, examples)
        opened.model.float()
    largest = np.abs(simulated).max()
    assert np.abs(found - simulated).max() < 1e-6 * largest
    assert np.abs(found - plain).max() > 1e-4 * largest, "rounding changes something"
    # In float32 a rounding may fall the other way: by the median token nothing differs.
    apart = np.abs(found_in_float32 - in_float32).max(1)
    assert np.median(apart) < 1e-4 * largest
    assert np.array_equal(logits(opened, examples), plain)


def test_sums_that_might_not_fit_are_refused(reader: Reader) -> None:
    opened, examples = reader("bert", "masked")
    ranges = calibrated(opened, examples)
    name = opened.linears[0].name
    tiny = {**ranges, name: replace(ranges[name], inputs=Range(0.0, 1e-9))}
    with pytest.raises(InputError, match=rf"matrix {name}: row \d+ may sum up to .* 32 bits"):
        exported(opened, tiny)
    del tiny[name]
    with pytest.raises(InputError, match=f"no ranges of matrix {name}"):
        exported(opened, tiny)


def test_numbers_of_another_model_are_refused(reader: Reader) -> None:
    opened, examples = reader("bert", "masked")
    matrices = exported(opened, calibrated(opened, examples))

    def refused(model: OpenModel, file: tuple[QuantizedMatrix, ...], says: str) -> None:
        with pytest.raises(InputError, match=says), integer_products(model, file):
            pass

    refused(
        reader("bert", "masked", seed=3)[0], matrices, "give the model that they were made from"
    )
    cut = replace(matrices[0], weight=matrices[0].weight[1:])
    refused(opened, (cut,), "of the 8-bit weights is 31×32, but 32×32 in model tiny")
    refused(reader("gpt2", "causal")[0], matrices, "has no linear layer")


@pytest.mark.slow
def test_from_training_to_the_simulator_by_commands(
    reader: Reader, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from accel_sim.__main__ import COMMANDS as SIMULATOR
    from pruning.__main__ import COMMANDS
    from sparse_formats.terminal.command import call

    opened, _ = reader("bert", "masked")
    opened.model.save_pretrained(tmp_path / "model")
    assert opened.tokenizer is not None
    opened.tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "text").write_text(" ".join(f"w{(i * i + 3 * (i // 7)) % 43}" for i in range(400)))

    learned, file = tmp_path / "learned", tmp_path / "learned.safetensors"
    train = ("train", "--model", tmp_path / "model", "--text", tmp_path / "text")
    train = (*train, "--method", "recovery", "--quantize", "int8", "--steps", 10)
    train = (*train, "--length", 20, "--out", tmp_path / "mask.npz")
    with pytest.raises(InputError, match="--quantize needs --save"):
        call(COMMANDS, *train)
    call(COMMANDS, *train, "--save", learned, "--json", tmp_path / "train.json")
    quantize = ("quantize", "--model", learned, "--out", file)
    call(COMMANDS, *quantize, "--json", tmp_path / "quantize.json")
    account = json.loads((tmp_path / "quantize.json").read_text())
    ranges = json.loads((tmp_path / "train.json").read_text())["ranges"]
    assert account["ranges"] == "learned" and len(account["matrices"]) == len(ranges) == 13
    for entry in account["matrices"]:
        assert entry["input_range"] == ranges[entry["name"]]["inputs"]
    assert "bert.embeddings.word_embeddings.weight" in account["left_in_floating_point"]
    with pytest.raises(InputError, match="has learned its ranges"):
        call(COMMANDS, *quantize, "--text", tmp_path / "text")
    with pytest.raises(InputError, match=r"learned no ranges.*found 0"):
        call(COMMANDS, "quantize", "--model", tmp_path / "model", "--out", file)
    with pytest.raises(InputError, match=r"give the name of a \.safetensors file"):
        call(COMMANDS, "quantize", "--model", learned, "--out", tmp_path / "x.npz")
    with pytest.raises(InputError, match="it is part of the trained model"):
        call(COMMANDS, "quantize", "--model", learned, "--out", learned / "model.safetensors")

    recorded = tmp_path / "recorded"
    evaluate = ("eval", "--model", learned, "--text", tmp_path / "text", "--length", 20)
    call(
        COMMANDS, *evaluate, "--no-floors", "--quantized", file, "--record", recorded, "--json",
        tmp_path / "eval.json",
    )  # fmt: skip
    figures = json.loads((tmp_path / "eval.json").read_text())["figures"]
    assert list(figures) == ["dense", "quantized"]
    assert 0.8 < figures["quantized"]["per_token"] / figures["dense"]["per_token"] < 1.25
    assert figures["quantized"]["per_token"] != figures["dense"]["per_token"]
    with pytest.raises(InputError, match="floating-point weights are needed"):
        call(COMMANDS, *evaluate, "--mask", file)

    call(
        SIMULATOR, "run", "--mask", file, "--activations", recorded / "inputs.npz", "--outputs",
        tmp_path / "products.npz", "--json", tmp_path / "report.json",
    )  # fmt: skip
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["accelerator"]["array"]["datatype"]["value"] == "int8"
    assert report["total"]["product_is_equal"] is True
    products, sums = np.load(tmp_path / "products.npz"), np.load(recorded / "sums.npz")
    assert len(products.files) == 12
    for name in products.files:
        assert products[name].shape[0] == TOKENS
        assert np.array_equal(products[name], sums[name])
