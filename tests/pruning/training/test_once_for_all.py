"""Do schedule, rewinding, teacher and pattern lock follow Prune Once for All?"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pruning.data.examples import Examples, text_windows
from pruning.models.masking import densities_of, matched, zeros_of
from pruning.models.opening import OpenModel, assemble, open_model
from pruning.recipe import Recipe, read_recipe
from pruning.training import loop
from pruning.training.distillation import check_teacher, distilled
from pruning.training.loop import train
from pruning.training.pruner import prepare
from pruning.training.schedule import Schedule
from pruning.training.settings import Training, read_training
from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_masks

torch = pytest.importorskip("torch")

Tiny = Callable[..., Any]
TEXT = " ".join(f"w{(i * i + 3 * (i // 7)) % 43}" for i in range(400))
FINE = Recipe(pattern="fine", sparsity=0.75, exclude=("cls",))
SHORT = Training(steps=12, batch=4, warmup=2, learning_rate=1e-2, method="gradual_magnitude")


@pytest.fixture
def masking(words: Any) -> Any:
    """The made-up words, of which the last is the mask token."""
    words.add_special_tokens({"mask_token": "w43"})
    return words


def reader(model: Any, tokenizer: Any, length: int = 20) -> tuple[OpenModel, Examples]:
    opened = assemble("tiny", "masked", model, tokenizer, exclude=FINE.exclude)
    return opened, text_windows(tokenizer, TEXT, length, "masked")


def sparse(model: Any, share: float = 0.5) -> Any:
    """`model` with the smallest weights of each encoder matrix set to 0."""
    for matrix in assemble("tiny", "masked", model, None).matrices:
        weight = matrix.view
        weight[weight.abs() < weight.abs().quantile(share)] = 0
    return model


def test_the_rewinding_learning_rate_by_hand() -> None:
    # N 20, w 2, t0 4, t1 12, f 3: P 8, U 12, and each step takes 1/(U − w) = 0.1.
    schedule = Schedule(20, 2, 2, 4, 0, 0.9, rewind=3)
    assert (schedule.begin, schedule.end, schedule.outside) == (4, 12, 12)
    warm_up = [0, 0.5]
    before = [1.0, 0.9]
    teeth = [0.8, 0.7, 0.6, 0.8, 0.7, 0.6, 0.8, 0.7]
    after = [0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]
    found = [schedule.learning_rate(t) for t in range(21)]
    assert found == pytest.approx([*warm_up, *before, *teeth, *after], abs=1e-12)


def test_the_rewinding_learning_rate_with_a_ramp_from_the_first_step() -> None:
    # As published: N 16, w 2, t0 0, t1 8, f 4: U 8, and a step takes 1/6; teeth rise above 1.
    schedule = Schedule(16, 2, 0, 4, 0, 0.9, rewind=4)
    sixths = [0, 3, 6, 5, 8, 7, 6, 5, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    found = [6 * schedule.learning_rate(t) for t in range(17)]
    assert found == pytest.approx(sixths, abs=1e-12)


def test_the_published_schedule_can_be_said() -> None:
    published = Training(
        steps=100_000, warmup=1000, initial_warmup=0, final_warmup=50, settle=30, every=1000,
        method="gradual_magnitude", learning_rate_schedule="rewind",
    ).schedule(0.9)  # fmt: skip
    assert (published.begin, published.end) == (0, 50_000)
    # 0.9·(1 − (1 − t/50,000)³)
    asked = {0: 0, 10_000: 0.4392, 25_000: 0.7875, 50_000: 0.9, 80_000: 0.9}
    assert {t: published.sparsity(t) for t in asked} == pytest.approx(asked)
    assert [published.is_settled(t) for t in (50_000, 79_999, 80_000)] == [False, False, True]
    assert published.learning_rate(3000) == pytest.approx(50 / 49)


def test_the_optimiser_gets_the_rewinding_rate(
    tiny: Tiny, masking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[float] = []

    class Noted(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            used.extend({group["lr"] for group in self.param_groups})
            return super().step(closure)

    monkeypatch.setattr(loop, "adamw", lambda model, rate, decay: Noted(model.parameters(), rate))
    opened, examples = reader(tiny("bert"), masking)
    training = replace(SHORT, every=3, learning_rate_schedule="rewind")
    # N 12, w 2, t0 2, t1 8, f 3: U 6, a step takes 1/4.
    train(opened, prepare(opened, FINE, training), examples)
    assert used == pytest.approx(
        [1e-2 * r for r in (0, 0.5, 1, 0.75, 0.5, 1, 0.75, 0.5, 1, 0.75, 0.5, 0.25)]
    )


def test_the_mask_moves_at_the_last_sparsity_until_it_settles(tiny: Tiny, masking: Any) -> None:
    # t1 = 16 − 4·2 = 8, t2 = 8 + 2·2 = 12, masks at 8, 10 and 12.
    opened, _ = reader(tiny("bert"), masking)
    training = replace(SHORT, steps=16, final_warmup=4, settle=2, every=2)
    pruner = prepare(opened, FINE, training)
    kept = []
    for step in range(16):
        for weight in pruner.dense:  # another ranking at every step
            weight.normal_()
        for matrix in opened.matrices:
            matrix.parameter.grad = torch.zeros_like(matrix.parameter)
        pruner.gradients()
        pruner.step()
        kept.append([keep.clone() for keep in pruner.keep])
        assert pruner.is_locked == (step + 1 >= 12)
    changed = [
        step + 1 for step in range(8, 16) if not all(map(torch.equal, kept[step], kept[step - 1]))
    ]
    assert changed == [10, 12]
    for masks in kept[8:]:
        assert [float(keep.float().mean()) for keep in masks] == pytest.approx(
            [0.25] * len(masks), abs=1e-3
        )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"settle": 2.5}, "settle 2.5 is longer than what follows the ramp"),
        (
            {"learning_rate_schedule": "rewind", "initial_warmup": 0, "final_warmup": 1},
            "more than the 2 steps of warm-up must lie outside the ramp, found 2",
        ),
        ({"method": "l0", "settle": 1}, "method l0 makes its mask once"),
        (
            {"method": "recovery", "learning_rate_schedule": "rewind"},
            "recovery makes no new masks",
        ),
    ],
)
def test_knobs_that_contradict_each_other(
    changes: dict[str, Any], says: str, tiny: Tiny, masking: Any
) -> None:
    opened, _ = reader(sparse(tiny("bert")), masking)
    masks = zeros_of(opened) if changes.get("method") == "recovery" else None
    with pytest.raises(InputError, match=says):
        prepare(opened, FINE, replace(SHORT, **changes), masks)


def test_every_token_but_padding_is_an_example(tiny: Tiny) -> None:
    student, teacher = tiny("bert"), tiny("bert", seed=5)
    inputs = {
        "input_ids": torch.tensor([[2, 7, 9, 11, 3], [2, 8, 3, 0, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
        "labels": torch.tensor([[-100, -100, 5, -100, -100], [-100] * 5]),
    }
    ours, theirs = student(**inputs), teacher(**inputs)
    found = float(distilled(ours.loss, ours, theirs, inputs, 0.5, 2.0).detach())
    p, q = (
        torch.softmax(x.logits.detach().double()[inputs["attention_mask"].bool()] / 2, -1)
        for x in (theirs, ours)
    )
    assert len(p) == 8
    divergence = (p * (p / q).log()).sum(-1).mean()
    assert found == pytest.approx((0.5 * ours.loss + 0.5 * 4 * divergence).item(), rel=1e-4)


def test_labels_do_not_count_where_only_the_teacher_does(tiny: Tiny) -> None:
    student, teacher = tiny("bert"), tiny("bert", seed=5)
    inputs = {"input_ids": torch.tensor([[2, 7, 9, 3]]), "labels": torch.full((1, 4), -100)}
    ours, theirs = student(**inputs), teacher(**inputs)
    assert torch.isnan(ours.loss), "no token has a label"
    loss = distilled(ours.loss, ours, theirs, inputs, 1.0, 2.0)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in student.parameters() if p.grad is not None)


def test_does_a_regression_learn_its_teachers_number() -> None:
    ours, theirs = (
        SimpleNamespace(logits=torch.tensor(values), loss=torch.tensor(4.0))
        for values in ([[1.0], [3.0]], [[2.0], [5.0]])
    )
    # Half of the labels' 4 and half of the mean of 1² and 2².
    assert float(distilled(ours.loss, ours, theirs, {}, 0.5, 2.0)) == pytest.approx(2 + 1.25)


def test_a_teacher_teaches_and_stays_as_it_is(tiny: Tiny, masking: Any) -> None:
    opened, examples = reader(sparse(tiny("bert")), masking)
    # Another family, which takes no token types.
    teacher, _ = reader(tiny("distilbert", seed=5), masking)
    for parameter in teacher.model.parameters():
        parameter.data *= 3
    before = [parameter.clone() for parameter in teacher.model.parameters()]
    rows = [{**row, "token_type_ids": [0] * len(row["input_ids"])} for row in examples.rows]
    ids = {"input_ids": torch.tensor([row["input_ids"] for row in rows[:4]])}

    def distance() -> float:
        with torch.no_grad():
            p, q = (torch.log_softmax(x.model(**ids).logits, -1) for x in (teacher, opened))
        return float((p.exp() * (p - q)).sum(-1).mean())

    training = replace(SHORT, method="recovery", distill=1.0, steps=30, temperature=1.0)
    pruner = prepare(opened, FINE, training, zeros_of(opened))
    first = distance()
    train(opened, pruner, Examples(rows), teacher=teacher)
    assert distance() < 0.7 * first
    assert all(map(torch.equal, before, teacher.model.parameters()))


def test_who_cannot_be_a_teacher(tiny: Tiny, masking: Any) -> None:
    from transformers import PreTrainedTokenizerFast

    student, examples = reader(tiny("bert"), masking)
    causal = assemble("gpt", "causal", tiny("gpt2"), masking)
    with pytest.raises(InputError, match="teacher gpt is for causal, but tiny is for masked"):
        check_teacher(student, causal, 20)
    other = PreTrainedTokenizerFast(tokenizer_object=masking.backend_tokenizer)
    other.add_tokens(["novel"])
    with pytest.raises(InputError, match="has another vocabulary"):
        check_teacher(student, replace(student, tokenizer=other), 20)
    wider, _ = reader(tiny("bert", vocab_size=50), masking)
    with pytest.raises(InputError, match="has 50 tokens, but tiny has 48 tokens"):
        check_teacher(student, wider, 20)
    shorter, _ = reader(tiny("bert", max_position_embeddings=16), masking, length=12)
    with pytest.raises(InputError, match="reads at most 16 tokens, but the longest example has 20"):
        check_teacher(student, shorter, 20)
    named = {"id2label": {0: "no", 1: "yes"}, "label2id": {"no": 0, "yes": 1}}
    one, two = (
        assemble(name, "classify", tiny("bert_classifier", **labels), masking)
        for name, labels in (("one", named), ("two", {}))
    )
    with pytest.raises(InputError, match="two has 0 LABEL_0, 1 LABEL_1, but one has 0 no, 1 yes"):
        check_teacher(one, two, 20)
    with pytest.raises(InputError, match="teacher tiny has no effect"):
        train(student, prepare(student, FINE, SHORT), examples, teacher=student)


def test_a_model_locks_its_own_zeros(tiny: Tiny, masking: Any) -> None:
    opened, examples = reader(sparse(tiny("bert")), masking)
    zeros = [matrix.weight() == 0 for matrix in opened.matrices]
    assert 0.4 < np.mean([z.mean() for z in zeros]) < 0.6
    training = replace(SHORT, method="recovery", steps=10, weight_decay=0.5)
    run = train(opened, prepare(opened, FINE, training, zeros_of(opened)), examples)
    for matrix, zero, mask in zip(opened.matrices, zeros, run.masks.matrices, strict=True):
        assert np.array_equal(matrix.weight() == 0, zero)
        assert np.array_equal(mask.keep, ~zero)
    with pytest.raises(InputError, match="none of the 12 matrices of model tiny has a zero"):
        zeros_of(reader(tiny("bert"), masking)[0])


def test_both_densities_by_hand(tiny: Tiny, masking: Any) -> None:
    opened, _ = reader(sparse(tiny("bert")), masking)
    masks = zeros_of(opened)
    # 2 layers of 4 matrices 32×32 and 2 of 64×32.
    pruned = 2 * (4 * 32 * 32 + 2 * 64 * 32)
    zeros = sum(int((m.weight() == 0).sum()) for m in opened.matrices)
    every = sum(p.numel() for p in opened.model.parameters())
    found = densities_of(opened, masks)
    assert found == pytest.approx({"linear": 1 - zeros / pruned, "model": 1 - zeros / every})


def test_zeros_of_the_padding_token_are_not_in_the_way(
    tiny: Tiny, masking: Any, tmp_path: Path
) -> None:
    model = sparse(tiny("bert"))
    embedding = model.bert.embeddings.word_embeddings.weight.data
    embedding[0] = 0
    model.save_pretrained(tmp_path / "model")
    masks = read_masks(tmp_path / "model")
    assert not next(m for m in masks.matrices if "word_embeddings" in m.name).keep[0].any()
    opened = open_model(tmp_path / "model")
    # The tied output matrix is in the file once, as the embedding; the head is whole.
    assert len(matched(opened, masks)) == 12
    embedding = opened.model.get_parameter("bert.embeddings.word_embeddings.weight").data
    embedding[0] = 1  # now the mask would drop something, and nothing can
    with pytest.raises(InputError, match="word_embeddings"):
        matched(opened, masks)


@pytest.mark.slow
def test_a_sparse_language_model_becomes_a_classifier(
    tiny: Tiny, masking: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    from pruning.__main__ import COMMANDS
    from sparse_formats.terminal.command import call

    sparse(tiny("bert")).save_pretrained(tmp_path / "model")
    masking.save_pretrained(tmp_path / "model")
    rows = [f"w{i} w{3 * i % 43}\t{('no', 'yes')[i % 2]}\n" for i in range(24)]
    (tmp_path / "table.tsv").write_text("sentence\tlabel\n" + "".join(rows))

    def tuned(name: str, *words: object) -> Any:
        given = [
            "train", "--table", tmp_path / "table.tsv", "--steps", 10, "--batch", 4, "--length",
            12, "--out", tmp_path / f"{name}.npz", "--save", tmp_path / name, "--json",
            tmp_path / f"{name}.json", *words,
        ]  # fmt: skip
        call(COMMANDS, *given)
        return open_model(tmp_path / name)

    model = ("--model", tmp_path / "model", "--new-head")
    teacher = tuned("teacher", *model, "--method", "gradual_magnitude", "--sparsity", 0)
    lock = (*model, "--method", "recovery", "--teacher", tmp_path / "teacher", "--distill", 1)
    first, again, other = (
        tuned(f"seed{seed}-{i}", *lock, "--seed", seed) for i, seed in enumerate((0, 0, 1))
    )
    mother = open_model(tmp_path / "model")
    for name, matrix in mother.by_name.items():
        zero = matrix.weight() == 0
        assert np.array_equal(first.by_name[name].weight() == 0, zero)
        assert not np.array_equal(teacher.by_name[name].weight() == 0, zero)
    pooler = [x.model.get_parameter("bert.pooler.dense.weight") for x in (first, again, other)]
    assert torch.equal(pooler[0], pooler[1]) and not torch.equal(pooler[0], pooler[2])
    account = json.loads((tmp_path / "seed0-0.json").read_text())
    assert account["teacher"]["source"] == str(tmp_path / "teacher")
    assert account["mask"] == {"source": str(tmp_path / "model")}
    assert account["density"]["linear"] == pytest.approx(0.5, abs=0.01)
    assert 0.5 < account["density"]["model"] < 1
    assert "of the whole model" in capsys.readouterr().out
    with pytest.raises(InputError, match="is the input"):
        tuned("model", *lock)


def test_the_recipes_of_the_document_are_recipes(tmp_path: Path) -> None:
    document = Path(__file__).parents[3] / "docs" / "prune_once_for_all.md"
    recipes = re.findall(r"^```toml\n(.*?)^```$", document.read_text("utf-8"), re.M | re.S)
    assert len(recipes) == 4
    file = tmp_path / "recipe.toml"
    for text in recipes:
        file.write_text(text)
        recipe, training = read_recipe(file), read_training(file)
        assert recipe.sparsity is not None
        training.schedule(recipe.sparsity)
    file.write_text(recipes[0])
    published = read_training(file).schedule(0.9)
    assert (published.begin, published.end, published.rewind) == (0, 50_000, 1000)
    assert published.is_settled(80_000) and not published.is_settled(79_999)
