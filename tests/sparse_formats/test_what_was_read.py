"""Do the first lines and the JSON say what of a file is worked on, what is not, and why?"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from accel_sim.__main__ import COMMANDS as SIMULATOR
from pruning.__main__ import COMMANDS as PRUNING
from sparse_formats.__main__ import COMMANDS as FORMATS
from sparse_formats.files.mask_file import read_masks
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
from sparse_formats.masks.what_was_read import what_was_read
from sparse_formats.terminal.command import call

QUERY = "h.0.attn.q_proj.weight"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """32 weights in a layer; 80 + 36 + 16 numbers besides, i.e. 80.5 % of 164."""
    arrays = {
        QUERY: np.eye(4, 8, dtype=np.float32),
        "wte.weight": np.ones((10, 8), np.float32),
        "patch.conv.weight": np.ones((2, 2, 9), np.float32),
        "h.0.attn.bias": np.ones((4, 4), np.float32),
        "h.0.ln.weight": np.ones(8, np.float32),
    }
    save_file(arrays, tmp_path / "model.safetensors")
    return tmp_path


def test_is_everything_of_two_axes_counted_and_named(model: Path) -> None:
    read = what_was_read(read_masks(model).shapes, read_masks(model).header, {QUERY}, "m")
    assert (read["matrices"], read["weights"]) == (1, 32)
    assert {item["name"]: item["shape"] for item in read["left_out"]} == {
        "wte.weight": [10, 8],
        "patch.conv.weight": [2, 2, 9],
        "h.0.attn.bias": [4, 4],
    }
    first, second = read["sentences"]
    assert first == "Read 1 matrix with 32 weights from m."
    assert second.startswith("3 arrays with 132 numbers (80.5 %) were left out (wte.weight: an emb")
    assert "patch.conv.weight: a convolution of 3 axes" in second


@pytest.mark.parametrize(
    ("commands", "command", "place"),
    [(SIMULATOR, "run", "mask"), (FORMATS, "inspect", "mask")],
)
def test_do_the_first_lines_and_the_json_of_commands_say_it(
    model: Path,
    capsys: pytest.CaptureFixture[str],
    commands: Any,
    command: str,
    place: str,
) -> None:
    assert not call(commands, command, "--mask", str(model))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Read 1 matrix with 32 weights from {model.name}."
    assert lines[1].startswith("3 arrays with 132 numbers (80.5 %) were left out")
    assert not call(commands, command, "--mask", str(model), "--json", "-")
    read = json.loads(capsys.readouterr().out)[place]["read"]
    assert read["sentences"] == lines[:2] and len(read["left_out"]) == 3


def test_does_prune_say_it(
    model: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--model", str(model), "--pattern", "fine", "--sparsity", "0.5")
    out = ("--out", str(tmp_path_factory.mktemp("out") / "out.npz"))
    assert not call(PRUNING, "prune", *arguments, *out)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Read 1 matrix with 32 weights from {model.name}."
    assert lines[1].startswith("3 arrays with 132 numbers (80.5 %) were left out")
    assert not call(PRUNING, "prune", *arguments, *out, "--json", "-")
    assert json.loads(capsys.readouterr().out)["read"]["sentences"] == lines[:2]


@pytest.mark.parametrize("junk", [5, ["a"], [{"name": "x"}], {"a": 1}])
def test_does_a_header_of_another_program_do_no_harm(junk: Any) -> None:
    header = {"left_out": junk, "decoded": junk, "stored_in_out": junk}
    masks = MaskSet((MaskedMatrix("m", np.ones((2, 2), np.bool_)),), header)
    assert what_was_read(masks.shapes, masks.header, {"m"})["sentences"] == [
        "Read 1 matrix with 4 weights."
    ]
