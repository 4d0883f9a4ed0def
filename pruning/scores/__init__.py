"""Scores: how important is each weight? One file per score, listed here."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pruning.scores import first_order, fisher, magnitude, obs, random, sparsegpt, wanda
from pruning.scores.score import Score
from pruning.statistics.matrix_statistics import Statistics, check_needs
from sparse_formats.errors import InputError, SettingError, nearest

SCORES: Mapping[str, Score] = {
    "magnitude": magnitude.SCORE,
    "random": random.SCORE,
    "first_order": first_order.SCORE,
    "fisher": fisher.SCORE,
    "wanda": wanda.SCORE,
    "sparsegpt": sparsegpt.SCORE,
    "obs": obs.SCORE,
}


def importance(name: str, known: Statistics, score: str) -> NDArray[np.float32]:
    """The score called `score` of the matrix called `name`.

    Raises:
        InputError: no such score, a statistic it needs is missing, or numbers beyond float32.
    """
    check_score(score)
    check_needs(known, SCORES[score].needs, score, name)
    with np.errstate(over="ignore"):
        found = SCORES[score].importance(known)
    if not np.isfinite(found).all():
        raise InputError(
            f"matrix {name}: weights or their {score} exceed the range of float32; scale them down"
        )
    return found


def check_score(score: str) -> None:
    """InputError unless `score` is known."""
    if score not in SCORES:
        raise SettingError("score", f"is {score!r}{nearest(score, SCORES)}")
