"""Several processes that work on one model, each on examples of its own.

`accelerate launch` and torchrun start them, and tell each of them by environment variables who the
others are. Every process holds the whole model. Gradients are summed over all of them before the
pruner sees them, so weights, scores and masks stay the same everywhere; what is drawn at random
for all of them, as gates are, is the first one's.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparse_formats.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, device


@dataclass(frozen=True)
class Processes:
    """rank: which one this is, from 0 on. count: of all."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one writes what there is to write."""
        return self.rank == 0


ALONE = Processes()


def launched() -> Processes:
    """What the launcher says; one process alone without a launcher.

    Raises:
        InputError: it says no numbers.
    """
    given = {key: os.environ.get(key, default) for key, default in _VARIABLES.items()}
    try:
        found = Processes(int(given["RANK"]), int(given["WORLD_SIZE"]))
    except ValueError:
        said = ", ".join(f"{key}={value}" for key, value in given.items())
        raise InputError(f"the environment has {said}; give whole numbers, or none") from None
    return found if found.count > 1 else ALONE


_VARIABLES = {"RANK": "0", "WORLD_SIZE": "1"}


def local_device(name: str) -> str:
    """The device of this process, where each has its own: "cuda" becomes "cuda:1" in the second."""
    if name != "cuda" or launched().count == 1:
        return name
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"


@contextlib.contextmanager
def joined(place: "device") -> Iterator[Processes]:
    """Connected with the other processes while the block runs.

    Raises:
        InputError: they cannot be reached.
    """
    import torch

    found = launched()
    if found.count == 1 or torch.distributed.is_initialized():
        yield found
        return
    if place.type == "cuda":
        torch.cuda.set_device(place)
    try:
        torch.distributed.init_process_group("nccl" if place.type == "cuda" else "gloo")
    except (ValueError, RuntimeError) as error:
        said = str(error).splitlines()[0]
        raise InputError(
            f"the environment has WORLD_SIZE={found.count}, but the other processes cannot be "
            f"reached ({said}); start all with accelerate launch or torchrun, or unset WORLD_SIZE"
        ) from error
    try:
        yield found
    finally:
        torch.distributed.destroy_process_group()


@contextlib.contextmanager
def first_before_others() -> Iterator[None]:
    """Let the first process run the block before the others do, as it may put files in order."""
    if not are_connected():
        yield
        return
    from torch import distributed

    is_first = distributed.get_rank() == 0
    if not is_first:
        distributed.barrier()
    yield
    if is_first:
        distributed.barrier()


def are_connected() -> bool:
    """Whether there are other processes to agree with."""
    import torch

    return torch.distributed.is_available() and torch.distributed.is_initialized()


def summed(values: "Iterable[Tensor]") -> None:
    """Put the sums over all processes in place of `values`."""
    if not are_connected():
        return
    from torch import distributed

    # A transposed matrix must be laid out again to be sent.
    sent = [(value, value.contiguous()) for value in values]
    waiting = [distributed.all_reduce(one, async_op=True) for _, one in sent]
    for (value, one), work in zip(sent, waiting, strict=True):
        assert work is not None
        work.wait()
        if one is not value:
            value.copy_(one)


def largest(values: "Tensor") -> "Tensor":
    """The largest of each value over all processes."""
    if are_connected():
        from torch import distributed

        distributed.all_reduce(values, distributed.ReduceOp.MAX)
    return values


def of_first(values: "Tensor") -> "Tensor":
    """`values`, changed to those of the first process."""
    if are_connected():
        from torch import distributed

        sent = values.contiguous()
        distributed.broadcast(sent, 0)
        if sent is not values:
            values.copy_(sent)
    return values


def of_each(values: "Tensor", place: "device") -> "list[Tensor]":
    """`values`, which lie on the CPU and are of one size everywhere, of each process.

    place: the model's device.
    """
    if not are_connected():
        return [values]
    import torch
    from torch import distributed

    here = values.to(place)
    every = [torch.empty_like(here) for _ in range(distributed.get_world_size())]
    distributed.all_gather(every, here)
    return [one.cpu() for one in every]
