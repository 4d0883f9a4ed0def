"""Are accuracy, F1, exact match and agreement those of their definitions?"""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pruning.data.examples import examples_of, passages
from pruning.data.files import Question, Table, label_numbers, read_questions, read_table
from pruning.evaluation.classification import classification, f1
from pruning.evaluation.perplexity import perplexity
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
from pruning.models.opening import assemble
from sparse_formats.errors import InputError

torch = pytest.importorskip("torch")

Tiny = Callable[..., Any]
PASSAGE = " ".join(f"w{i}" for i in range(40))


def test_f1_by_hand() -> None:
    # Class 1: 2 hits, 3 said, 4 there: 2·2/(3+4).
    truth = np.array([1, 1, 1, 1, 0, 0])
    found = np.array([1, 1, 0, 0, 1, 0])
    assert f1(truth, found, 2) == pytest.approx(4 / 7)
    # Of three classes, none is the one that counts, even where only two occur.
    assert f1(truth, found, 3) == pytest.approx((4 / 7 + 2 / 5) / 2)
    # Three classes: 1 of (1, 2), 1 of (1, 1) and 0 of (1, 0).
    assert f1(np.array([0, 1, 2]), np.array([0, 1, 0]), 3) == pytest.approx((2 / 3 + 1 + 0) / 3)
    # A class that is only predicted counts, with nothing.
    assert f1(np.array([0, 0]), np.array([0, 2]), 3) == pytest.approx((2 / 3 + 0) / 2)


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
        assert measured.f1 == pytest.approx(f1(truth, found, 2))


def test_tables_without_what_is_needed_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    file.write_text("a\tb\nx\ty\n")
    # Commands that read tables as well have no such options.
    with pytest.raises(InputError, match=r"no column is called label.* give eval its label_column"):
        read_table(file)
    assert read_table(file, ["a"], "b").texts == (("x",),)
    file.write_text("index\tsentence1\tsentence2\tlabel\n0\tx\ty\tz\n1\tx\ty\n")
    with pytest.raises(InputError, match="row 2 has 3 columns, but the header 4"):
        read_table(file)
    file.write_text("sentence\tlabel\n")
    with pytest.raises(InputError, match="no rows"):
        read_table(file)
    with pytest.raises(InputError, match="did you mean 'sentence'"):
        read_table(file, ["sentenc"])


@pytest.mark.parametrize("kind", ["multi_label_classification", "regression"])
def test_one_label_does_not_teach_several_answers(
    kind: str, tiny: Tiny, words: Any, tmp_path: Path
) -> None:
    several = assemble(
        "m", "classify", tiny("bert_classifier", num_labels=3, problem_type=kind), words
    )
    file = tmp_path / "a.tsv"
    file.write_text("sentence\tlabel\nw1\t1\n")
    with pytest.raises(InputError, match="model m gives 3 answers at once"):
        examples_of(several, None, file, None, None)


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        # A byte-order mark and Windows' line ends.
        (b"\xef\xbb\xbfsentence\tlabel\r\nx y\t1\r\n\r\nz\t0\r\n", ["x y", "z"]),
        # Stray quotes stand as they are, as in GLUE's files.
        (b'sentence\tlabel\n"x y\t1\nz"\t0\n', ['"x y', 'z"']),
        (b'sentence\tlabel\n"x"\t1\nz\t0\n', ['"x"', "z"]),
        # Quoted cells hold tabs, line ends and doubled quotes.
        (b'sentence\tlabel\n"x\ty"\t1\n"z ""w"""\t0\n', ["x\ty", 'z "w"']),
        (b'sentence\tlabel\n"x\ny"\t1\nz\t0\n', ["x\ny", "z"]),
        # Everything quoted, labels too.
        (b'"sentence"\t"label"\n"x ""y"""\t"1"\n"z"\t"0"\n', ['x "y"', "z"]),
        # A cell longer than csv's own limit.
        (b"sentence\tlabel\n" + b"x" * 200_000 + b"\t1\nz\t0\n", ["x" * 200_000, "z"]),
    ],
)
def test_tables_as_people_have_them(content: bytes, texts: list[str], tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    file.write_bytes(content)
    table = read_table(file)
    assert table.texts == tuple((text,) for text in texts)
    assert label_numbers(table, {"no": 0, "yes": 1}) == [1, 0]


@pytest.mark.parametrize("label", ["", "2", "-1", "0.5", "²", "maybe"])
def test_a_label_that_is_none_is_named_with_its_row(label: str) -> None:
    table = Table((("x",), ("y",)), ("YES", label))
    with pytest.raises(InputError, match=rf"label {label!r} in row 2 of the table is none of"):
        label_numbers(table, {"no": 0, "yes": 1})


@pytest.mark.parametrize(
    ("given", "truths", "exact", "overlap"),
    [
        ("The Normans", ["Normans"], 1, 1),
        ("normans!", ["the, Normans."], 1, 1),
        # Articles inside words stay; hyphens go and join what they part.
        ("banana the-atre", ["banana theatre"], 1, 1),
        ("mid-10th century", ["mid 10th century"], 0, 2 * 1 / (2 + 3)),
        # Dashes beyond ASCII are no punctuation to the script.
        ("1–2", ["12"], 0, 0),
        # A word counts as often as both say it.
        ("to be or not to be", ["be to be"], 0, 2 * 3 / (6 + 3)),
        # Of several truths the best counts, for either figure by itself.
        ("in France", ["France", "in the north of France", "in France"], 1, 1),
        ("northern France", ["France", "the north"], 0, 2 * 1 / 3),
        # Unanswerable: nothing is right, anything is wrong.
        ("", [], 1, 1),
        ("the", [], 1, 1),
        ("France", [], 0, 0),
        ("", ["France"], 0, 0),
        # Version 2's script drops truths of which nothing is left.
        ("France", ["the", "France"], 1, 1),
        ("", ["an", "France"], 0, 0),
    ],
)
def test_exact_match_and_f1_by_hand(
    given: str, truths: list[str], exact: float, overlap: float
) -> None:
    asked = Question("1", "?", "", tuple((text, 0) for text in truths))
    answers = score([asked], [given])
    assert answers.exact_match == 100 * exact
    assert answers.f1 == pytest.approx(100 * overlap)


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


@pytest.mark.parametrize(
    "wrong",
    [
        {"context": 5},
        {"qas": [{"id": 1, "question": 5}]},
        {"qas": [{"id": 1, "question": "?", "answers": None}]},
        {"qas": [{"id": 1, "question": "?", "answers": [{"text": 5, "answer_start": 0}]}]},
        {"qas": [{"question": "?"}]},
        {"qas": []},
    ],
)
def test_a_file_that_is_not_squad_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"squad\.json"):
        read_questions(squad(tmp_path, **wrong))


