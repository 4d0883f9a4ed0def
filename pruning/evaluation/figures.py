"""What measures of quality share: figures by name, and how far each text contributes to the first.

A figure alone does not tell whether a difference is more than chance. So every measure also gives
`samples`: one number for each text, question, row or window, whose mean is the main figure (of a
perplexity, its logarithm). Two models that were measured on the same data are compared text by
text; the mean of the differences has a standard error.

Where the figure is no mean, the samples are the figure plus the influence of each text on it (the
infinitesimal jackknife: Efron, "The Jackknife, the Bootstrap and Other Resampling Plans", 1982).
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Figures of one model on one file of data; a measure inherits it.

    MAIN: the field by which models are compared. IS_LOWER_BETTER: whether a good model has a low
    one. IS_LOGARITHM: whether samples have the mean log(main) and not main itself.
    samples: float64 (texts,), see the module.
    """

    MAIN: ClassVar[str]
    IS_LOWER_BETTER: ClassVar[bool] = False
    IS_LOGARITHM: ClassVar[bool] = False

    samples: Samples = field(default_factory=lambda: np.empty(0), repr=False, compare=False)


def figures_of(found: Any) -> dict[str, Any]:
    """The figures of a measure by name, without its samples."""
    names = [each.name for each in dataclasses.fields(found) if each.name != "samples"]
    return {name: getattr(found, name) for name in names}


def ratio_samples(parts: Samples, sizes: Samples) -> Samples:
    """Samples of Σ parts / Σ sizes, e.g. of losses and tokens of windows."""
    ratio = parts.sum() / sizes.sum()
    return ratio + (parts - ratio * sizes) / sizes.mean()


def correlation_influences(x: NDArray[np.floating], y: NDArray[np.floating]) -> Samples:
    """How far each pair moves Pearson's r; their mean is 0. All 0 where one side does not vary."""
    a, b = _standardised(x), _standardised(y)
    r = float((a * b).mean())
    return a * b - r * (a * a + b * b) / 2


def _standardised(x: NDArray[np.floating]) -> Samples:
    centred = np.asarray(x, np.float64) - np.mean(x)
    width = float(np.sqrt((centred * centred).mean()))
    return centred / width if width > 0 else np.zeros_like(centred)
