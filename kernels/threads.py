"""Threads that help with a product.

Waking a thread takes 0.05 ms, and 0.3 ms on a virtual machine, as long as a small product. So after
its work a helper looks for more for about half a millisecond before it sleeps: products that follow
each other, as the layers of a model do, find it awake. A thread of an OpenMP runtime would do so
for longer, against the threads of torch and MKL in the same process.
"""

import os
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.loops.counters import now, pause

Call = tuple[Callable[..., None], tuple[Any, ...]]
"""A compiled function, which releases the interpreter's lock, and its arguments."""

LOOKS = 1 << 14
"""Times that a thread looks before it sleeps; one takes 10 to 40 ns."""


def run(shares: Sequence[Sequence[Call]]) -> None:
    """The calls of each share one after the other; the shares at once, the first one here.

    A share that no helper has begun when the first one is finished is computed here too: the
    processor may be busy with other programs.
    """
    helpers = _helpers(len(shares) - 1)
    # Whoever comes second has its product computed all the same, by itself.
    if not helpers.lock.acquire(blocking=False):
        for share in shares:
            call(share)
        return
    try:
        for helper, share in zip(helpers.threads, shares[1:], strict=True):
            helper.give(share)
        try:
            call(shares[0])
        finally:
            errors = [helper.finish() for helper in helpers.threads]
        for error in filter(None, errors):
            raise error
    finally:
        helpers.lock.release()


def call(share: Sequence[Call]) -> None:
    for function, arguments in share:
        function(*arguments)


class _Helper:
    """given, done: the number of the share that was given last, and of that it finished last."""

    def __init__(self) -> None:
        self.given, self.done = np.zeros(1, np.int64), np.zeros(1, np.int64)
        self.share: Sequence[Call] | None = None
        self.error: BaseException | None = None
        self.lock = threading.Lock()
        self.is_asleep = self.is_awaited = False
        self.wake, self.finished = threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=self._work, name="spmm", daemon=True).start()

    def give(self, share: Sequence[Call]) -> None:
        self.share = share
        self.given[0] += 1
        if self.is_asleep:
            self.wake.release()

    def finish(self) -> BaseException | None:
        """The share is finished after this, by whomever; returns what it raised."""
        if (share := self._taken()) is not None:
            try:
                call(share)
            except BaseException as error:
                return error
            return None
        _await(self.done, int(self.given[0]), self, "is_awaited", self.finished)
        error, self.error = self.error, None
        return error

    def _taken(self) -> Sequence[Call] | None:
        """The share that was given, for the first who asks."""
        with self.lock:
            share, self.share = self.share, None
            return share

    def _work(self) -> None:
        number = 0
        while True:
            _await(self.given, number + 1, self, "is_asleep", self.wake)
            # Whoever gave it waits until it is done, if it is taken here; if not, may give others.
            number = int(self.given[0])
            share = self._taken()
            if share is None:
                continue
            number = int(self.given[0])
            try:
                call(share)
            except BaseException as error:
                self.error = error
            self.done[0] = number
            if self.is_awaited:
                self.finished.release()


def _await(
    counter: NDArray[np.int64], wanted: int, helper: _Helper, sign: str, bell: threading.Semaphore
) -> None:
    """Until counter[0] is `wanted`: look for it for a while, then sleep.

    Who writes the counter does so first, and looks then at the `sign` of the helper whether to ring
    the `bell`; here it is the other way round. So the bell may ring for nothing, but never not.
    """
    if _reached(counter, wanted, LOOKS):
        return
    setattr(helper, sign, True)
    while counter[0] < wanted:
        bell.acquire()
    setattr(helper, sign, False)


class _Helpers:
    def __init__(self, count: int) -> None:
        self.threads = [_Helper() for _ in range(count)]
        self.lock = threading.Lock()


@cache
def _helpers(count: int) -> _Helpers:
    return _Helpers(count)


@njit(cache=True, nogil=True)
def _reached(counter: Any, wanted: int, looks: int) -> bool:
    """Whether counter[0] becomes `wanted` while one looks so many times."""
    for _ in range(looks):
        if now(counter) >= wanted:
            return True
        pause()
    return False


# A process that was forked off has none of the threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.cache_clear)
