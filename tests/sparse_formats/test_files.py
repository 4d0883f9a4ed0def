"""Is a written file either the old one or the whole new one?"""

from pathlib import Path

import pytest

from sparse_formats.errors import InputError, nearest
from sparse_formats.files.atomic import json_text, replace_file, write_text
from sparse_formats.files.output_folder import prepare_folder


def test_does_a_failed_write_leave_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replace_file(path) as file:
        file.write(b"half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_does_a_folder_as_target_fail(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it is a folder; give a file name"):
        write_text(tmp_path, "x")


def test_is_nan_no_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text({"x": float("nan")})


def test_which_word_is_nearest() -> None:
    assert nearest("tokns", ["tokens", "lanes"]) == "; did you mean 'tokens'?"
    assert nearest("zzz", ["tokens", "lanes"]) == "; known: lanes, tokens"
    many = [f"layer {i:03d}" for i in range(300)]
    assert nearest("zzz", many) == f"; known: {', '.join(many[:20])}, …"


def test_is_an_output_folder_made_with_its_parents_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    prepare_folder(folder, ["report.json"])
    (folder / "report.json").write_text("old")
    prepare_folder(folder, ["report.json"])
    assert (folder / "report.json").read_text() == "old"


def test_is_an_output_folder_refused_that_cannot_hold_its_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="file: it is a file; give a folder"):
        prepare_folder(tmp_path / "file")
    with pytest.raises(InputError, match=r"cannot make the folder .*/file/in: Not a directory"):
        prepare_folder(tmp_path / "file" / "in")
    (tmp_path / "report.json").mkdir()
    with pytest.raises(InputError, match=r"report\.json: it is a folder; give a file name"):
        prepare_folder(tmp_path, ["report.json"])
    with pytest.raises(InputError, match=r"it is the input .*file; give another name"):
        prepare_folder(tmp_path, ["file"], [tmp_path / "file"])
