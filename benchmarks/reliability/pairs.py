"""Run the same command twice at once into one output.

Both may end well, or one of them is refused with a message; the output is that of one of them.
"""

from dataclasses import dataclass

from benchmarks.reliability.commands import Writer
from benchmarks.reliability.processes import start


@dataclass(frozen=True)
class Pairs:
    """How many pairs ran, and in how many of them one run was refused."""

    pairs: int
    refused: int


def pair(writer: Writer, count: int) -> Pairs:
    """Run a command `count` times in two processes at once.

    Raises:
        AssertionError: both were refused, one ended otherwise, or what is left is not whole.
    """
    refused = 0
    for number in range(count):
        both = [start(writer.words(n)) for n in (10 + number, 30 + number)]
        ends = [process.wait() for process in both]
        for code, text in ends:
            assert code == 0 or (code == 2 and "error: " in text), f"exit status {code}: {text}"
        codes = [code for code, _ in ends]
        assert 0 in codes, f"both runs were refused: {ends}"
        refused += 2 in codes
        writer.check()
    return Pairs(count, refused)
