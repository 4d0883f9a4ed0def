"""Does every reader refuse damaged and hostile files in one line, quickly and in little memory?

`make fuzz` reads 100,000 such files.
"""

from pathlib import Path
from random import Random

import pytest

from benchmarks.reliability.fuzz.readers import READERS
from benchmarks.reliability.fuzz.run import BYTES, Found, Reader, fuzz
from sparse_formats.errors import InputError

COUNT = 2000


def test_no_odd_file_ends_in_a_traceback_or_takes_long(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    found = fuzz(COUNT, 1, tmp_path)
    assert found.bad == []
    assert found.inputs == COUNT
    # Of files that were all refused, nothing would be known of what comes after.
    assert COUNT // 20 < found.inputs - found.refused < COUNT // 2


def test_every_ending_of_masks_is_among_them(tmp_path: Path) -> None:
    from sparse_formats.files.mask_file import READERS as OF_MASKS

    pytest.importorskip("torch")
    names = set[str]()
    for number, reader in enumerate(READERS.values()):
        (tmp_path / f"{number}").mkdir()
        names.add(reader.make(tmp_path / f"{number}", Random(0)).name)
    assert names >= {f"a{ending}" for ending in OF_MASKS}


@pytest.mark.parametrize(
    "error", [KeyError("x"), RecursionError(), MemoryError(), OSError(36, "x")]
)
def test_would_it_see_a_traceback(tmp_path: Path, error: Exception) -> None:
    def read(path: Path) -> None:
        raise error

    found = fuzz(2, 0, tmp_path, {"one": Reader(lambda folder, draw: folder, read)})
    assert len(found.bad) == 2
    assert type(error).__name__ in found.bad[0]
    assert (tmp_path / "bad-0").is_dir()


def test_would_it_see_a_reader_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.reliability.fuzz.run.SECONDS", 0.05)

    def read(path: Path) -> None:
        while True:
            pass

    assert "more than" in fuzz(1, 0, tmp_path, {"one": Reader(lambda f, d: f, read)}).bad[0]


def test_would_it_see_a_reader_that_takes_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peaks = iter([BYTES - 1, *[BYTES] * 9])
    monkeypatch.setattr(Found, "peak_bytes", property(lambda self: next(peaks)))

    def read(path: Path) -> None:
        raise InputError("refused")

    (bad,) = fuzz(1, 0, tmp_path, {"one": Reader(lambda f, d: f, read)}).bad
    assert "2000000000 bytes" in bad
