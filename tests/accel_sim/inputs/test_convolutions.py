"""Do convolutions run as the products that they are, with the positions of their geometry?"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from accel_sim.inputs.activations import Activations
from accel_sim.inputs.convolutions import Convolution
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from sparse_formats.errors import InputError
from tests.accel_sim.command_line import call

pytestmark = pytest.mark.rule(rivals=1)

STEM = "conv1.weight"


def kernels(*shape: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    return np.where(rng.random(shape) < 0.4, rng.standard_normal(shape), 0).astype(np.float32)


def save(folder: Path, arrays: Mapping[str, Any]) -> Path:
    np.savez(folder / "net.npz", **arrays)
    return folder / "net.npz"


def geometry(folder: Path, text: str) -> Path:
    (folder / "net.toml").write_text(text)
    return folder / "net.toml"


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "output"),
    [
        # ResNet-50: the stem, a 3 × 3 that halves, a 1 × 1 that halves; and one of odd sides.
        ((224, 224), (7, 7), (2, 2), (3, 3), (112, 112)),
        ((56, 56), (3, 3), (2, 2), (1, 1), (28, 28)),
        ((56, 56), (1, 1), (2, 2), (0, 0), (28, 28)),
        ((9, 14), (3, 5), (1, 3), (0, 2), (7, 5)),
    ],
)
def test_are_output_positions_those_of_the_geometry(
    size: Any, kernel: Any, stride: Any, padding: Any, output: tuple[int, int]
) -> None:
    found = Convolution(8, 3, kernel, size, stride, padding)
    assert found.output_size == output
    # Counted: where the kernel may begin.
    starts = [range(-padding[i], size[i] + padding[i] - kernel[i] + 1, stride[i]) for i in range(2)]
    assert found.positions == len(starts[0]) * len(starts[1])


def test_is_an_unfolded_convolution_its_convolution(tmp_path: Path) -> None:
    # 5 outputs of 3 pictures of 6 × 7, kernel 3 × 2, stride (2, 1), padding 1.
    weight, rng = kernels(5, 3, 3, 2), np.random.default_rng(1)
    net = save(tmp_path, {STEM: weight})
    file = geometry(tmp_path, f'["{STEM}"]\ninput = [6, 7]\nstride = [2, 1]\npadding = 1\n')
    picture = rng.integers(-3, 4, (3, 6, 7)).astype(np.float32)
    padded = np.pad(picture, ((0, 0), (1, 1), (1, 1)))
    windows = [
        padded[:, y : y + 3, x : x + 2].reshape(-1)
        for y in range(0, 8 - 3 + 1, 2)
        for x in range(9 - 2 + 1)
    ]
    by_hand = [
        [float((window.reshape(3, 3, 2) * one.astype(np.float16)).sum()) for window in windows]
        for one in weight
    ]
    activations = Activations(1, recorded={STEM: np.array(windows)})
    work = Workload.of(net, activations, convolutions=file)
    outputs: dict[str, NDArray[Any]] = {}
    report = simulate(work, load_machine("optimus"), on_outputs=outputs.__setitem__)
    (layer,) = report.layers
    assert (layer.rows, layer.cols, layer.tokens) == (5, 18, 3 * 8)
    assert np.allclose(outputs[STEM], by_hand, rtol=1e-5, atol=1e-5)
    (note,) = [note for note in report.notes if "convolution" in note]
    assert "1 convolution (conv1.weight) runs as a product" in note
    assert "(conv1.weight: 3×8)" in note


def test_is_what_is_assumed_said(tmp_path: Path) -> None:
    arrays = {"a.weight": kernels(4, 2, 3, 3), "b.weight": kernels(4, 4, 1, 1), "c": kernels(6, 8)}
    work = Workload.of(arrays, Activations(17))
    report = simulate(work, load_machine("eie"))
    assert [layer.tokens for layer in report.layers] == [17, 17, 17]
    (note,) = [note for note in report.notes if "convolution" in note]
    assert "Of 2 the size of the input is not known (a.weight, …), so 17 positions" in note
    # A matrix is a convolution where the file says its kernel.
    file = geometry(tmp_path, '["c"]\ninput = 5\nkernel = 2\n["b.weight"]\ninput = 3\n')
    known = Workload.of(save(tmp_path, arrays), Activations(17), convolutions=file)
    assert known.tokens() == {"a.weight": 17, "b.weight": 9, "c": 16}
    assert known.convolutions["c"] == Convolution(6, 2, (2, 2), (5, 5))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no table"),
        ('["conv2.weight"]\ninput = 5\n', "no matrix conv2.weight.*conv1.weight"),
        (f'["{STEM}"]\nstrides = 2\n', "strides"),
        (f'["{STEM}"]\nstride = 0\n', ">= 1"),
        (f'["{STEM}"]\nkernel = 5\n', "its weights are 3×2"),
        (f'["{STEM}"]\ninput = [2, 9]\n', "larger than its input"),
        ('["fc"]\ninput = 5\n', "give its kernel too"),
        ('["fc"]\nkernel = 3\n', "no whole number of kernels"),
    ],
)
def test_is_geometry_that_cannot_be_refused(tmp_path: Path, text: str, says: str) -> None:
    net = save(tmp_path, {STEM: kernels(5, 3, 3, 2), "fc": kernels(4, 20)})
    with pytest.raises(InputError, match=says):
        Workload.of(net, convolutions=geometry(tmp_path, text))


def test_says_the_command_what_it_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    net = save(tmp_path, {STEM: kernels(5, 3, 3, 2)})
    file = geometry(tmp_path, f'["{STEM}"]\ninput = 9\n')
    out = tmp_path / "r.json"
    words = ("run", "--mask", str(net), "--accelerator", "eie")
    assert call(monkeypatch, *words, "--convolutions", str(file), "--json", str(out)) == 0
    assert "1 convolution (conv1.weight of 5×3×3×2) was read as matrices" in " ".join(
        capsys.readouterr().out.split()
    )
    report = json.loads(out.read_text())
    assert report["layers"][0]["tokens"] == 7 * 8
    assert f"--convolutions {file}" in report["command"]
    shapes = ("run", "--shapes", "8x8", "--convolutions", str(file))
    assert call(monkeypatch, *shapes) == 2
    assert "--convolutions is about those of a mask file" in capsys.readouterr().err