def test_a_question_longer_than_its_window_is_cut(words: Any) -> None:
    asked = [Question("1", " ".join(["w1"] * 90), PASSAGE, (("w30", PASSAGE.index("w30")),))]
    # The word tokenizer has no special tokens: half of 20 is the question's.
    cut = passages(words, asked, 20)
    rows = [row["input_ids"] for row in cut.examples.rows]
    assert all(
        len(row) <= 20 and row[:10] == [words.convert_tokens_to_ids("w1")] * 10 for row in rows
    )
    assert any(row["start_positions"] for row in cut.examples.rows)
    with pytest.raises(InputError, match="special tokens"):
        passages(words, asked, 1)


def test_a_tokenizer_of_another_model_is_told(tiny: Tiny, words: Any) -> None:
    small = assemble("small", "classify", tiny("bert_classifier", vocab_size=20), words)
    table = Table((("w1 w2",), ("w40",)), ("0", "1"))
    with pytest.raises(
        InputError, match="embeddings of 20 tokens, but its tokenizer gives token 44"
    ):
        classification(small, table)
    causal = assemble("small", "causal", tiny("gpt2", vocab_size=20), words)
    with pytest.raises(InputError, match="embeddings of 20 tokens"):
        perplexity(causal, "w1 w40 w2")


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


Window = tuple[list[float], list[float]]


def answered(*windows: Window, longest: int = 30, nothing: bool = False) -> str:
    """The answer to one question on "a b c": logits of start and end, first token before words."""
    places = (None, (0, 1), (2, 3), (4, 5))
    cut: Any = SimpleNamespace(question=[0] * len(windows), offsets=[places] * len(windows))
    starts, ends = ([np.array(one[side], np.float32) for one in windows] for side in (0, 1))
    asked = [Question("1", "?", "a b c", ())]
    return best_answers(asked, cut, starts, ends, longest, nothing)[0]


@pytest.mark.parametrize(("longest", "answer"), [(3, "a b c"), (2, "b c"), (1, "c")])
def test_an_answer_has_at_most_so_many_tokens(longest: int, answer: str) -> None:
    assert answered(([0.0, 3.0, 2.0, 1.0], [0.0, 0.0, 0.0, 5.0]), longest=longest) == answer


def test_nothing_is_the_answer_only_if_all_windows_say_so() -> None:
    # As in SQuAD's script: what speaks for nothing is the least of all windows' first tokens.
    doubtful: Window = ([9.0, 0.0, 0.0, 0.0], [9.0, 0.0, 0.0, 0.0])
    certain: Window = ([0.0, 3.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0])
    assert answered(doubtful, certain, nothing=True) == "a"
    assert answered(doubtful, nothing=True) == ""


def test_questions_are_answered_from_their_passage(tiny: Tiny, words: Any, tmp_path: Path) -> None:
    model = assemble("tiny", "answer", tiny("bert_answerer"), words)
    questions = read_questions(squad(tmp_path))
    found = question_answering(model, questions, length=24, batch=2)
    assert found.questions == 3
    assert 0 <= found.exact_match <= found.f1 <= 100
    with pytest.raises(InputError, match="not a SQuAD file"):
        read_questions(squad(tmp_path, qas=[{"id": 3}]))
    with pytest.raises(InputError, match=r"nowhere\.json does not exist"):
        read_questions(tmp_path / "nowhere.json")


def test_agreement_is_correlation() -> None:
    rng = np.random.default_rng(0)
    x = rng.random(50)
    y = x + rng.random(50)
    found = agreement(x, y)
    assert found.pearson == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert agreement(np.exp(9 * x), x).spearman == pytest.approx(1)
    assert agreement(x, np.ones(50)).pearson == 0
    with pytest.raises(InputError, match="must be finite"):
        agreement(x, np.where(x > 0, np.nan, x))
    with pytest.raises(InputError, match="at least two documents"):
        second_half_retrieval(lambda texts: np.ones((len(texts), 2), np.float32), ["a b"])


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
    with pytest.raises(InputError, match="5 texts need 5×5"):
        read_human(tmp_path / "human", 5)


def test_second_halves_are_found_by_what_they_share() -> None:
    def first_letter(texts: Any) -> Any:
        return np.eye(26, dtype=np.float32)[[ord(text[0]) - ord("a") for text in texts]]

    # Halves "a"/"a", "b"/"b", and "c"/"a": the third finds the first's instead.
    found = second_half_retrieval(first_letter, ["a a", "b b", "c a"])
    assert found.accuracy == pytest.approx(2 / 3)
