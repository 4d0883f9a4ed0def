"""Does a setting or a machine that nobody would write by hand end in one line?"""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from accel_sim.__main__ import main

LONG, DEEP = "1" * 5000, "[" * 50_000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a mask and machines of all bad kinds."""
    monkeypatch.chdir(tmp_path)
    np.savez("m.npz", a=np.eye(8))
    for name, clock in (("long", LONG), ("large", "9" * 4000), ("tiny", "5e-324"), ("deep", DEEP)):
        text = f'extends = "tf_mvp"\nname = "x"\n[clock]\nclock_hz = {clock}\n'
        Path(f"{name}.toml").write_text(text)
    Path("latin.toml").write_bytes(b'name = "\xff"')
    Path("null.toml").write_text('mask = "m\\u0000.npz"')
    Path("deep.json").write_text(DEEP)
    Path("number.json").write_text(LONG)
    os.mkfifo("pipe.toml")
    Path("zero.toml").symlink_to("/dev/zero")
    Path("loop.toml").symlink_to("loop.toml")
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        *(("run", "--shapes", shapes) for shapes in (f"{LONG}x5", f"5x{LONG}", "x" * 3000)),
        *(
            ("run", "--mask", "m.npz", *words)
            for words in (
                ("--tokens", LONG),
                ("--seed", LONG),
                ("--set", f"lanes={LONG}"),
                ("--set", f"lanes={'9' * 4000}"),
                ("--set", f"lanes={DEEP}"),
                ("--set", "clock_hz=5e-324"),
                ("--include", "(" * 5000),
                ("--include", "a{1,99999999999999999}"),
                ("--json", "x" * 300),
                ("--out", "x" * 300),
                ("--accelerator", "x" * 300 + ".toml"),
            )
        ),
        *(
            ("run", "--mask", "m.npz", "--accelerator", f"{name}.toml")
            for name in ("long", "large", "tiny", "deep", "latin", "pipe", "zero", "loop")
        ),
        *(("run", "--config", f"{name}.toml") for name in ("null", "deep", "pipe", "zero", "loop")),
        *(("diff", f"{name}.json", "number.json") for name in ("deep", "number", "x" * 300)),
        ("run", "--mask", "x" * 300),
        ("run", "--mask", "loop.toml"),
        ("accelerators", "--show", "deep.toml"),
    ],
    ids=lambda words: " ".join(words)[:60],
)
def test_is_it_refused_in_one_line(
    words: tuple[str, ...],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["accel_sim", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert len(error) < 2000
