"""One wrong line of the RTL each, which the comparison must see."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.rtl.comparison import Case, compared, drawn_cases
from tests.rtl.encoding import SmallMachine
from tests.rtl.hardware import SOURCES, Stuck, icarus

MACHINE = SmallMachine(
    rows=2, lanes=4, lane_groups=(1, 2, 4), lane_select=2, accumulators=16, sets=1, word_bytes=12,
    buffer_words=8, queue=4, window=8, inputs_per_cycle=3, weight_bytes=2048,
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """In the file `of`, the line with `text` has `wrong` in its place."""

    name: str
    of: str
    text: str
    wrong: str

    def write(self, sources: Path, folder: Path) -> Path:
        """The sources with this mistake, in a folder of their own."""
        folder.mkdir()
        for source in sources.glob("*.sv"):
            code = source.read_text()
            if source.name == self.of:
                assert code.count(self.text) == 1, f"{self.name}: the text is not there once"
                code = code.replace(self.text, self.wrong)
            (folder / source.name).write_text(code)
        return folder


MUTANTS = tuple(
    Mutant(name, **words)
    for name, words in tomllib.loads(Path(__file__).with_suffix(".toml").read_text()).items()
)


def cases() -> list[Case]:
    """Layers of one and of many passes."""
    one_pass = drawn_cases(MACHINE, 12, np.random.default_rng(23), sizes=(1, 16), tokens=2)
    return one_pass + drawn_cases(MACHINE, 2, np.random.default_rng(6), sizes=(60, 64), tokens=3)


def is_seen(mutant: Mutant, cases: Sequence[Case], folder: Path) -> bool:
    """Whether a run of the layers differs from the simulator."""
    program = icarus(MACHINE, folder, mutant.write(SOURCES, folder / "sources"))
    try:
        return bool(compared(program, MACHINE, cases, most_cycles=2000)[0])
    except Stuck:
        return True
