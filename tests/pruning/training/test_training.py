"""Does pruning while training follow its definitions, meet its sparsity and keep its zeros?"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pruning.data.examples import Examples, step_numbers, text_windows
from pruning.models.opening import OpenModel, assemble
from pruning.recipe import Recipe
from pruning.training.loop import train
from pruning.training.pruner import Pruner, prepare
from pruning.training.schedule import Schedule
from pruning.training.settings import Training, read_training
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
from tests.tiers import slow

torch = pytest.importorskip("torch")

Tiny = Callable[..., Any]
TEXT = " ".join(f"w{(i * i + 3 * (i // 7)) % 44}" for i in range(400))
FINE = Recipe(pattern="fine", sparsity=0.75)
SHORT = Training(steps=12, batch=4, warmup=2, learning_rate=1e-2, initial_warmup=1, final_warmup=2)


def learner(model: Any, words: Any) -> tuple[Any, Examples]:
    return assemble("tiny", "causal", model, words), text_windows(words, TEXT, 20, "causal")


def half(opened: OpenModel) -> MaskSet:
    return MaskSet(
        tuple(
            MaskedMatrix(m.name, np.abs(m.weight()) > np.median(np.abs(m.weight())))
            for m in opened.matrices
        )
    )


def density(masks: MaskSet) -> float:
    return sum(m.nnz for m in masks.matrices) / sum(m.keep.size for m in masks.matrices)


def test_the_schedule_by_hand() -> None:
    # N 100, W 10, a 1, b 2: rest to 10, cubic to 80, rest. Half way, 1/8 is left to go.
    ramp = Schedule(100, 10, 1, 2, 0.2, 0.8)
    assert [ramp.sparsity(t) for t in (0, 10, 80, 81, 100)] == pytest.approx(
        [0.2, 0.2, 0.8, 0.8, 0.8]
    )
    assert ramp.sparsity(45) == pytest.approx(0.8 - 0.6 / 8)
    assert not ramp.is_final(79)
    assert ramp.is_final(81)
    assert [ramp.learning_rate(t) for t in (0, 10, 55, 100)] == pytest.approx([1 / 11, 1, 0.5, 0])
    with pytest.raises(InputError, match="leave no room for a ramp"):
        Schedule(100, 40, 1, 2, 0, 0.8)


def test_examples_of_a_step_depend_on_the_step_alone() -> None:
    epoch = np.concatenate([step_numbers(10, 4, step, 7) for step in range(5)])
    assert sorted(epoch[:10]) == sorted(epoch[10:]) == list(range(10))
    assert step_numbers(10, 4, 2, 7).tolist() == epoch[8:12].tolist()
    assert len(step_numbers(3, 8, 1, 0)) == 8


def test_a_movement_score_is_minus_the_summed_gradient_times_weight(tiny: Tiny, words: Any) -> None:
    opened, examples = learner(tiny("gpt2"), words)
    model = opened.model
    pruner = prepare(opened, FINE, replace(SHORT, first_sparsity=0.5, first_scores="zero"))
    pruner.optimizer = torch.optim.SGD(pruner.method.parameters, lr=1.0)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    expected = [torch.zeros(m.shape, dtype=torch.float64) for m in opened.matrices]
    rate = 0.0
    for step in range(3):
        dense = [weight.clone() for weight in pruner.dense]
        kept = [keep.clone() for keep in pruner.keep]
        # By hand: the gradient at the masked weights, which the model holds now.
        for matrix, weight, keep in zip(opened.matrices, dense, kept, strict=True):
            assert torch.equal(matrix.view, weight * keep)
        loss = model(**examples.batch([step])).loss
        gradients = torch.autograd.grad(loss, [m.parameter for m in opened.matrices])
        rate = pruner.schedule.learning_rate(step) * SHORT.score_learning_rate
        for total, matrix, gradient, weight in zip(
            expected, opened.matrices, gradients, dense, strict=True
        ):
            total -= rate * (matrix.upright(gradient) * weight).double()
        sgd.zero_grad()
        model(**examples.batch([step])).loss.backward()
        pruner.gradients()
        for matrix, keep in zip(opened.matrices, kept, strict=True):
            assert not matrix.upright(matrix.parameter.grad)[~keep].any()
        sgd.step()
        pruner.step()
    for score, total in zip(pruner.method.parameters, expected, strict=True):
        assert torch.allclose(score.double(), total, rtol=1e-4, atol=1e-9)
        assert score.abs().max() > 0


def test_movement_starts_from_magnitude_and_leaves_it(tiny: Tiny, words: Any) -> None:
    opened, examples = learner(tiny("gpt2"), words)
    scaled = [np.abs(m.weight()) / np.abs(m.weight()).mean() for m in opened.matrices]
    pruner = prepare(opened, FINE, replace(SHORT, score_learning_rate=0.5))
    for matrix, score, start in zip(opened.matrices, pruner.method.parameters, scaled, strict=True):
        assert np.allclose(matrix.to_file(score), start, rtol=1e-5)
    by_magnitude = [s > np.quantile(s, 0.75) for s in scaled]
    run = train(opened, pruner, examples)
    same = [
        (mask.keep & magnitude).sum() / magnitude.sum()
        for mask, magnitude in zip(run.masks.matrices, by_magnitude, strict=True)
    ]
    assert 0.25 < np.mean(same) < 0.95


@pytest.mark.parametrize("method", ["movement", "gradual_magnitude", "regrowth", "group_lasso"])
@pytest.mark.parametrize("lock", [True, False])
def test_hard_methods_follow_the_schedule(method: str, lock: bool, tiny: Tiny, words: Any) -> None:
    opened, examples = learner(tiny("llama"), words)
    training = replace(SHORT, method=method, lock=lock)
    pruner = prepare(opened, FINE, training)
    run = train(opened, pruner, examples)
    asked = [1 - pruner.schedule.sparsity(step) for step in range(1, 13)]
    assert run.densities == pytest.approx(asked, abs=1e-3)
    assert density(run.masks) == pytest.approx(0.25, abs=1e-3)
    for matrix, mask in zip(opened.matrices, run.masks.matrices, strict=True):
        assert mask.weight is not None and np.array_equal(matrix.weight(), mask.weight)
        assert not matrix.weight()[~mask.keep].any()
    assert run.losses[-1] < run.losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["soft_movement", "l0"])
def test_relaxed_methods_are_steered_to_the_density(method: str, tiny: Tiny, words: Any) -> None:
    opened, examples = learner(tiny("gpt2"), words)
    training = Training(
        method=method, steps=100, batch=2, warmup=5, score_learning_rate=0.3, learning_rate=1e-3
    )
    pruner = prepare(opened, replace(FINE, sparsity=0.6, budget="global"), training)
    run = train(opened, pruner, examples)
    before_lock = [d for t, d in enumerate(run.densities) if 80 <= t + 1 <= 90]
    assert before_lock == pytest.approx([0.4] * len(before_lock), abs=0.03)
    assert density(run.masks) == pytest.approx(0.4, abs=1e-3)


def test_head_gates_remove_whole_heads(tiny: Tiny, words: Any) -> None:
    opened, examples = learner(tiny("gpt2"), words)
    recipe = Recipe(pattern="head", sparsity=0.25, budget="global")
    run = train(opened, prepare(opened, recipe, replace(SHORT, method="head_gates")), examples)
    masks = {m.name: m.keep for m in run.masks.matrices}
    gone = 0
    for attention in opened.attentions:
        for head in range(4):
            columns = masks[attention.out.matrix][:, list(attention.out.lines(head))]
            values = masks[attention.value.matrix][list(attention.value.lines(head))]
            assert columns.all() == columns.any() == values.any() == values.all()
            gone += not columns.any()
    assert gone == 2
    with pytest.raises(InputError, match="layout is not known"):
        prepare(replace(opened, attentions=()), recipe, replace(SHORT, method="head_gates"))


OPTIMIZERS = {
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.5),
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.5),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_locked_mask_survives_any_optimiser(name: str, tiny: Tiny, words: Any) -> None:
    opened, examples = learner(tiny("gpt2"), words)
    optimizer = OPTIMIZERS[name](opened.model.parameters())
    # Momentum from steps before the lock must not bring anything back either.
    for step in range(2):
        opened.model(**examples.batch([step])).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    masks = half(opened)
    pruner = prepare(opened, FINE, replace(SHORT, method="recovery"), masks)
    first = [matrix.weight() for matrix in opened.matrices]
    for step in range(4):
        opened.model(**examples.batch([step])).loss.backward()
        pruner.gradients()
        optimizer.step()
        optimizer.zero_grad()
        pruner.step()
        for matrix, mask in zip(opened.matrices, masks.matrices, strict=True):
            assert not matrix.weight()[~mask.keep].any()
    pruner.finalize()
    for matrix, mask, before in zip(opened.matrices, masks.matrices, first, strict=True):
        assert np.array_equal(matrix.weight() != 0, mask.keep)
        assert not np.allclose(matrix.weight(), before)


def test_recovery_needs_a_mask_and_others_none(tiny: Tiny, words: Any) -> None:
    opened, _ = learner(tiny("gpt2"), words)
    with pytest.raises(InputError, match="only recovery takes a mask"):
        prepare(opened, FINE, replace(SHORT, method="recovery"))
    with pytest.raises(InputError, match="only recovery takes a mask"):
        prepare(opened, FINE, SHORT, half(opened))


def test_distillation_mixes_loss_and_divergence(tiny: Tiny, words: Any) -> None:
    from pruning.training.distillation import distilled

    opened, examples = learner(tiny("gpt2"), words)
    teacher = tiny("gpt2", seed=5)
    inputs = examples.batch([0, 1])
    ours, theirs = opened.model(**inputs), teacher(**inputs)
    found = float(distilled(ours.loss, ours, theirs, inputs, 0.7, 3.0).detach())
    p = torch.softmax(theirs.logits.double() / 3, -1)
    q = torch.softmax(ours.logits.double() / 3, -1)
    divergence = (p * (p / q).log()).sum(-1).mean()
    assert found == pytest.approx((0.3 * ours.loss + 0.7 * 9 * divergence).item(), rel=1e-4)


def test_distilling_learns_from_the_dense_model(tiny: Tiny, words: Any) -> None:
    opened, examples = learner(tiny("gpt2"), words)
    for matrix in opened.matrices:
        matrix.parameter.data *= 8
    dense = tiny("gpt2")
    dense.load_state_dict(opened.model.state_dict())
    ids = examples.batch([0, 1, 2])["input_ids"]

    def distance() -> float:
        with torch.no_grad():
            p = torch.log_softmax(dense(ids).logits, -1)
            q = torch.log_softmax(opened.model(ids).logits, -1)
        return float((p.exp() * (p - q)).sum(-1).mean())

    training = replace(SHORT, method="recovery", distill=1.0, steps=40, learning_rate=3e-3)
    pruner = prepare(opened, FINE, training, half(opened))
    before = distance()
    train(opened, pruner, examples)
    assert distance() < 0.7 * before


def test_settings_are_checked_by_name(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text('pattern = "fine"\n[training]\nsteps = 30\nstages = ["fine"]\n')
    assert read_training(file) == Training(steps=30, stages=("fine",))
    for text, message in [
        ("step = 3", "did you mean 'steps'"),
        ("steps = 0", "training.steps is 0"),
        ("distill = 1.5", "training.distill is 1.5"),
        ("learning_rate = inf", "learning_rate is inf; give a finite number"),
        ("temperature = nan", "temperature is nan"),
        ('method = "moving"', "method is 'moving'"),
        ('first_scores = "nil"', "first_scores is 'nil'"),
    ]:
        file.write_text(f"[training]\n{text}\n")
        with pytest.raises(InputError, match=message):
            read_training(file)


def test_every_key_of_a_recipe_can_be_set(tiny: Tiny, words: Any, tmp_path: Path) -> None:
    from pruning.__main__ import COMMANDS
    from sparse_formats.terminal.command import call

    tiny("gpt2").save_pretrained(tmp_path / "model")
    words.save_pretrained(tmp_path / "model")
    (tmp_path / "text").write_text(TEXT)
    (tmp_path / "r.toml").write_text('menu = [1, 2]\n[training]\nevery = 7\nmethod = "l0"\n')
    given = ["train", "--model", tmp_path / "model", "--text", tmp_path / "text", "--length", 16]
    given += ["--recipe", tmp_path / "r.toml", "--steps", 10, "--batch", 2]
    given += ["--out", tmp_path / "mask.npz", "--json", tmp_path / "account.json"]
    arguments = [str(word) for word in given]
    for word in ("every=3", "menu=[1, 4]", "method=movement", 'stages=["fine"]'):
        arguments += ["--set", word]
    call(COMMANDS, *arguments)
    account = json.loads((tmp_path / "account.json").read_text())
    assert account["recipe"]["menu"] == [1, 4]
    training = account["training"]
    # What is given goes before the file.
    assert (training["every"], training["method"], training["steps"]) == (3, "movement", 10)
    assert training["stages"] == ["fine"]
    for word, said in [
        ("every", "write KEY=VALUE"),
        ("evry=3", "did you mean 'every'"),
        ("every=x", "--every is given twice"),
        ("batch=x", "--batch is given twice"),
        ("rank=x", "--rank is 'x'; give a whole number from 1 up"),
        ("menu=[1, 8]", "--menu is given twice, as 1,4 and as 1,8"),
        ("steps=99", "--steps is given twice, as 10 and as 99"),
    ]:
        with pytest.raises(InputError, match=said):
            call(COMMANDS, *arguments, "--set", word)


def test_a_run_that_diverges_is_told(tiny: Tiny, words: Any) -> None:
    opened, examples = learner(tiny("gpt2"), words)
    training = replace(SHORT, learning_rate=1e30, warmup=1)
    with pytest.raises(InputError, match=r"loss of step \d+ is (nan|inf): the run diverged"):
        train(opened, prepare(opened, FINE, training), examples)


def test_the_trainer_of_transformers_prunes_with_the_callback(
    tiny: Tiny, words: Any, tmp_path: Path
) -> None:
    pytest.importorskip("accelerate")
    from transformers import Trainer, TrainingArguments

    from pruning.training.trainer_callback import trainer_callback

    opened, examples = learner(tiny("gpt2"), words)
    training = replace(SHORT, steps=6, warmup=1)
    pruner = prepare(opened, FINE, training)
    callback = trainer_callback(pruner)
    arguments = TrainingArguments(
        str(tmp_path),
        max_steps=6,
        per_device_train_batch_size=2,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    rows = [{k: torch.tensor(v) for k, v in row.items()} for row in examples.rows]
    trainer = Trainer(opened.model, arguments, train_dataset=rows, callbacks=[callback])  # type: ignore[arg-type]
    trainer.train()
    assert pruner.done == 6
    assert density(callback.masks) == pytest.approx(0.25, abs=1e-3)
    for matrix, mask in zip(opened.matrices, callback.masks.matrices, strict=True):
        assert np.array_equal(matrix.weight() != 0, mask.keep)


def run_of(opened: OpenModel, examples: Examples, training: Training, folder: Path | None) -> Any:
    pruner: Pruner = prepare(opened, replace(FINE, budget="global"), training)
    return train(opened, pruner, examples, folder, save_every=3)


@pytest.mark.parametrize("method", ["soft_movement", *slow("movement", "l0", "lora_prune")])
def test_a_run_taken_up_ends_in_the_same_weights(
    method: str, tiny: Tiny, words: Any, tmp_path: Path
) -> None:
    training = replace(SHORT, method=method)
    # GPT-2 drops out, so the random numbers must go on, too.
    whole = run_of(*learner(tiny("gpt2"), words), training, None)

    class Killed(Exception):
        pass

    opened, examples = learner(tiny("gpt2"), words)
    pruner = prepare(opened, replace(FINE, budget="global"), training)

    def kill(step: str) -> None:
        if step.startswith("step 8 "):
            raise Killed

    with pytest.raises(Killed):
        train(opened, pruner, examples, tmp_path, save_every=3, tell=kill)
    torch.rand(5)
    taken_up = run_of(*learner(tiny("gpt2", seed=9), words), training, tmp_path)
    assert taken_up.resumed_at == 6
    assert taken_up.losses == whole.losses
    for one, other in zip(taken_up.masks.matrices, whole.masks.matrices, strict=True):
        assert one.weight is not None and other.weight is not None
        assert np.array_equal(one.weight, other.weight)
    with pytest.raises(InputError, match="belongs to another run"):
        run_of(*learner(tiny("gpt2"), words), replace(training, batch=2), tmp_path)


def test_a_checkpoint_is_of_one_mask_and_of_its_data(
    tiny: Tiny, words: Any, tmp_path: Path
) -> None:
    opened = assemble("tiny", "causal", tiny("gpt2"), words)
    training = Training(method="recovery", steps=4, batch=2)

    def run(first: int, share: int) -> Any:
        text = " ".join(f"w{i * i % 43}" for i in range(first, first + 120))
        masks = tuple(
            MaskedMatrix(m.name, np.indices(m.shape).sum(0) % share > 0) for m in opened.matrices
        )
        pruner = prepare(opened, FINE, training, MaskSet(masks))
        return train(opened, pruner, text_windows(words, text, 12, "causal"), tmp_path, 2)

    assert run(0, 2).resumed_at == 0
    assert run(0, 2).resumed_at == 2
    for first, share in ((0, 3), (1, 2)):
        with pytest.raises(InputError, match="belongs to another run"):
            run(first, share)


def test_a_new_head_has_a_class_for_each_label(
    tiny: Tiny, words: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pruning.__main__ import COMMANDS
    from pruning.models.opening import open_model
    from sparse_formats.files.mask_file import read_masks
    from sparse_formats.terminal.command import call

    tiny("bert_encoder").save_pretrained(tmp_path / "model")
    words.save_pretrained(tmp_path / "model")
    rows = [f"w{i} w{3 * i % 44}\t{('no', 'perhaps', 'yes')[i % 3]}\n" for i in range(24)]
    (tmp_path / "table.tsv").write_text("sentence\tlabel\n" + "".join(rows))
    given = ["train", "--model", tmp_path / "model", "--table", tmp_path / "table.tsv"]
    given += ["--pattern", "fine", "--steps", 10, "--batch", 4, "--length", 12]
    given += ["--out", tmp_path / "mask.npz", "--save", tmp_path / "saved"]
    words_given = [str(word) for word in given]
    with pytest.raises(InputError, match="no usable weights for classifier"):
        call(COMMANDS, *words_given)
    with pytest.raises(InputError, match="cannot train a new head"):
        call(COMMANDS, *words_given, "--new-head", "--method", "lora_prune")
    call(COMMANDS, *words_given, "--new-head")
    call(COMMANDS, *words_given, "--new-head")
    (tmp_path / "saved" / "config.json").rename(tmp_path / "config.json")
    (tmp_path / "saved" / "config.json").write_text("of the user")
    with pytest.raises(InputError, match=r"saved holds config\.json, which was changed since"):
        call(COMMANDS, *words_given, "--new-head")
    (tmp_path / "config.json").replace(tmp_path / "saved" / "config.json")
    saved = open_model(tmp_path / "saved")
    assert saved.task == "classify"
    assert saved.model.config.id2label == {0: "no", 1: "perhaps", 2: "yes"}
    assert saved.model.get_parameter("classifier.weight").shape == (3, 32)
    masks = read_masks(tmp_path / "mask.npz")
    assert density(masks) == pytest.approx(0.2, abs=0.01)
    for mask in masks.matrices:
        assert np.array_equal(saved.by_name[f"bert.{mask.name}"].weight() != 0, mask.keep)
