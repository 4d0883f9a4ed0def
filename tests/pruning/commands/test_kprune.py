"""Does `kprune` leave a folder that opens anywhere, and say what is wrong in one line?"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pruning.models.opening import quiet
from sparse_formats.files.mask_file import read_masks

torch = pytest.importorskip("torch")

Tiny = Callable[..., Any]

FRESH = """
import sys, json
import numpy as np, torch, transformers
torch.set_num_threads(1)
folder, loader = sys.argv[1:]
model, report = getattr(transformers, loader).from_pretrained(
    folder, trust_remote_code=True, output_loading_info=True)
assert not report["missing_keys"] and not report["unexpected_keys"], report
assert not any(name.split(".")[0] in ("pruning", "sparse_formats") for name in sys.modules)
ids = torch.arange(4, 44).reshape(2, 20)
with torch.no_grad():
    print(json.dumps(model.eval()(input_ids=ids)[0].tolist()))
"""


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Path]:
    """A table of classes, one of numbers, and a SQuAD file, of the words w0 … w43."""
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{n}" for n in rng.integers(0, 44, 4 + i % 12)) for i in range(80)]
    files = {name: tmp_path / name for name in ("classes.tsv", "numbers.tsv", "squad.json")}
    for name, label in (("classes.tsv", "{}"), ("numbers.tsv", "{}.5")):
        rows = [f"{text}\t{label.format(i % 2)}" for i, text in enumerate(texts)]
        files[name].write_text("sentence\tlabel\n" + "\n".join(rows) + "\n")
    paragraphs = [
        {
            "context": text,
            "qas": [
                {
                    "id": str(i),
                    "question": "w1 w2",
                    "answers": [{"text": text.split()[1], "answer_start": text.index(" ") + 1}],
                }
            ],
        }
        for i, text in enumerate(texts)
    ]
    files["squad.json"].write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    return files


def saved(model: Any, words: Any, folder: Path) -> Path:
    for parameter in model.parameters():
        if parameter.dim() == 2:
            parameter.data *= 5
    with quiet():
        model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


CASES = [
    ("bert_classifier", {}, "classes.tsv", "AutoModelForSequenceClassification"),
    ("bert_classifier", {"num_labels": 1}, "numbers.tsv", "AutoModelForSequenceClassification"),
    ("bert_answerer", {}, "squad.json", "AutoModelForQuestionAnswering"),
    ("distilbert_classifier", {}, "classes.tsv", "AutoModelForSequenceClassification"),
    ("distilbert_answerer", {}, "squad.json", "AutoModelForQuestionAnswering"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "changes", "file", "loader"), CASES)
def test_the_smaller_model_opens_anywhere_and_is_the_masked_one(
    family: str, changes: Any, file: str, loader: str, run: Any, tiny: Tiny, words: Any,
    data: dict[str, Path], tmp_path: Path,
) -> None:  # fmt: skip
    model = tiny(family, **changes)
    folder = saved(model, words, tmp_path / "model")
    out = tmp_path / "smaller"
    status, printed, said = run(
        "kprune", "--model", folder, "--data", data[file], "--flops", 0.5, "--out", out
    )
    assert status == 0, said
    assert "layer" in printed and "masks.npz" in printed
    account = json.loads((out / "account.json").read_text())
    assert 0.3 < account["flops"]["kept"] <= 0.5
    assert account["parameters"]["after"] < account["parameters"]["before"]
    # Another process, without this project.
    fresh = subprocess.run(
        [sys.executable, "-I", "-c", FRESH, str(out), loader],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert fresh.returncode == 0, fresh.stderr
    smaller = np.array(json.loads(fresh.stdout))
    # The masks with their weights on the original.
    for mask in read_masks(out / "masks.npz").matrices:
        assert mask.weight is not None
        model.get_submodule(mask.name.removesuffix(".weight")).weight.data = torch.from_numpy(
            mask.weight
        )
    with torch.no_grad():
        masked = model(input_ids=torch.arange(4, 44).reshape(2, 20))[0].numpy()
    np.testing.assert_allclose(smaller, masked, atol=1e-4 * np.abs(masked).max())


@pytest.mark.slow
def test_every_method_runs_from_the_command_line(
    run: Any, tiny: Tiny, words: Any, data: dict[str, Path], tmp_path: Path
) -> None:
    folder = saved(tiny("bert_classifier"), words, tmp_path / "model")
    for method in ("kwon", "magnitude", "random"):
        out = tmp_path / method
        status, printed, _ = run(
            "kprune", "--model", folder, "--data", data["classes.tsv"], "--flops", 0.6,
            "--out", out, "--method", method, "--json", "-",
        )  # fmt: skip
        assert status == 0
        assert json.loads(printed)["method"] == method
        status, printed, _ = run("eval", "--model", out, "--table", data["classes.tsv"])
        assert status == 0 and "accuracy" in printed


@pytest.mark.slow
def test_a_regression_is_evaluated_by_its_agreement(
    run: Any, tiny: Tiny, words: Any, data: dict[str, Path], tmp_path: Path
) -> None:
    folder = saved(tiny("bert_classifier", num_labels=1), words, tmp_path / "model")
    status, printed, _ = run(
        "eval", "--model", folder, "--table", data["numbers.tsv"], "--json", "-", "--no-floors"
    )
    assert status == 0
    assert set(json.loads(printed)["figures"]["dense"]) == {"pearson", "spearman", "pairs"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--flops", 1.5], "--flops is 1.5; give a finite number above 0 and below 1"),
        (["--flops", 0.5, "--method", "kprun"], "--method is 'kprun'; did you mean 'kprune'?"),
        (
            ["--flops", 0.5, "--predictive", "hessian"],
            "--predictive is 'hessian'; known",
        ),
        (["--flops", 0.5, "--ridge", 0], "--ridge is 0; give a finite number from 1e-09 up"),
        (["--flops", 0.5, "--ridge", 1e-20], "--ridge is 1e-20"),
        (
            ["--flops", 0.5, "--predictive-weight", "inf"],
            "--predictive-weight is inf",
        ),
        (["--flops", 0.5, "--json", "CONFIG"], "it is the input"),
        (["--flops", 0.5, "--out", "n" * 300], "File name too long"),
        (["--flops", 0.5, "--data", "NUMBERS"], "is none of the 2 classes of the model"),
        (["--flops", 0.5, "--data", "nowhere.tsv"], "nowhere.tsv does not exist"),
        (["--flops", 0.5, "--out", "MODEL"], "is the input"),
        (["--flops", 0.5, "--out", "NUMBERS/out"], "cannot be made"),
    ],
)
def test_wrong_input_ends_in_one_line(
    arguments: list[object], said: str, run: Any, tiny: Tiny, words: Any, data: dict[str, Path],
    tmp_path: Path,
) -> None:  # fmt: skip
    folder = saved(tiny("bert_classifier"), words, tmp_path / "model")
    config = folder / "config.json"
    before = config.read_bytes()
    named = {"NUMBERS": data["numbers.tsv"], "MODEL": folder, "CONFIG": config}
    given = [named.get(str(word), word) for word in arguments]
    if "NUMBERS/out" in given:
        given[given.index("NUMBERS/out")] = data["numbers.tsv"] / "out"
    options = ["--model", folder]
    for name, value in (("--data", data["classes.tsv"]), ("--out", tmp_path / "out")):
        if name not in given:
            options += [name, value]
    status, _, error = run("kprune", *options, *given)
    assert status == 2
    assert error.startswith("error: ") and said in error and error.count("\n") == 1
    assert config.read_bytes() == before
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".mvpsim-*"))


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("RobertaForSequenceClassification", {}),
        ("BertForSequenceClassification", {"is_decoder": True}),
        ("GPT2ForSequenceClassification", {"bos_token_id": 1, "eos_token_id": 2}),
    ],
)
def test_another_family_is_refused_before_work_is_spent_on_it(
    architecture: str, changes: Any, run: Any, words: Any, data: dict[str, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import transformers

    from pruning.retraining_free import METHODS

    def work(*unused: Any) -> None:
        raise AssertionError("pruned")

    monkeypatch.setitem(METHODS, "kprune", work)
    small = {"vocab_size": 48, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    made: Any = getattr(transformers, architecture)
    config = made.config_class(**small, max_position_embeddings=42, intermediate_size=64, **changes)
    folder = saved(made(config), words, tmp_path / "model")
    status, _, error = run(
        "kprune", "--model", folder, "--data", data["classes.tsv"], "--flops", 0.5,
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert status == 2 and error.count("\n") == 1
    assert architecture in error and "can be saved only for BERT and DistilBERT" in error


@pytest.mark.parametrize("target", ["empty", "new"])
def test_a_link_leads_to_the_folder_that_is_written(
    target: str, run: Any, tiny: Tiny, words: Any, data: dict[str, Path], tmp_path: Path
) -> None:
    folder = saved(tiny("bert_classifier"), words, tmp_path / "model")
    (tmp_path / "empty").mkdir()
    link = tmp_path / "link"
    link.symlink_to(target)
    status, _, error = run(
        "kprune", "--model", folder, "--data", data["classes.tsv"], "--flops", 0.5,
        "--method", "random", "--out", link,
    )  # fmt: skip
    assert status == 0, error
    assert link.is_symlink() and (tmp_path / target / "masks.npz").is_file()


def test_the_result_does_not_take_the_place_of_what_came_meanwhile(
    run: Any, tiny: Tiny, words: Any, data: dict[str, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from pruning.retraining_free import METHODS

    folder, out = saved(tiny("bert_classifier"), words, tmp_path / "model"), tmp_path / "out"

    def meanwhile(*arguments: Any) -> Any:
        out.mkdir()
        (out / "config.json").write_text("mine")
        return METHODS["random"](*arguments)

    monkeypatch.setitem(METHODS, "kprune", meanwhile)
    status, _, error = run(
        "kprune", "--model", folder, "--data", data["classes.tsv"], "--flops", 0.5, "--out", out
    )
    assert status == 2 and error.startswith(f"error: {out} holds config.json, which is not part")
    assert [path.name for path in out.iterdir()] == ["config.json"]
    assert (out / "config.json").read_text() == "mine"
