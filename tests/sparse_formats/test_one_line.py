"""Does whatever is wrong with a file or a stream end in one line that names it?"""

import os
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import msgspec
import numpy as np
import pytest

from sparse_formats.errors import InputError
from sparse_formats.files.reading import content, parsing, read_json
from sparse_formats.terminal import application

DEEP, LONG = b"[" * 100_000, b"1" * 5000


class Report(msgspec.Struct):
    cycles: int
    layers: list[str]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not a report"),
        (b"{", "not a report"),
        (b"[]", "not a report: Expected `object`, got `array`"),
        (b'{"cycles": 1, "layers": [2]}', r"Expected `str`, got `int` - at `\$.layers\[0\]`"),
        (b'{"cycles": ' + LONG + b', "layers": []}', "not a report"),
        (b'{"cycles": 1, "layers": ["\xff"]}', "UTF-8"),
        (b'{"cycles": 1, "layers": [], "more": ' + DEEP, "nested too deeply for a report"),
    ],
)
def test_is_json_that_is_no_report_refused(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text)
    with pytest.raises(InputError, match=said) as found:
        read_json(path, Report, "a report", 10**6)
    assert str(path) in str(found.value)


def test_are_pipes_devices_folders_and_long_files_refused(tmp_path: Path) -> None:
    (tmp_path / "zero").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "long").write_bytes(b"12345")
    for name, said in (
        ("zero", "not a regular file"),
        ("pipe", "not a regular file"),
        ("long", "more than 4 bytes"),
        ("none", "does not exist"),
        (".", "is a folder"),
        ("a\0b", "does not exist"),
        ("x" * 300, "name too long"),
    ):
        with pytest.raises(InputError, match=said):
            content(tmp_path / name, "a report", 4)
    assert content(tmp_path / "long", "a report", 5) == b"12345"


@pytest.mark.parametrize(
    "error",
    [
        *(ValueError("x"), KeyError("x"), IndexError("x"), TypeError("x"), AttributeError("x")),
        *(OverflowError("x"), ZeroDivisionError("x"), EOFError(), RecursionError(), MemoryError()),
        *(struct.error("x"), zlib.error("x"), zipfile.BadZipFile("x"), OSError(13, "denied")),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_does_a_failure_to_parse_name_the_file(error: Exception) -> None:
    with pytest.raises(InputError, match=r"^a\.npz"), parsing(Path("a.npz"), "masks", "mend it"):
        raise error


def test_does_a_bug_stay_a_bug() -> None:
    with pytest.raises(AssertionError), parsing(Path("a.npz"), "masks", "mend it"):
        raise AssertionError


def test_does_a_bug_show_its_traceback_and_ask_for_a_report(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(*words: object, **settings: object) -> None:
        raise AssertionError("of \x1b[2J ours")

    with pytest.raises(SystemExit) as end:
        application.run(broken, "mvpsim")  # type: ignore[arg-type]
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert "of ·[2J ours" in said
    assert "this is a bug; please report it" in said


def inspect(folder: Path, *words: str, **settings: object) -> subprocess.CompletedProcess[bytes]:
    """The command `inspect` in a process of its own, on a mask whose name few encodings know."""
    np.savez(folder / "é×中.npz", **{"é×中": np.eye(4)})  # type: ignore[arg-type]
    command = [sys.executable, "-m", "sparse_formats", "inspect", "--mask", "é×中.npz", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False, **settings)  # type: ignore[call-overload]


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_can_a_terminal_know_few_letters(tmp_path: Path, encoding: str) -> None:
    env = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": os.pathsep.join(sys.path)}
    table = inspect(tmp_path, env=env)
    assert (table.returncode, table.stderr) == (0, b"")
    found = inspect(tmp_path, "--json", "-", env=env)
    assert (found.returncode, found.stderr) == (0, b"")
    assert msgspec.json.decode(found.stdout)["layers"][0]["name"] == "é×中"


@pytest.mark.slow
def test_can_standard_output_be_closed(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = inspect(tmp_path, env=env, preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (0, b"")
    lost = inspect(tmp_path, "--json", "-", env=env, preexec_fn=lambda: os.close(1))
    assert lost.returncode == 2
    assert lost.stderr.startswith(b"error: cannot write JSON to standard output: it is closed")


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"\xc7garbage"])
def test_is_a_damaged_cache_of_compiled_code_told_in_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
) -> None:
    from numba.core.caching import IndexDataCacheFile

    cache = IndexDataCacheFile(str(tmp_path), "compiled", "stamp")
    (tmp_path / "compiled.nbi").write_bytes(content)
    app = application.new_app("A command that is compiled.")
    app.command()(lambda: cache.load("key"))
    monkeypatch.setattr(sys, "argv", ["mvpsim", ""][:1])
    monkeypatch.setattr(application, "_open_streams", lambda: None)
    with pytest.raises(SystemExit) as end:
        app_without_words(app)
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.strip().startswith("error: the cache of compiled code cannot be used")
    assert "NUMBA_CACHE_DIR" in said


def app_without_words(app: object) -> None:
    """Run a typer application that needs no words; none at all would show its help."""
    application.run(lambda words, **settings: app([], **settings), "mvpsim")  # type: ignore[arg-type, operator]
