"""Is a matrix that is encoded some rows at a time the same as one that is encoded at once?"""

import numpy as np
import pytest

from sparse_formats.formats.registry import FORMATS
from sparse_formats.masks import row_blocks
from tests.sparse_formats.test_streams import fitted


def test_blocks_are_all_rows_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_blocks, "AT_ONCE", 20)
    for rows, cols, height in ((7, 10, 2), (7, 30, 1), (3, 0, 20), (0, 5, 4)):
        found = [(block.start, block.stop) for block in row_blocks.row_blocks((rows, cols))]
        assert found == [(i, min(i + height, rows)) for i in range(0, rows, height)]


@pytest.mark.parametrize("format", ["hierarchical_n_m", "sum_n_m", "n_m_or_dense"])
@pytest.mark.parametrize("is_weighted", [True, False])
def test_formats_do_not_show_their_blocks(
    format: str, is_weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    keep = fitted(format, rng.random((37, 75)) < 0.4)
    weight = rng.normal(size=keep.shape).astype(np.float32) if is_weighted else None
    at_once = FORMATS[format].encode(keep, weight)
    monkeypatch.setattr(row_blocks, "AT_ONCE", 200)
    in_blocks = FORMATS[format].encode(keep, weight)
    assert in_blocks.to_bytes("float32" if is_weighted else None) == at_once.to_bytes(
        "float32" if is_weighted else None
    )


def test_a_refusal_names_the_row_of_the_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_blocks, "AT_ONCE", 64)
    keep = np.zeros((20, 32), np.bool_)
    keep[17, 4:8] = True
    for format in ("hierarchical_n_m", "n_m_or_dense"):
        with pytest.raises(ValueError, match=r"row 17, columns 4\.\.7 keep 4"):
            FORMATS[format].encode(keep)
