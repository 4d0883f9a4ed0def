"""The course of a run, written while it goes on: as lines of JSON, or as TensorBoard reads it.

A run that is taken up again goes on in the same place; steps that it does again replace those that
were written before.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from sparse_formats.errors import InputError
from sparse_formats.files.atomic import write_text


@dataclass(frozen=True)
class Step:
    """One step of a run, counted from 1.

    loss: of the labels. density: kept share of the pruned matrices, from the next step on.
    learning_rate: of the weights. gradient_norm: before it is clipped. seconds: since the run
    began or was taken up.
    """

    step: int
    loss: float
    density: float
    learning_rate: float
    gradient_norm: float
    seconds: float


Log = Callable[[Step], None]
"""Writes a step down."""

OpenLog = Callable[[Path], "contextlib.AbstractContextManager[Log]"]


def no_log(step: Step) -> None:
    """Write nothing."""


@contextlib.contextmanager
def jsonl_log(path: Path) -> Iterator[Log]:
    """One JSON object a line, with the fields of `Step`.

    Raises:
        InputError: the file cannot be written.
    """
    file: Any = None

    def write(step: Step) -> None:
        nonlocal file
        if file is None:
            write_text(path, "".join(_before(path, step.step)))
            file = path.open("a", encoding="utf-8")
        file.write(msgspec.json.encode(asdict(step)).decode() + "\n")
        file.flush()

    try:
        yield write
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; give another name") from error
    finally:
        if file is not None:
            file.close()


def _before(path: Path, first: int) -> Iterator[str]:
    """The lines of the file about steps before the first one to be written."""
    if first == 1 or not path.is_file():
        return
    for line in path.read_text("utf-8", "replace").splitlines(keepends=True):
        with contextlib.suppress(msgspec.DecodeError, msgspec.ValidationError):
            if line.endswith("\n") and msgspec.json.decode(line, type=_Line).step < first:
                yield line


class _Line(msgspec.Struct):
    step: int


@contextlib.contextmanager
def tensorboard_log(folder: Path) -> Iterator[Log]:
    """An event file in `folder`, with one scalar for each field of `Step`.

    Raises:
        InputError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError(
            "log tensorboard needs TensorBoard; install with pip install -e '.[log]', or give jsonl"
        ) from None
    writer: Any = None

    def write(step: Step) -> None:
        nonlocal writer
        if writer is None:
            writer = SummaryWriter(str(folder), purge_step=step.step)
        for name, value in asdict(step).items():
            if name != "step":
                writer.add_scalar(name, value, step.step)
        writer.flush()

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()


LOGS: Mapping[str, OpenLog] = {"jsonl": jsonl_log, "tensorboard": tensorboard_log}
