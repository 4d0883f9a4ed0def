"""Do the floors measure what they say, and leave the model as it was? Does the command?"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pruning.__main__ import COMMANDS
from pruning.evaluation.comparison import measured
from pruning.models.opening import OpenModel, assemble
from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import write_masks
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
from sparse_formats.terminal.command import call

torch = pytest.importorskip("torch")

Tiny = Callable[..., Any]


@dataclass(frozen=True)
class Kept:
    nonzero: int
    total: float


def kept(opened: OpenModel) -> Kept:
    weights = [matrix.weight() for matrix in opened.matrices]
    return Kept(
        sum(int(np.count_nonzero(w)) for w in weights), float(sum(np.abs(w).sum() for w in weights))
    )


def half(opened: OpenModel) -> MaskSet:
    return MaskSet(
        tuple(
            MaskedMatrix(m.name, np.abs(m.weight()) > np.median(np.abs(m.weight())))
            for m in opened.matrices
        )
    )


def test_floors_have_the_density_of_the_mask(tiny: Tiny) -> None:
    opened = assemble("tiny", "causal", tiny("gpt2"), None)
    size = sum(matrix.weight().size for matrix in opened.matrices)
    before = [matrix.weight() for matrix in opened.matrices]
    found = measured(opened, kept, half(opened))
    assert list(found) == ["dense", "masked", "random mask", "zeroed"]
    assert [f["nonzero"] for f in found.values()] == [size, size // 2, size // 2, 0]
    # The larger half weighs more than a random half.
    assert found["masked"]["total"] > 1.5 * found["random mask"]["total"]
    for matrix, weight in zip(opened.matrices, before, strict=True):
        assert np.array_equal(matrix.weight(), weight)
    assert list(measured(opened, kept)) == ["dense", "zeroed"]
    assert list(measured(opened, kept, half(opened), floors=False)) == ["dense", "masked"]


def run(*arguments: object) -> None:
    call(COMMANDS, *arguments)


def test_the_command_prints_and_writes_the_figures(
    tiny: Tiny, words: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    model = tiny("llama")
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    write_masks(tmp_path / "mask.npz", half(assemble("tiny", "causal", model, None)))
    (tmp_path / "text").write_text(" ".join(f"w{i % 40}" for i in range(200)))
    given = ["eval", "--model", folder, "--mask", tmp_path / "mask.npz"]
    run(*given, "--text", tmp_path / "text", "--length", "20", "--json", tmp_path / "out.json")
    printed = capsys.readouterr().out
    report = json.loads((tmp_path / "out.json").read_text())
    assert list(report["figures"]) == ["dense", "masked", "random mask", "zeroed"]
    # The mask's weights are the model's own.
    assert report["notes"] == [] and "differ" not in printed
    for variant, figures in report["figures"].items():
        assert figures["stride"] == 20
        assert f"{figures['per_token']:.2f}" in printed, variant
    # A mask file whose weights were written transposed: square ones fit, and that is said.
    opened = assemble("tiny", "causal", model, None)
    square = next(m for m in opened.matrices if m.shape[0] == m.shape[1])
    turned = MaskedMatrix.from_array(square.name, square.weight().T.copy())
    write_masks(tmp_path / "turned.npz", MaskSet((turned,)))
    given = ["eval", "--model", folder, "--mask", tmp_path / "turned.npz"]
    run(*given, "--text", tmp_path / "text", "--length", "20", "--json", tmp_path / "out.json")
    (note,) = json.loads((tmp_path / "out.json").read_text())["notes"]
    assert note.startswith(f"In 1 of 1 matrices ({square.name}) the kept weights of the mask file")
    assert "differ from those of the model" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(InputError, match="give one of --text, --table, --squad, --documents"):
        run(*given)
    with pytest.raises(InputError, match="it is the input"):
        run(*given, "--text", tmp_path / "text", "--json", tmp_path / "text")
