"""Are accuracy, F1, exact match and agreement those of their definitions?"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pruning.evaluation.classification import classification, f1
from pruning.evaluation.question_answering import (
    best_answers,
    plain,
    question_answering,
    score,
    word_f1,
)
from pruning.evaluation.similarity import (
    agreement,
    embedder,
    matrix_agreement,
    pair_agreement,
    read_human,
    second_half_retrieval,
)
from pruning.examples import Question, passages, read_questions, read_table
from pruning.models.opening import assemble
from sparse_formats.errors import InputError

torch = pytest.importorskip("torch")

Tiny = Callable[..., Any]
PASSAGE = " ".join(f"w{i}" for i in range(40))


def test_f1_by_hand() -> None:
    # Class 1: 2 hits, 3 said, 4 there: 2·2/(3+4).
    truth = np.array([1, 1, 1, 1, 0, 0])
    found = np.array([1, 1, 0, 0, 1, 0])
    assert f1(truth, found) == pytest.approx(4 / 7)
    # Three classes: 1 of (1, 2), 1 of (1, 1) and 0 of (1, 0).
    assert f1(np.array([0, 1, 2]), np.array([0, 1, 0])) == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_a_classifier_gives_the_same_answers_in_any_batch(
    tiny: Tiny, words: Any, tmp_path: Path
) -> None:
    lines = [f"{' '.join(f'w{(i * j) % 40}' for j in range(1, 3 + i % 9))}\t{i % 2}" for i in range(30)]  # fmt: skip # noqa: E501
    (tmp_path / "a.tsv").write_text("sentence\tlabel\n" + "\n".join(lines) + "\n")
    table = read_table(tmp_path / "a.tsv")
    bert = tiny("bert_classifier", seed=3)
    model = assemble("tiny", "classify", bert, words)
    bert.bert.encoder.layer[0].output.dense.weight.data *= 30
    alone = []
    for (text,), label in zip(table.texts, table.labels, strict=True):
        with torch.no_grad():
            logits = model.model(**words(text, return_tensors="pt")).logits
        alone.append((int(label), int(logits.argmax())))
    truth, found = np.array(alone).T
    assert 0 < found.sum() < 30
    for batch in (1, 7):
        measured = classification(model, table, batch=batch)
        assert measured.accuracy == np.mean(truth == found)
        assert measured.f1 == pytest.approx(f1(truth, found))


def test_tables_without_what_is_needed_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    file.write_text("a\tb\nx\ty\n")
    with pytest.raises(InputError, match="no column is called label"):
        read_table(file)
    assert read_table(file, ["a"], "b").texts == (("x",),)
    file.write_text("index\tsentence1\tsentence2\tlabel\n0\tx\ty\tz\n1\tx\ty\n")
    with pytest.raises(InputError, match="row 3 has 3 columns, the header 4"):
        read_table(file)
    file.write_text("sentence\tlabel\n")
    with pytest.raises(InputError, match="no rows"):
        read_table(file)
    with pytest.raises(InputError, match="did you mean 'sentence'"):
        read_table(file, ["sentenc"])


def test_answers_are_compared_as_squad_does() -> None:
    # Examples worked by the rules of the official script.
    assert plain("The  Norman-French, a people!") == "normanfrench people"
    assert word_f1("in the 10th century", "10th and 11th centuries") == pytest.approx(2 / 7)
    assert word_f1("", "nothing") == 0
    assert word_f1("The", "") == 1
    asked = [
        Question("1", "?", "", (("France", 0), ("in France", 3))),
        Question("2", "?", "", ()),
        Question("3", "?", "", (("Rollo", 0),)),
    ]
    answers = score(asked, ["in France.", "", "Rollo the Viking"])
    assert answers.exact_match == pytest.approx(200 / 3)
    assert answers.f1 == pytest.approx(100 * (1 + 1 + 2 / 3) / 3)


def squad(folder: Path, **changes: Any) -> Path:
    qas = [
        {
            "id": str(i),
            "question": "w1 w2",
            "answers": [
                {"text": PASSAGE[a:b], "answer_start": a},
            ],
        }
        for i, (a, b) in enumerate([(0, 5), (62, 69), (126, 129)])
    ]
    data = {"data": [{"paragraphs": [{"context": PASSAGE, "qas": qas, **changes}]}]}
    file = folder / "squad.json"
    file.write_text(json.dumps(data))
    return file


def test_the_true_tokens_give_the_true_answer(words: Any, tmp_path: Path) -> None:
    questions = read_questions(squad(tmp_path))
    cut = passages(words, questions, 20)
    assert len(cut.examples) > len(questions)
    starts, ends = [], []
    for row in cut.examples.rows:
        length = len(row["input_ids"])
        start, end = np.full(length, -1.0, np.float32), np.full(length, -1.0, np.float32)
        start[row["start_positions"]] = end[row["end_positions"]] = 5
        starts.append(start)
        ends.append(end)
    given = best_answers(questions, cut, starts, ends, 30, nothing=False)
    assert given == [q.answers[0][0] for q in questions]
    # Where the answer may be nothing, the first token's logits speak for it.
    for start, end in zip(starts, ends, strict=True):
        start[0] = end[0] = 9
    assert best_answers(questions, cut, starts, ends, 30, nothing=True) == ["", "", ""]


def test_questions_are_answered_from_their_passage(tiny: Tiny, words: Any, tmp_path: Path) -> None:
    model = assemble("tiny", "answer", tiny("bert_answerer"), words)
    questions = read_questions(squad(tmp_path))
    found = question_answering(model, questions, length=24, batch=2)
    assert found.questions == 3
    assert 0 <= found.exact_match <= found.f1 <= 100
    with pytest.raises(InputError, match="no SQuAD file"):
        read_questions(squad(tmp_path, qas=[{"id": 3}]))


def test_agreement_is_correlation() -> None:
    rng = np.random.default_rng(0)
    x = rng.random(50)
    y = x + rng.random(50)
    found = agreement(x, y)
    assert found.pearson == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert agreement(np.exp(9 * x), x).spearman == pytest.approx(1)
    assert agreement(x, np.ones(50)).pearson == 0


def test_embeddings_are_means_over_the_tokens_of_a_text_alone(tiny: Tiny, words: Any) -> None:
    model = assemble("tiny", "encode", tiny("bert_encoder"), words)
    texts = ["w1 w2 w3", "w4", "w5 w6 w7 w8 w9 w10 w11"]
    together = embedder(model, batch=3)(texts)
    for row, text in zip(together, texts, strict=True):
        with torch.no_grad():
            hidden = model.model(**words(text, return_tensors="pt")).last_hidden_state[0]
        mean = hidden.mean(0).numpy()
        assert row == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_people_are_compared_over_pairs_and_matrices(
    tiny: Tiny, words: Any, tmp_path: Path
) -> None:
    embed = embedder(assemble("tiny", "encode", tiny("bert_encoder"), words))
    texts = [f"w{i} w{i + 3} w{2 * i}" for i in range(6)]
    vectors = embed(texts)
    cosines = [float(vectors[i] @ vectors[j]) for i in range(6) for j in range(i + 1, 6)]
    human = np.arange(36.0).reshape(6, 6)
    (tmp_path / "human").write_text("\n".join(" ".join(map(str, row)) for row in human))
    above = [human[i, j] for i in range(6) for j in range(i + 1, 6)]
    expected = np.corrcoef(cosines, above)[0, 1]
    found = matrix_agreement(embed, texts, read_human(tmp_path / "human", 6))
    assert (found.pearson, found.pairs) == (pytest.approx(expected, abs=1e-5), 15)
    pairs = [(texts[i], texts[j], human[i, j]) for i in range(6) for j in range(i + 1, 6)]
    table = "a\tb\tscore\n" + "".join(f"{a}\t{b}\t{h}\n" for a, b, h in pairs)
    (tmp_path / "pairs.tsv").write_text(table)
    found = pair_agreement(embed, read_table(tmp_path / "pairs.tsv"))
    assert found.pearson == pytest.approx(expected, abs=1e-5)
    with pytest.raises(InputError, match="must be 5×5"):
        read_human(tmp_path / "human", 5)


def test_second_halves_are_found_by_what_they_share() -> None:
    def first_letter(texts: Any) -> Any:
        return np.eye(26, dtype=np.float32)[[ord(text[0]) - ord("a") for text in texts]]

    # Halves "a"/"a", "b"/"b", and "c"/"a": the third finds the first's instead.
    found = second_half_retrieval(first_letter, ["a a", "b b", "c a"])
    assert found.accuracy == pytest.approx(2 / 3)
