"""Which matrices of a file a command works on."""

import re
from collections.abc import Iterable, Sequence

from sparse_formats.errors import InputError, SettingError
from sparse_formats.masks.matrix_names import NOT_IN_A_LAYER, kind_of, layer_of

LEFT_ALONE = ("embedding", "head")
"""Kinds nobody prunes or simulates unless asked for."""


def select(
    names: Iterable[str],
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    leave: Sequence[str] = LEFT_ALONE,
) -> list[str]:
    """The `names` to work on, in the order given.

    include, exclude: regular expressions searched anywhere in a name. With `include` exactly the
    matching names are taken, embeddings too; without it all but the kinds in `leave`, or simply
    all where no name is recognised as a matrix of a layer. `exclude` then removes.

    Raises:
        InputError: a pattern is no regular expression, or nothing is left.
    """
    every = list(names)
    wanted, unwanted = (
        [compiled(pattern, setting) for pattern in patterns]
        for setting, patterns in (("include", include), ("exclude", exclude))
    )
    kinds = {name: kind_of(name) for name in every}
    recognised = any(
        kind not in NOT_IN_A_LAYER or (kind == "other" and layer_of(name) is not None)
        for name, kind in kinds.items()
    )

    def taken(name: str) -> bool:
        if any(pattern.search(name) for pattern in unwanted):
            return False
        if wanted:
            return any(pattern.search(name) for pattern in wanted)
        return not (recognised and kinds[name] in leave)

    chosen = [name for name in every if taken(name)]
    if not chosen:
        shown = ", ".join(every[:5]) + (", …" if len(every) > 5 else "")
        raise InputError(
            f"no matrix is left after include {list(include)} and exclude {list(exclude)}: "
            f"the file holds {shown or 'none'}; loosen the patterns"
        )
    return chosen


def compiled(pattern: str, setting: str) -> re.Pattern[str]:
    """The regular expression `pattern`, which was given for `setting`.

    Raises:
        SettingError: it is no regular expression.
    """
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise SettingError(
            setting,
            f"{pattern!r} is not a regular expression: {error}; "
            "escape special characters with a backslash",
        ) from error
