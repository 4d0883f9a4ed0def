"""Are the collected statistics those of their definitions, for every layout and memory limit?"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pruning.__main__ import COMMANDS
from pruning.data.examples import Examples, text_windows
from pruning.models.opening import OpenModel, assemble
from pruning.statistics.calibration import calibrated, in_rounds, readers
from pruning.statistics.matrix_statistics import STATISTICS, read_statistics
from sparse_formats.errors import InputError
from sparse_formats.terminal.command import call
from tests.tiers import slow

torch = pytest.importorskip("torch")

Tiny = Callable[..., Any]
TEXT = " ".join(f"w{(5 * i * i + i) % 44}" for i in range(120))


def causal(model: Any, words: Any) -> tuple[OpenModel, Examples]:
    return assemble("tiny", "causal", model, words), text_windows(words, TEXT, 20, "causal")


def read_by_hand(opened: OpenModel, examples: Examples, name: str) -> Any:
    """All tokens that the matrix reads, (tokens, in), float64."""
    rows: list[Any] = []
    module = opened.by_name[name].module
    width = opened.by_name[name].shape[1]
    handle = module.register_forward_pre_hook(
        lambda _, x: rows.append(x[0].double().reshape(-1, width))
    )
    with torch.no_grad():
        for number in range(len(examples)):
            opened.model(**examples.batch([number]))
    handle.remove()
    return torch.cat(rows).numpy()


@pytest.mark.parametrize("family", ["gpt2", *slow("llama", "opt")])
@pytest.mark.parametrize("memory", [1, *slow(1e9)])
def test_inputs_are_summed_over_all_tokens(
    family: str, memory: float, tiny: Tiny, words: Any
) -> None:
    opened, examples = causal(tiny(family), words)
    needs = ("gram", "input_squares")
    with calibrated(opened, examples, needs, batch=4, memory_bytes=memory) as found:
        for matrix in opened.matrices:
            x = read_by_hand(opened, examples, matrix.name)
            known = found[matrix.name]
            assert known.tokens == len(x) == 120
            assert known.gram == pytest.approx(x.T @ x, rel=1e-4, abs=1e-6)
            assert known.input_squares == pytest.approx((x * x).sum(0), rel=1e-4)
            assert known.gradient is None


def test_matrices_of_one_input_share_one_sum(tiny: Tiny, words: Any) -> None:
    opened, examples = causal(tiny("llama"), words)
    groups = readers(opened, examples)
    assert [len(group) for group in groups] == [3, 1, 2, 1] * 2
    with calibrated(opened, examples, ("gram",)) as found:
        q, k, v = opened.matrices[:3]
        assert found[q.name].gram is found[k.name].gram is found[v.name].gram
    # 32² doubles are 8 kB; the last of each layer is 48² doubles.
    assert [len(some) for some in in_rounds(groups, 2 * 8 * 32**2)] == [2, 1, 1, 2, 1, 1]


def test_shared_layers_count_every_pass(tiny: Tiny, words: Any) -> None:
    words.add_special_tokens({"mask_token": "w0"})
    opened = assemble("tiny", "masked", tiny("albert"), words)
    examples = text_windows(words, TEXT, 20, "masked")
    with calibrated(opened, examples, ("input_squares",)) as found:
        assert {known.tokens for known in found.values()} == {2 * 120}


@pytest.mark.parametrize("family", ["gpt2", "opt"])
def test_gradients_are_the_slopes_of_the_loss(family: str, tiny: Tiny, words: Any) -> None:
    opened, examples = causal(tiny(family).double(), words)

    def losses() -> Any:
        # In float64, which transformers' own loss is not.
        each = []
        for number in range(len(examples)):
            ids = examples.batch([number])["input_ids"]
            with torch.no_grad():
                logits = opened.model(ids).logits
            each.append(torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:]).item())
        return np.array(each)

    with calibrated(opened, examples, ("gradient", "squared_gradient")) as found:
        for matrix in (opened.matrices[1], opened.matrices[-1]):
            view, step = matrix.view, 1e-5
            view[3, 5] += step
            up = losses()
            view[3, 5] -= 2 * step
            slopes = (up - losses()) / (2 * step)
            view[3, 5] += step
            known = found[matrix.name]
            assert known.gradient is not None and known.squared_gradient is not None
            assert known.gradient[3, 5] == pytest.approx(slopes.mean(), rel=1e-4)
            assert known.squared_gradient[3, 5] == pytest.approx((slopes**2).mean(), rel=1e-4)
    assert all(parameter.requires_grad for parameter in opened.model.parameters())


def test_padding_is_not_counted(tiny: Tiny, words: Any) -> None:
    opened = assemble("tiny", "encode", tiny("bert_encoder"), words)
    rows = [dict(words(text)) for text in ("w1", "w2 w3 w4 w5 w6", "w7 w8")]
    with calibrated(opened, Examples(rows), ("gram",), batch=3) as together:
        pass
    with calibrated(opened, Examples(rows), ("gram",), batch=1) as alone:
        pass
    for name, known in together.items():
        assert known.tokens == 8
        assert known.gram == pytest.approx(alone[name].gram, rel=1e-4, abs=1e-5)


def test_no_loss_no_gradient(tiny: Tiny, words: Any) -> None:
    opened = assemble("tiny", "encode", tiny("bert_encoder"), words)
    examples = text_windows(words, TEXT, 20, "encode")
    with (
        pytest.raises(InputError, match="there is no loss and no gradient"),
        calibrated(opened, examples, ("gradient",)),
    ):
        pass


@pytest.mark.parametrize("needs", [("gradient",), ("gram",)])
def test_a_matrix_that_does_nothing_is_named(
    needs: tuple[str, ...], tiny: Tiny, words: Any
) -> None:
    from pruning.recipe import Recipe
    from pruning.training.pruner import prepare
    from pruning.training.settings import Training

    model = tiny("llama")
    model.model.layers[0].spare = torch.nn.Linear(8, 8)
    opened, examples = causal(model, words)
    with (
        pytest.raises(InputError, match=r"layers\.0\.spare\.weight is not used.*exclude"),
        calibrated(opened, examples, needs),
    ):
        pass
    pruner = prepare(opened, Recipe("fine", 0.5), Training())
    opened.model(**examples.batch([0])).loss.backward()
    with pytest.raises(InputError, match=r"layers\.0\.spare\.weight does not affect the loss"):
        pruner.gradients()


def test_the_command_writes_what_scores_read(
    tiny: Tiny, words: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny("gpt2")
    model.save_pretrained(tmp_path / "model")
    words.save_pretrained(tmp_path / "model")
    (tmp_path / "text").write_text(TEXT)
    given = ["calibrate", "--model", tmp_path / "model", "--text", tmp_path / "text"]
    given += ["--length", 20, "--samples", 4, "--out", tmp_path / "calib.npz"]
    call(COMMANDS, *given)
    assert "8 matrices, 4 examples, 80 tokens" in capsys.readouterr().out
    opened = assemble("tiny", "causal", model, words)
    weights = {matrix.name: matrix.weight() for matrix in opened.matrices}
    for name, known in read_statistics(tmp_path / "calib.npz", weights):
        assert known.tokens == 80
        assert all(getattr(known, field) is not None for field in STATISTICS), name
    given = [str(word) for word in [*given, "--score", "magnitude"]]
    with pytest.raises(InputError, match="nothing to calibrate"):
        call(COMMANDS, *given)
