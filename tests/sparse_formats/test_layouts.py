"""Are the arrays of other tools decoded, refused by name, or left out by name, never simulated?"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_masks, read_model, read_weights
from sparse_formats.masks.matrix import MaskedMatrix

RNG = np.random.default_rng(14)
DENSE = RNG.standard_normal((8, 16)).astype(np.float32)
KEEP = RNG.random((8, 16)) < 0.2
PRUNED = np.where(KEEP, DENSE, np.float32(0))
PLAIN = "layers.0.self_attn.q_proj.weight"


def saved(tmp_path: Path, arrays: dict[str, Any], ending: str = ".safetensors") -> Path:
    path = tmp_path / f"model{ending}"
    if ending == ".npz":
        np.savez(path, **arrays)
    else:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
    return path


def only(path: Path) -> MaskedMatrix:
    (matrix,) = read_masks(path).matrices
    return matrix


def left_out(path: Path) -> dict[str, str]:
    return {item["name"]: item["why"] for item in read_masks(path).header.get("left_out", [])}


# --- decoded ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".safetensors", ".npz"])
@pytest.mark.parametrize(
    ("weight", "mask"),
    [
        ("fc1.weight_orig", "fc1.weight_mask"),
        ("fc1.parametrizations.weight.original", "fc1.parametrizations.weight.0.mask"),
        ("fc1.weight", "fc1.weight_mask"),
    ],
)
def test_are_a_weight_and_its_torch_mask_one_matrix(
    tmp_path: Path, ending: str, weight: str, mask: str
) -> None:
    kept = KEEP.copy()
    kept[0, 0], values = True, DENSE.copy()
    values[0, 0] = 0  # kept by the mask, although it is zero
    path = saved(tmp_path, {weight: values, mask: kept.astype(np.float32)}, ending)
    matrix = only(path)
    assert (matrix.name, matrix.kind) == ("fc1.weight", "FFN1")
    assert (matrix.keep == kept).all()
    assert matrix.weight is not None
    assert (matrix.weight == np.where(kept, values, 0)).all()
    assert (read_weights(path)["fc1.weight"] == np.where(kept, values, 0)).all()
    assert read_masks(path).header["decoded"] == {"torch prune": ["fc1.weight"]}


def test_is_what_torch_prune_saves_read_as_torch_multiplies_it(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from torch.nn.utils import prune

    layer = torch.nn.Linear(32, 16)
    prune.random_unstructured(layer, "weight", amount=0.8)
    arrays = {f"fc1.{name}": tensor.numpy() for name, tensor in layer.state_dict().items()}
    matrix = only(saved(tmp_path, arrays))
    assert (matrix.keep == layer.weight_mask.numpy().astype(bool)).all()
    assert matrix.nnz == round(0.2 * 16 * 32)
    assert matrix.weight is not None and (matrix.weight == layer.weight.detach().numpy()).all()


def test_is_a_mask_alone_the_mask_of_its_weight(tmp_path: Path) -> None:
    matrix = only(saved(tmp_path, {"fc1.weight_mask": KEEP.astype(np.float32)}))
    assert (matrix.name, matrix.weight) == ("fc1.weight", None)
    assert (matrix.keep == KEEP).all()


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"fc1.weight_orig": DENSE}, "its mask fc1.weight_mask is not there"),
        ({"fc1.weight_orig": DENSE, "fc1.weight_mask": KEEP[:4]}, "has shape"),
        ({"fc1.weight_orig": DENSE, "fc1.weight_mask": DENSE}, "must hold only 0 and 1"),
        (
            {"fc1.weight_orig": DENSE, "fc1.weight_mask": KEEP, "fc1.weight": DENSE},
            "only one of the two",
        ),
    ],
)
def test_are_torch_masks_that_do_not_fit_refused(
    tmp_path: Path, arrays: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        read_masks(saved(tmp_path, arrays))


def bitmask(keep: NDArray[np.bool_], weight: NDArray[Any], width: int | None) -> dict[str, Any]:
    """What compressed-tensors writes: in 2:4 files the values have rows of `width`."""
    values, base = weight[keep], PLAIN.removesuffix(".weight")
    found: dict[str, Any] = {
        f"{base}.shape": np.array(keep.shape).reshape(-1, 1 if width else 2).squeeze(),
        f"{base}.compressed": values if width is None else values.reshape(-1, width),
        f"{base}.bitmask": np.packbits(keep, axis=-1, bitorder="little"),
    }
    if width is None:
        counts = keep.sum(axis=1)
        found[f"{base}.row_offsets"] = np.cumsum(counts) - counts
    return found


@pytest.mark.parametrize("cols", [16, 13])
def test_is_a_bitmask_of_compressed_tensors_read(tmp_path: Path, cols: int) -> None:
    keep = KEEP[:, :cols]
    matrix = only(saved(tmp_path, bitmask(keep, DENSE[:, :cols], None)))
    assert (matrix.name, matrix.kind) == (PLAIN, "Q")
    assert (matrix.keep == keep).all()
    assert matrix.weight is not None and (matrix.weight == PRUNED[:, :cols]).all()


def test_is_a_2_of_4_bitmask_read(tmp_path: Path) -> None:
    keep = np.zeros((8, 4, 4), bool)
    chosen = np.argsort(RNG.random((8, 4, 4)), axis=-1)[..., :2]
    np.put_along_axis(keep, chosen, True, axis=-1)
    keep = keep.reshape(8, 16)
    path = saved(tmp_path, bitmask(keep, DENSE, 8))
    assert (only(path).keep == keep).all()
    assert (read_weights(path)[PLAIN] == np.where(keep, DENSE, 0)).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"compressed": DENSE.ravel()[:3]}, "holds 3 values"),
        ({"shape": np.array([8, 99])}, "has shape"),
        ({"shape": np.array([8])}, "two whole numbers"),
        ({"compressed": None}, "is not there"),
    ],
)
def test_are_damaged_bitmasks_refused(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    base = PLAIN.removesuffix(".weight")
    arrays = bitmask(KEEP, DENSE, None) | {f"{base}.{k}": v for k, v in change.items()}
    with pytest.raises(InputError, match=says):
        read_masks(saved(tmp_path, {k: v for k, v in arrays.items() if v is not None}))


# --- refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", [read_masks, read_weights])
@pytest.mark.parametrize(
    ("name", "array", "says"),
    [
        ("layers.0.self_attn.k_proj.qweight", np.ones((2, 16), np.int32), "GPTQ or AWQ"),
        ("layers.0.self_attn.k_proj.qzeros", np.ones((1, 2), np.int32), "GPTQ or AWQ"),
        ("layers.0.self_attn.k_proj.scales", np.ones((1, 16), np.float16), "packed integers"),
        ("layers.0.mlp.experts.down_proj_blocks", np.ones((2, 4, 1, 16), np.uint8), "MXFP4"),
        ("layers.0.mlp.up_proj.weight_packed", np.ones((8, 2), np.int32), "compressed-tensors"),
        ("layers.0.mlp.up_proj.weight.absmax", np.ones(4, np.float32), "bitsandbytes"),
        ("layers.0.mlp.up_proj.weight.quant_map", np.ones(16, np.float32), "bitsandbytes"),
        ("layers.0.mlp.up_proj.SCB", np.ones(8, np.float32), "bitsandbytes"),
        ("layers.0.mlp.up_proj.weight_scale_inv", np.ones((1, 1), np.float32), "scale of"),
        ("layers.0.mlp.up_proj.weight", np.ones((8, 16), np.int8), "packed or quantised"),
        ("base.q_proj.lora_A.default.weight", np.ones((4, 16), np.float32), "merge_and_unload"),
        ("layers.0.mlp.up_proj.mask_scores", DENSE, "movement pruning"),
        ("module._flat_param", np.ones(100, np.float32), "shard of flattened"),
        ("layers.0.mlp.up_proj.weight", np.ones(0, np.float32), "zero_to_fp32"),
    ],
)
def test_are_other_layouts_refused_by_name(
    tmp_path: Path, reader: Any, name: str, array: NDArray[Any], says: str
) -> None:
    path = saved(tmp_path, {PLAIN: PRUNED, name: array})
    with pytest.raises(InputError, match=says) as caught:
        reader(path)
    assert name in str(caught.value)


def test_is_a_quantised_model_refused_whatever_its_parts_are_called(tmp_path: Path) -> None:
    path = saved(tmp_path, {PLAIN: PRUNED, "layers.0.x.zz": np.ones((4, 4), np.int16)})
    assert left_out(path) == {"layers.0.x.zz": "integers beside floating-point weights"}
    config = {"model_type": "llama", "quantization_config": {"quant_method": "newest"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"quantised by newest, and layers\.0\.x\.zz"):
        read_masks(path)


def test_are_plain_weights_of_a_model_called_quantised_read_and_told(tmp_path: Path) -> None:
    path = saved(tmp_path, {PLAIN: PRUNED})
    config = {"model_type": "llama", "quantization_config": {"quant_method": "gptq"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_masks(path).header == {"quantization": "gptq"}


# --- left out -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".safetensors", ".npz"])
def test_are_masks_read_of_convolutions_and_weights_to_prune_not(
    tmp_path: Path, ending: str
) -> None:
    kernel = np.arange(8 * 4 * 3 * 2, dtype=np.float32).reshape(8, 4, 3, 2) % 3
    path = saved(tmp_path, {PLAIN: PRUNED, "conv1.weight": kernel}, ending)
    found = read_masks(path)
    matrix = next(m for m in found.matrices if m.name == "conv1.weight")
    # Column (input · 3 + row) · 2 + column of the kernel.
    assert matrix.shape == (8, 24) and matrix.weight is not None
    assert matrix.weight[5, (2 * 3 + 1) * 2 + 1] == kernel[5, 2, 1, 1]
    assert np.array_equal(matrix.keep.reshape(kernel.shape), kernel != 0)
    assert found.header["convolutions"] == {"conv1.weight": [8, 4, 3, 2]}
    assert "left_out" not in found.header
    model = read_model(path)
    assert list(model.matrices) == [PLAIN]
    (item,) = model.header["left_out"]
    assert "a convolution of 4 axes" in item["why"]


@pytest.mark.parametrize(
    ("name", "array", "why"),
    [
        ("layers.0.self_attn.rotary_emb.cos_cached", np.ones((4, 8), np.float32), "rotary"),
        ("rotary_emb.inv_freq", np.ones((1, 8), np.float32), "rotary"),
        ("h.0.attn.bias", np.ones((1, 1, 4, 4), np.float32), "causal mask"),
        ("h.0.attn.masked_bias", np.ones((4, 4), np.float32), "causal mask"),
        ("embeddings.position_ids", np.ones((1, 9), np.int64), "indices"),
        ("relative_position_index", np.ones((9, 9), np.int64), "indices"),
        ("head_mask", np.ones((12, 12), np.float32), "heads or neurons"),
        ("pruned_heads", np.ones((4, 2), np.int64), "heads or neurons"),
        ("layers.0.mlp.up_proj.exp_avg", DENSE, "optimizer"),
        ("mixer.conv1d.weight", np.ones((8, 1, 4), np.float32), "a convolution of 3 axes"),
        ("cls_token", np.ones((1, 1, 8), np.float32), "an array of 3 axes"),
    ],
)
@pytest.mark.parametrize("ending", [".safetensors", ".npz"])
def test_is_what_is_no_weight_left_out_by_name(
    tmp_path: Path, ending: str, name: str, array: NDArray[Any], why: str
) -> None:
    path = saved(tmp_path, {PLAIN: PRUNED, name: array, "norm.weight": np.ones(8)}, ending)
    assert only(path).name == PLAIN
    (item,) = read_masks(path).header["left_out"]
    assert (item["name"], tuple(item["shape"])) == (name, array.shape)
    assert why in item["why"]
    assert read_model(path).header["left_out"] == [item]


def test_does_a_file_of_nothing_but_buffers_say_so(tmp_path: Path) -> None:
    path = saved(tmp_path, {"head_mask": np.ones((12, 12), np.float32)})
    with pytest.raises(InputError, match="head_mask: a list of heads"):
        read_masks(path)


# --- experts ------------------------------------------------------------------------------------

UP = RNG.standard_normal((3, 8, 20)).astype(np.float32)  # experts, d, 2f
DOWN = RNG.standard_normal((3, 10, 8)).astype(np.float32)  # experts, f, d
FUSED = "model.layers.0.mlp.experts"


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("model_type", [None, "given"])
def test_are_fused_experts_cut_into_matrices(
    tmp_path: Path, is_turned: bool, model_type: str | None
) -> None:
    up, down = (UP, DOWN) if is_turned else (UP.swapaxes(1, 2), DOWN.swapaxes(1, 2))
    path = saved(tmp_path, {f"{FUSED}.gate_up_proj": up, f"{FUSED}.down_proj": down})
    if model_type:
        family = "gpt_oss" if is_turned else "mixtral"
        (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
    found = {m.name: m for m in read_masks(path).matrices}
    assert list(found) == [
        f"{FUSED}.{p}[{e}]" for p in ("gate_up_proj", "down_proj") for e in range(3)
    ]
    for expert in range(3):
        matrix = found[f"{FUSED}.gate_up_proj[{expert}]"]
        assert matrix.kind == "up"
        assert matrix.weight is not None and (matrix.weight == UP[expert].T).all()
        matrix = found[f"{FUSED}.down_proj[{expert}]"]
        assert matrix.kind == "down"
        assert matrix.weight is not None and (matrix.weight == DOWN[expert].T).all()
