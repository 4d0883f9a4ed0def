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

from kernels.loops.simd import now, pause

Call = tuple[Callable[..., None], tuple[Any, ...]]
"""A compiled function, which releases the interpreter's lock, and its arguments."""

LOOKS = 1 << 14
"""Times that a thread looks before it sleeps; one takes 10 to 40 ns."""


def run(shares: Sequence[Sequence[Call]]) -> None:
    """The calls of each share one after the other; the shares at once, the first one here."""
    helpers = _helpers(len(shares) - 1)
    # Whoever comes second has its product computed all the same, by itself.
    is_ours = helpers.lock.acquire(blocking=False)
    try:
        if not is_ours:
            for share in shares:
                call(share)
            return
        for helper, share in zip(helpers.threads, shares[1:], strict=True):
            helper.start_on(share)
        call(shares[0])
        for helper in helpers.threads:
            helper.wait()
    finally:
        if is_ours:
            helpers.lock.release()


def call(share: Sequence[Call]) -> None:
    for function, arguments in share:
        function(*arguments)


class _Helper:
    """given, done: how many shares it was given and has finished, each written by one thread."""

    def __init__(self) -> None:
        self.given, self.done = np.zeros(1, np.int64), np.zeros(1, np.int64)
        self.share: Sequence[Call] = ()
        self.error: BaseException | None = None
        self.is_asleep = False
        self.wake = threading.Semaphore(0)
        threading.Thread(target=self._work, name="spmm", daemon=True).start()

    def start_on(self, share: Sequence[Call]) -> None:
        self.share = share
        self.given[0] += 1
        if self.is_asleep:
            self.wake.release()

    def wait(self) -> None:
        """Until the share is finished.

        Raises:
            BaseException: what the share raised.
        """
        while not _reached(self.done, self.given[0], LOOKS):
            pass
        error, self.error = self.error, None
        if error is not None:
            raise error

    def _work(self) -> None:
        next_share = 1
        while True:
            if not _reached(self.given, next_share, LOOKS):
                # Whoever gives a share writes its number first and looks then whether to wake us.
                self.is_asleep = True
                while self.given[0] < next_share:
                    self.wake.acquire()
                self.is_asleep = False
            try:
                call(self.share)
            except BaseException as error:
                self.error = error
            self.done[0] = next_share
            next_share += 1


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
