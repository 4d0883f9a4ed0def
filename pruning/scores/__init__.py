"""Scores: how important is each weight? One file per score, listed here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pruning.scores.first_order import first_order
from pruning.scores.fisher import fisher
from pruning.scores.magnitude import magnitude
from pruning.scores.obs import obs
from pruning.scores.random import uniform
from pruning.scores.sparsegpt import sparsegpt
from pruning.scores.wanda import wanda
from pruning.statistics.evidence import Evidence, check_needs
from sparse_formats.errors import InputError, nearest


@dataclass(frozen=True)
class Score:
    """A score and what it asks for.

    importance: evidence of a matrix → importance ≥ 0, float32 (out, in).
    needs: the fields of `Evidence`, besides weight and rng, that must be known.
    is_comparable: the unit is the same in every matrix (loss, or output error); other scores are
        brought to unit mean before matrices compete.
    """

    importance: Callable[[Evidence], NDArray[np.float32]]
    needs: tuple[str, ...] = ()
    is_comparable: bool = False


SCORES: Mapping[str, Score] = {
    "magnitude": Score(magnitude),
    "random": Score(uniform),
    "first_order": Score(first_order, ("gradient",), is_comparable=True),
    "fisher": Score(fisher, ("squared_gradient",), is_comparable=True),
    "wanda": Score(wanda, ("input_squares",)),
    "sparsegpt": Score(sparsegpt, ("gram",)),
    "obs": Score(obs, ("gram",)),
}


def importance(name: str, evidence: Evidence, score: str) -> NDArray[np.float32]:
    """The score called `score` of the matrix called `name`.

    Raises:
        InputError: no such score, a statistic it needs is missing, or numbers beyond float32.
    """
    check_score(score)
    check_needs(evidence, SCORES[score].needs, score, name)
    with np.errstate(over="ignore"):
        found = SCORES[score].importance(evidence)
    if not np.isfinite(found).all():
        raise InputError(
            f"matrix {name}: weights or their {score} exceed the range of float32; scale them down"
        )
    return found


def check_score(score: str) -> None:
    """InputError unless `score` is known."""
    if score not in SCORES:
        raise InputError(f"unknown score {score!r}{nearest(score, SCORES)}")
