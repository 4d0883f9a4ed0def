"""Is every TOML file read, or refused in one line that says what to do?"""

import os
from pathlib import Path
from typing import Any

import pytest

from sparse_formats.errors import InputError
from sparse_formats.files.toml import MOST_BYTES, read_toml, toml_value


def test_are_its_keys_and_tables_read(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('name = "größer"\n[clock]\nhz = 1e9\n', encoding="utf-8")
    assert read_toml(path) == {"name": "größer", "clock": {"hz": 1e9}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"lanes = ", "not TOML"),
        (b"a = 1\na = 2", "not TOML"),
        (b'name = "\xff"', r"byte 8 is not UTF-8 text; save the file as UTF-8"),
        (b"a = " + b"[" * 100_000, "it is nested too deeply for TOML"),
        (b"a = " + b"9" * 5000, "not TOML: Exceeds the limit"),
        (b"#" * (MOST_BYTES + 1), "has more than 1000000 bytes"),
    ],
)
def test_is_what_is_no_toml_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.toml.*{message}") as told:
        read_toml(path)
    assert "\n" not in str(told.value)


def test_is_what_is_no_file_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.toml does not exist; give a TOML file"):
        read_toml(tmp_path / "a.toml")
    with pytest.raises(InputError, match="cannot be read: it is a folder"):
        read_toml(tmp_path)
    os.mkfifo(tmp_path / "pipe.toml")
    # Opened, it would wait for a writer that never comes.
    with pytest.raises(InputError, match=r"pipe\.toml cannot be read: it is not a regular file"):
        read_toml(tmp_path / "pipe.toml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16", 16),
        ("1e9", 1e9),
        ("[1, 2]", [1, 2]),
        ('"snake"', "snake"),
        (" snake ", "snake"),
        ("2:4", "2:4"),
        ("1\nother = 2", "1\nother = 2"),
        ("9" * 5000, "9" * 5000),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_is_a_word_a_value_or_itself(text: str, value: Any) -> None:
    assert toml_value(text) == value
