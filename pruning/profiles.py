"""How sparsity is spread over the layers of a model: evenly, as listed, or by outliers.

By outliers: with D_l the share of a layer's importances that are more than 5 times their mean,
each layer's density differs from the mean by up to 8 points, more where D_l is larger:

    density_l = 1 − S + 2 · 0.08 · (D_l − mean D) / (max D − min D)

Source: OWL (Yin et al. 2023, "Outlier Weighed Layerwise Sparsity"), where importance is that of
Wanda; 5 and 0.08 are the values remembered of its code. Here it is that of the recipe's score.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from pruning.patterns.pattern import Target
from sparse_formats.errors import SettingError
from sparse_formats.masks.matrix_names import layer_of

UNIFORM, OWL = "uniform", "owl"

PROFILES = (UNIFORM, OWL)

OUTLIER, SPREAD = 5.0, 0.08

_ACROSS_LAYERS = ("kind", "global")
"""Budgets that matrices of several layers share."""


def listed(profile: str) -> tuple[float, ...]:
    """The sparsities that a profile lists; none where it is a name.

    Raises:
        SettingError: neither a name nor sparsities from 0 to 1.
    """
    if profile in PROFILES:
        return ()
    try:
        found = tuple(float(part) for part in profile.split(","))
    except ValueError:
        found = (-1.0,)
    if not all(0 <= sparsity <= 1 for sparsity in found):
        raise SettingError(
            "profile",
            f"is {profile!r}; give {', '.join(PROFILES)}, or a sparsity from 0 to 1 for each layer "
            "from the first on, e.g. 0.6,0.7,0.8",
        )
    return found


def check_profile(profile: str, budget: str) -> None:
    """SettingError where the profile cannot be used, or contradicts the budget."""
    listed(profile)
    if profile != UNIFORM and budget in _ACROSS_LAYERS:
        raise SettingError(
            "profile",
            f"is {profile!r}, but with budget {budget} layers share what is kept; give budget "
            "matrix or row",
        )


def layer_sparsities(
    profile: str, targets: Sequence[Target], sparsity: float
) -> Mapping[int, float]:
    """The sparsity of each layer by its number; what is in no layer has `sparsity`.

    Raises:
        SettingError: a list that is not as long as the model has layers.
    """
    if profile == UNIFORM:
        return {}
    by_layer: dict[int, list[Target]] = {}
    for target in targets:
        if (layer := layer_of(target.name)) is not None:
            by_layer.setdefault(layer, []).append(target)
    if stated := listed(profile):
        if len(stated) != len(by_layer):
            raise SettingError(
                "profile",
                f"lists {len(stated)} sparsities, but the matrices are in {len(by_layer)} layers; "
                "give one for each",
            )
        return dict(zip(sorted(by_layer), stated, strict=True))
    shares = {layer: _outliers(mine) for layer, mine in by_layer.items()}
    if not shares:
        return {}
    values = np.array(list(shares.values()))
    width = float(values.max() - values.min()) or 1.0
    return {
        layer: float(np.clip(sparsity - 2 * SPREAD * (share - values.mean()) / width, 0, 1))
        for layer, share in shares.items()
    }


def _outliers(targets: Sequence[Target]) -> float:
    """The share of importances beyond `OUTLIER` times the mean of the layer."""
    size = sum(t.scores.size for t in targets)
    mean = sum(float(t.scores.sum(dtype=np.float64)) for t in targets) / size
    return sum(int(np.count_nonzero(t.scores > OUTLIER * mean)) for t in targets) / size
