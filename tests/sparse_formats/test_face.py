"""Does what Python users call read what they have, and say what is wrong with it?"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparse_formats
from sparse_formats import InputError, MaskedMatrix, decompose, encode, read_masks, write_masks
from tests.sparse_formats.test_streams import fitted

KEEP = np.array([[True, False, True, True], [False, False, True, False]])
WEIGHT = np.where(KEEP, [[1, 0, 2, 3], [0, 0, 4, 0]], 0).astype(np.float32)


@pytest.mark.parametrize("form", [str, Path])
def test_are_masks_written_and_read_by_string_and_path(tmp_path: Path, form: Any) -> None:
    path = form(tmp_path / "out.npz")
    write_masks(path, {"h.0.mlp.c_fc": WEIGHT, "b": KEEP})
    first, second = read_masks(path).matrices
    assert (first.name, first.kind, second.name) == ("h.0.mlp.c_fc", "FFN1", "b")
    assert (first.keep == KEEP).all() and (second.keep == KEEP).all()
    assert first.weight is not None and (first.weight == WEIGHT).all()
    assert second.weight is None


def test_do_arrays_given_stay_as_they_are(tmp_path: Path) -> None:
    weight = np.array([[1.0, -0.0]])
    write_masks(tmp_path / "out.npz", {"q": weight})
    assert np.signbit(weight).tolist() == [[False, True]]


@pytest.mark.parametrize("format", sorted(sparse_formats.FORMATS))
def test_is_a_mask_encoded_by_the_name_of_a_format(format: str) -> None:
    keep = fitted(format, np.ones((16, 16), np.bool_))
    weight = np.arange(1, 257, dtype=np.float32).reshape(16, 16) * keep
    kept, weights = encode(keep, format, weight).decode()
    assert (kept == keep).all() and (weights == weight).all()
    again, nothing = encode(MaskedMatrix("m", keep), format).decode()
    assert (again == keep).all() and nothing is None


def test_are_parameters_of_a_format_passed_on() -> None:
    assert encode(np.ones((8, 8), np.bool_), "bsr", block=4).storage(16).values == 64 * 16
    with pytest.raises(InputError, match="not made of 16×16 blocks"):
        encode(np.eye(16, dtype=np.bool_), "bsr")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: read_masks({"q": KEEP}), "mask file is given as dict; give its path, as a string"),  # type: ignore[arg-type]
        (lambda: read_masks(b"out.npz"), "mask file is given as bytes"),  # type: ignore[arg-type]
        (lambda: sparse_formats.read_weights(3), "the model is given as int"),  # type: ignore[arg-type]
        (lambda: write_masks("x.npz", [KEEP]), "masks are given as list; give what read_masks"),  # type: ignore[arg-type]
        (lambda: write_masks("x.npz", {}), "there are no masks"),
        (lambda: write_masks("x.npz", {"q": KEEP[0]}), r"matrix q is 1-D bool; give a 2-D array"),
        (lambda: write_masks("x.npz", {"q": KEEP * 1j}), r"matrix q is 2-D complex128"),
        (lambda: write_masks("x.npz", {"q": np.array([["a"]])}), r"matrix q is 2-D <U1"),
        (lambda: write_masks("x.npz", {"q": WEIGHT * np.nan}), "matrix q has nan at row 0"),
        (lambda: encode(KEEP, "crs"), "format 'crs' is unknown; did you mean 'csr'"),
        (lambda: encode(KEEP, 3), "format 3 is unknown; known: bitmap, bsr"),  # type: ignore[arg-type]
        (lambda: encode(WEIGHT, "csr"), "the mask is 2-D float32; .*such as weight != 0"),  # type: ignore[arg-type]
        (lambda: encode([[True]], "csr"), "the mask is list; a mask is a 2-D boolean array"),  # type: ignore[arg-type]
        (lambda: encode(KEEP, "csr", WEIGHT.T), r"weight \(4, 2\) and mask \(2, 4\) differ"),
        (lambda: encode(KEEP, "csr", [[1]]), "weight is list; give an array"),  # type: ignore[arg-type]
        (lambda: encode(MaskedMatrix("m", KEEP), "csr", WEIGHT), "has its own weights"),
        (lambda: decompose(WEIGHT), "the mask is 2-D float32"),  # type: ignore[arg-type]
    ],
)
def test_is_a_wrong_type_told_in_one_line(call: Any, says: str) -> None:
    with pytest.raises(InputError, match=says) as told:
        call()
    assert "\n" not in str(told.value)
