"""Does the record keep each result once, whatever happens to its writer?"""

import subprocess
import sys
from pathlib import Path

import pytest

from accel_sim.exploration.record import code_hash, content_hash, open_record, read_record
from sparse_formats.errors import InputError

A, B = "a" * 16, "b" * 16
TWO = {A: {"cycles": 1, "energy_j": 0.1}, B: {"reason": "too\nlarge \u202e"}}


def write_two(path: Path) -> None:
    with open_record(path) as record:
        for key, result in TWO.items():
            record.add(key, result)


def test_what_was_added_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    assert read_record(path) == {}
    write_two(path)
    assert read_record(path) == TWO
    with open_record(path) as record:
        assert dict(record) == TWO
        with pytest.raises(ValueError, match=f"{A} cannot be added"):
            record.add(A, {})
    assert len(path.read_bytes().splitlines()) == 2
    assert path.read_bytes().isascii()


def test_a_torn_last_line_is_dropped_at_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    write_two(path)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole)):
        path.write_bytes(whole[:length])
        assert read_record(path) == {A: TWO[A]}
        with open_record(path) as record:
            assert list(record) == [A]
            record.add(B, TWO[B])
        assert path.read_bytes() == whole


@pytest.mark.parametrize("line", [b"{}", b"nonsense", b'["a"]', b'{"key":1}', b"[" * 5000])
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "record.jsonl"
    write_two(path)
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(InputError, match="line 3 is no result; remove what is damaged"):
        read_record(path)


def test_a_key_that_stands_there_twice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    write_two(path)
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(InputError, match=f"line 3 holds {A} for the"), open_record(path):
        pass


def test_a_second_writer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accel_sim.exploration.record._PATIENCE_S", 0.05)
    path = tmp_path / "record.jsonl"
    holding = (
        "import sys; from pathlib import Path\n"
        "from accel_sim.exploration.record import open_record\n"
        "with open_record(Path(sys.argv[1])): print('held', flush=True); input()"
    )
    words = [sys.executable, "-c", holding, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="another program has locked it"), open_record(path):
            pass
        other.kill()
    write_two(path)  # the lock went with its process


def test_the_hash_of_code_changes_with_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accel_sim.exploration.record._ROOT", tmp_path)
    (tmp_path / "a").mkdir()
    found = set()
    for name, text in (("a/b.py", "1"), ("a/b.py", "2"), ("a/c.csv", "2"), ("d.py", "")):
        (tmp_path / name).write_text(text)
        code_hash.cache_clear()
        found.add(code_hash("a", "d.py" if name == "d.py" else "a/b.py"))
    (tmp_path / "a/notes.txt").write_text("no code")
    code_hash.cache_clear()
    assert code_hash("a", "d.py") in found
    assert len(found) == 4
    code_hash.cache_clear()


def test_the_hash_is_that_of_the_content() -> None:
    assert content_hash({"a": 1, "b": [2.5]}) == content_hash({"b": [2.5], "a": 1})
    assert content_hash({"a": 1}) != content_hash({"a": 2})
    assert len(content_hash("")) == 16
