"""Do samples have the figure as their mean, and their spread the right standard error?"""

import numpy as np

from pruning.evaluation.figures import (
    correlation_influences,
    figures_of,
    ratio_samples,
)
from pruning.evaluation.similarity import agreement, matrix_agreement


def test_samples_of_a_ratio_have_it_as_mean() -> None:
    found = ratio_samples(np.array([3.0, 9.0]), np.array([1.0, 2.0]))
    # 12 / 3 = 4; the first window has 1 less than its share, over 1.5 a window.
    assert found.tolist() == [4 - 1 / 1.5, 4 + 1 / 1.5]


def test_influences_are_what_leaving_out_a_pair_does() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=400)
    y = x + draw.normal(size=400)
    whole = np.corrcoef(x, y)[0, 1]
    without = [np.corrcoef(np.delete(x, i), np.delete(y, i))[0, 1] for i in range(400)]
    jackknife = 399 * (whole - np.array(without))
    found = correlation_influences(x, y)
    assert abs(found.mean()) < 1e-12
    assert np.abs(found - jackknife).max() < 0.05 * np.abs(jackknife).max()


def test_a_side_that_does_not_vary_has_no_influence() -> None:
    assert not correlation_influences(np.ones(3), np.arange(3.0)).any()


def test_the_error_of_pairs_counts_texts_and_not_pairs() -> None:
    draw = np.random.default_rng(1)

    def once() -> tuple[float, float]:
        vectors = draw.normal(size=(30, 2))
        # People see the first of two directions.
        human = np.multiply.outer(vectors[:, 0], vectors[:, 0])
        found = matrix_agreement(lambda texts: vectors, ["text"] * 30, human)  # type: ignore[arg-type]
        assert abs(found.samples.mean() - found.pearson) < 1e-9
        return found.pearson, float(found.samples.std(ddof=1) / np.sqrt(30))

    figures, errors = zip(*(once() for _ in range(200)), strict=True)
    # The spread over 200 draws is the truth.
    assert 0.7 < np.mean(errors) / np.std(figures) < 1.4


def test_figures_leave_samples_out() -> None:
    found = agreement(np.array([1.0, 2, 3]), np.array([1.0, 2, 4]))
    assert list(figures_of(found)) == ["pearson", "spearman", "pairs"]
    assert len(found.samples) == 3
