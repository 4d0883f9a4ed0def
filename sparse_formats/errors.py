"""The exceptions that mean "your input", as opposed to "our bug"."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line: what is wrong, where, what was found, what to do.
    Command lines print it as ``error: …`` and exit with status 2; every other
    exception is a bug and shows its traceback.
    """


class SettingError(InputError):
    """A setting has a value that cannot be used.

    setting: the name of the field or parameter, as Python has it. reason: the rest of a sentence
    that begins with the setting: ``SettingError("tokens", "is 0; give a whole number from 1 up")``.
    Command lines name the flag, or the key of the file, in the setting's place.
    """

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(f"{setting} {reason}")
        self.setting = setting
        self.reason = reason

    def __reduce__(self) -> tuple[type["SettingError"], tuple[str, str]]:
        # Made again from both in another process; the message alone would not do.
        return type(self), (self.setting, self.reason)


SHOWN = 20
"""Known words an error lists; a model has hundreds of matrices."""


def nearest(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the closest known word, else the first of the known words."""
    words = sorted(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join([*words[:SHOWN], *(['…'] if len(words) > SHOWN else [])])}"
