"""Do all files of an output come from one run, and stay the files of others as they are?"""

import errno
import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from sparse_formats.errors import InputError
from sparse_formats.files import leftovers
from sparse_formats.files.atomic import replace_file, write_text
from sparse_formats.files.mask_file import write_masks
from sparse_formats.files.output_folder import (
    MANIFEST,
    check_owned,
    read_manifest,
    replace_files,
    settle,
)
from sparse_formats.files.outputs import Output, check_outputs

WRITER = Path(__file__).with_name("killed_writer.py")


def write(folder: Path, output: str = "report", **files: str) -> None:
    with replace_files(folder, output) as beside:
        for name, text in files.items():
            (beside / name).write_text(text)


def held(folder: Path) -> dict[str, str]:
    """The files in `folder`, without the manifest."""
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != MANIFEST}


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [("steps",), ("moments", "20")],
)
def test_is_the_old_or_the_new_output_whole_after_a_kill(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    command = [sys.executable, str(WRITER), str(tmp_path / "out"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kills, replaced = map(int, done.stdout.split())
    assert kills >= 20
    if words == ("steps",):
        # Some kills fall before the moment at which the new output counts, and some after it.
        assert 10 < replaced < kills - 10


def test_are_files_of_others_neither_taken_nor_removed(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write(folder, a="1", b="1")
    (folder / "notes").write_text("mine")
    write(folder, a="2")
    assert held(folder) == {"a": "2", "notes": "mine"}
    with pytest.raises(InputError, match="holds notes, which is not part of an earlier report"):
        write(folder, notes="ours")
    (folder / "a").write_text("edited by hand")
    with pytest.raises(InputError, match="holds a, which was changed since"):
        write(folder, a="3")
    assert held(folder) == {"a": "edited by hand", "notes": "mine"}


def test_is_a_file_that_the_user_edited_not_removed_with_the_old_output(tmp_path: Path) -> None:
    write(tmp_path, a="1", b="1")
    (tmp_path / "b").write_text("edited by hand")
    write(tmp_path, a="2")
    assert held(tmp_path) == {"a": "2", "b": "edited by hand"}


def test_can_a_folder_hold_two_outputs(tmp_path: Path) -> None:
    write(tmp_path, "report", a="1", b="1")
    write(tmp_path, "comparison", c="1")
    write(tmp_path, "report", a="2")
    assert held(tmp_path) == {"a": "2", "c": "1"}
    assert {name: list(files) for name, files in read_manifest(tmp_path).items()} == {
        "report": ["a"],
        "comparison": ["c"],
    }
    with pytest.raises(InputError, match="holds c, which is not part of an earlier report"):
        write(tmp_path, "report", c="2")


def test_is_an_input_that_the_last_output_holds_refused(tmp_path: Path) -> None:
    write(tmp_path, "model", config="1", mask="1")
    write(tmp_path, "report", page="1")
    smaller = Output(tmp_path, "--out", "folder", "model", ("config",))
    check_outputs([smaller], [tmp_path / "page"])
    for path in (tmp_path / "config", tmp_path / "mask"):  # one is replaced, the other removed
        with pytest.raises(InputError, match=f"it is the input {path}"):
            check_outputs([smaller], [path])
    with pytest.raises(InputError, match=f"--out {tmp_path} is the input"):
        check_outputs([smaller], [tmp_path])


def test_is_a_folder_with_files_of_others_refused_before_anything_is_computed(
    tmp_path: Path,
) -> None:
    (tmp_path / "a").write_text("mine")
    with pytest.raises(InputError, match="holds a, which is not part of an earlier report"):
        check_outputs([Output(tmp_path, "--out", "folder", "report", ("a",))], [])


def begun(folder: Path, **files: str) -> None:
    """Leave what a run leaves that is killed just after its new files have come to count."""
    with replace_files(folder.with_name("whole"), "report") as beside:
        for name, text in files.items():
            (beside / name).write_text(text)
    folder.with_name("whole").rename(folder / ".mvpsim-ready")


def test_can_a_kill_after_a_link_was_followed_be_completed(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    write(folder, a="1", b="1")
    (folder / "a").replace(elsewhere)
    (folder / "a").symlink_to(elsewhere)
    begun(folder, a="2", b="2")
    elsewhere.write_text("2")  # the new text has gone through the link
    settle(folder, is_output=True)
    assert held(folder) == {"a": "2", "b": "2"}
    assert (folder / "a").is_symlink()


def test_is_a_file_that_came_after_a_kill_kept(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write(folder, a="1")
    begun(folder, a="2", b="2")
    (folder / "b").write_text("mine")
    for is_output in (False, True):
        with pytest.raises(InputError, match="and a b of neither; move it away, or remove "):
            settle(folder, is_output=is_output)
    (folder / "b").rename(folder / "moved")
    settle(folder)
    assert held(folder) == {"a": "2", "b": "2", "moved": "mine"}


@pytest.mark.parametrize("link", ["file", "folder"])
def test_is_nothing_written_through_links_of_a_folder_that_is_only_read(
    tmp_path: Path, link: str
) -> None:
    folder, precious = tmp_path / "from_the_net", tmp_path / "home" / "precious"
    precious.parent.mkdir()
    precious.write_text("mine")
    write(folder, a="1", b="other")
    if link == "file":
        (folder / "a").unlink()
        (folder / "a").symlink_to(precious)
        begun(folder, a="2", b="2")
        # Its sender knew what stands in that file.
        manifest = folder / MANIFEST
        old, known = read_manifest(folder)["report"]["a"], hashlib.sha256(b"mine").hexdigest()
        manifest.write_text(manifest.read_text().replace(old, known))
        said = "and a there is a link"
    else:
        (folder / ".mvpsim-ready").symlink_to(precious.parent)
        said = ""
    if said:
        with pytest.raises(InputError, match=said):
            settle(folder)
    else:
        settle(folder)
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("name", ["../precious", "/etc/precious", "", "a/../../precious"])
def test_does_a_manifest_name_only_files_of_its_folder(tmp_path: Path, name: str) -> None:
    folder, precious = tmp_path / "out", tmp_path / "precious"
    folder.mkdir()
    precious.write_text("mine")
    listed = {"report": {name: hashlib.sha256(b"mine").hexdigest()}}
    (folder / MANIFEST).write_text(json.dumps({"outputs": listed}))
    with pytest.raises(InputError, match="is damaged"):
        write(folder, a="1")
    assert precious.read_text() == "mine"


def test_does_a_reader_not_wait_for_a_pipe_or_for_somebody_who_writes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".mvpsim-0.part")
    with leftovers.locked(tmp_path):
        settle(tmp_path)
    assert list(tmp_path.iterdir())
    settle(tmp_path)
    assert not list(tmp_path.iterdir())


def test_is_nothing_swept_where_there_are_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(handle: int, what: int) -> None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr("fcntl.flock", flock)
    with replace_file(tmp_path / "a") as file:
        write_text(tmp_path / "a", "first")
        write(tmp_path, b="1")
        file.write(b"second")
    assert held(tmp_path) == {"a": "second", "b": "1"}


def test_does_a_failure_leave_all_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with pytest.raises(RuntimeError), replace_files(folder, "report") as beside:
        (beside / "a").write_text("half")
        raise RuntimeError
    assert not folder.exists()
    write(folder, a="1")
    with pytest.raises(RuntimeError), replace_files(folder, "report") as beside:
        (beside / "a").write_text("half")
        raise RuntimeError
    assert held(folder) == {"a": "1"}


def test_is_a_full_disk_one_line_and_the_old_output_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, a="1")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        write(tmp_path, a="2")
    with pytest.raises(InputError, match="No space left on device"):
        write_text(tmp_path / "other", "2")
    monkeypatch.undo()
    assert held(tmp_path) == {"a": "1"}


def test_do_runs_at_once_end_with_the_files_of_one(tmp_path: Path) -> None:
    def run(number: int) -> None:
        for _ in range(5):
            write(tmp_path, **dict.fromkeys(("a", "b", "c"), f"{number}"))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = held(tmp_path)
    assert found.keys() == {"a", "b", "c"}
    assert len(set(found.values())) == 1
    check_owned(tmp_path, "report", found)


def test_does_nobody_sweep_what_a_live_run_is_writing(tmp_path: Path) -> None:
    with replace_files(tmp_path, "report") as beside:
        (beside / "a").write_text("1")
        with replace_file(tmp_path / "single") as file:
            settle(tmp_path)
            write_text(tmp_path / "single", "first")
            write(tmp_path, "other", b="1")
            file.write(b"second")
    assert held(tmp_path) == {"a": "1", "b": "1", "single": "second"}


def test_is_what_a_killed_run_left_of_a_file_swept_and_nothing_else(tmp_path: Path) -> None:
    handle, part = leftovers.new_part(tmp_path / "a.txt")
    os.close(handle)  # as the system does when a process ends
    (tmp_path / ".a.txt.part").write_text("of the user")
    write_text(tmp_path / "a.txt", "new")
    assert not part.exists()
    assert held(tmp_path) == {"a.txt": "new", ".a.txt.part": "of the user"}


def test_are_links_followed_and_rights_kept(tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "out"
    elsewhere.mkdir()
    write(folder, a="1", b="1")
    (folder / "a").replace(elsewhere / "a")
    (folder / "a").symlink_to(elsewhere / "a")
    (folder / "b").chmod(0o640)
    write(folder, a="2", b="2")
    assert (folder / "a").is_symlink()
    assert (elsewhere / "a").read_text() == "2"
    assert (folder / "b").stat().st_mode & 0o777 == 0o640
    (elsewhere / "a").chmod(0o600)
    write_text(folder / "a", "3")
    assert (folder / "a").is_symlink()
    assert (elsewhere / "a").read_text() == "3"
    assert (elsewhere / "a").stat().st_mode & 0o777 == 0o600


def test_is_a_damaged_manifest_named(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text('{"outputs": 3}')
    with pytest.raises(InputError, match=r"\.mvpsim-files\.json is damaged"):
        write(tmp_path, a="1")


def test_is_a_name_of_255_bytes_written(tmp_path: Path) -> None:
    write_text(tmp_path / ("a" * 255), "1")
    assert (tmp_path / ("a" * 255)).read_text() == "1"


def test_is_a_file_in_the_folder_of_another_output_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    outputs = [Output(folder, "--save", "folder"), Output(folder / "config.json", "--json")]
    with pytest.raises(InputError, match="it lies in the folder of --save"):
        check_outputs(outputs, [])
    check_outputs([Output(folder, "--out", "folder", "report", ("a",)), outputs[1]], [])


def test_are_outputs_that_would_spoil_each_other_refused(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write(folder, a="1")
    check_outputs([Output(folder, "--plot", "folder", "report")], [])
    (tmp_path / "link").symlink_to(folder / "a")
    new = tmp_path / "new"
    twice = [
        Output(folder, "--save", "folder", "model", ("m",)),
        Output(tmp_path / "." / "out", "--checkpoint", "folder", "checkpoint", ("c",)),
    ]
    for outputs, said in [
        (twice, "--save and --checkpoint are both"),
        ([Output(new, "--save", "folder"), Output(new, "--json")], "are both"),
        ([Output(folder / "a", "--json")], "it is part of the report"),
        ([Output(tmp_path / "link", "--json")], "it is part of the report"),
        ([Output(folder / MANIFEST, "--json")], r"names that begin with \.mvpsim-"),
        ([Output(tmp_path / ".mvpsim-1.new", "--out", "folder")], "names that begin with"),
    ]:
        with pytest.raises(InputError, match=said):
            check_outputs(outputs, [])
    with pytest.raises(InputError, match="it is part of the report"):
        write_masks(folder / "a", {"q": np.eye(2)})
    assert held(folder) == {"a": "1"}
