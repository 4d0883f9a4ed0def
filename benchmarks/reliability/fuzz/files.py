"""Files of each kind: sound ones, and ones whose structure is changed before they are packed."""

import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import scipy.sparse

from benchmarks.reliability.fuzz.changes import (
    NUMBERS,
    VALUES,
    WORDS,
    bytes_changed,
    json_changed,
    words_changed,
)

_TYPES = ("F32", "F16", "BF16", "I8", "U8", "BOOL", "I64", "F8_E4M3", "F64", "nonsense")
_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "I8": 1, "U8": 1, "BOOL": 1, "I64": 8, "F64": 8}
_NAMES = (
    *("w", "model.layers.0.self_attn.q_proj.weight", "h.0.attn.c_attn.weight", "a.weight_orig"),
    *("a.weight_mask", "b.bitmask", "b.shape", "b.compressed", "b.row_offsets", "c.qweight"),
    *("experts.up_proj", "x.lora_A.weight", "inv_freq", "embed_tokens.weight", "d.weight_scale"),
)


def npy(draw: Random, array: np.ndarray[Any, Any] | None = None) -> bytes:
    """A .npy array, its header perhaps changed."""
    if array is None:
        shape = tuple(draw.choice((0, 1, 3, 8, 16)) for _ in range(draw.choice((0, 1, 2, 2, 2, 3))))
        kind = draw.choice(("<f4", "<f8", "<f2", ">f4", "|b1", "|i1", "<i8", "<u2", "<U3", "<c8"))
        array = np.zeros(shape, np.dtype(kind))
        if array.size and array.dtype.kind != "U":
            array.flat[draw.randrange(array.size)] = 1
        array = np.asfortranarray(array) if draw.random() < 0.2 else array
    held = io.BytesIO()
    np.save(held, array)
    content = held.getvalue()
    if draw.random() < 0.4:
        head, _, rest = content[10:].partition(b"\n")
        head = words_changed(head, draw) if draw.random() < 0.7 else _shape_changed(head, draw)
        head = head[:60_000]
        content = content[:8] + (len(head) + 1).to_bytes(2, "little") + head + b"\n" + rest
    return content


def _shape_changed(head: bytes, draw: Random) -> bytes:
    start, end = head.find(b"("), head.find(b")")
    sides = ", ".join(str(draw.choice(NUMBERS))[:400] for _ in range(draw.choice((1, 2, 2, 40))))
    return head[: start + 1] + sides.encode() + b"," + head[end:]


def archive(draw: Random, members: Mapping[str, bytes]) -> bytes:
    """A zip archive of .npy members, some of them changed, doubled or missing."""
    held = io.BytesIO()
    way = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    with zipfile.ZipFile(held, "w", way) as file:
        for name, content in members.items():
            if draw.random() < 0.05:
                continue
            changed = bytes_changed(content, draw) if draw.random() < 0.15 else content
            file.writestr(f"{name}.npy", changed)
    return held.getvalue()


def npz(draw: Random) -> bytes:
    """An archive of anybody's arrays."""
    return archive(draw, {draw.choice(_NAMES): npy(draw) for _ in range(draw.choice((0, 1, 2, 4)))})


def native_npz(draw: Random) -> bytes:
    """A mask file of ours, its header or arrays changed."""
    rows, cols = draw.choice((0, 1, 5, 16)), draw.choice((1, 3, 8, 20))
    keep = np.zeros((rows, cols), np.bool_)
    keep[: rows // 2] = True
    header = {
        "schema": "mvpsim-masks",
        "version": 1,
        "origin": {"model": "m"},
        "matrices": [
            {
                "name": "a.query",
                "kind": "Q",
                "shape": [rows, cols],
                "weight": draw.choice((None, "float32", "float16")),
                "orientation": draw.choice((None, "horizontal", "vertical")),
            }
        ],
    }
    text = json_changed(header, draw) if draw.random() < 0.7 else json.dumps(header).encode()
    ints = [draw.choice(NUMBERS) % 2**31 for _ in range(draw.choice((0, 1, rows // 2)))]
    vectors = np.array(ints, np.int32)
    arrays = {
        "header": np.frombuffer(text, np.uint8),
        "0/keep": np.packbits(keep),
        "0/weight": np.ones(int(keep.sum()), draw.choice((np.float32, np.float16))),
        **{f"0/{part}": vectors for part in ("lines", "starts", "lengths")},
    }
    return archive(draw, {f"mvpsim/{key}": npy_of(draw, value) for key, value in arrays.items()})


def npy_of(draw: Random, array: np.ndarray[Any, Any]) -> bytes:
    """A .npy of the array, seldom changed."""
    if draw.random() < 0.1:
        return npy(draw, array)
    held = io.BytesIO()
    np.save(held, array)
    return held.getvalue()


def scipy_npz(draw: Random) -> bytes:
    """What scipy.sparse.save_npz writes, with arrays changed."""
    rows, cols = draw.choice(((4, 6), (16, 16), (1, 40), (60000, 60000)))
    matrix = scipy.sparse.coo_matrix(
        (np.arange(1.0, 4.0), ([0, 0, rows - 1], [0, cols - 1, 1])), (rows, cols)
    )
    layout = draw.choice(("csr", "csc", "coo", "bsr", "dia"))
    held = io.BytesIO()
    scipy.sparse.save_npz(held, matrix.asformat(layout), compressed=False)
    held.seek(0)
    with np.load(held) as found:
        arrays = {name: found[name] for name in found.files}
    for name in list(arrays):
        array = arrays[name]
        if draw.random() < 0.25 and array.size and array.dtype.kind in "iu":
            array.flat[draw.randrange(array.size)] = draw.choice(NUMBERS) % 2**31
        elif draw.random() < 0.1 and array.dtype.kind == "f":
            array.flat[0] = draw.choice((np.nan, np.inf, 0.0, 1e308))
        elif draw.random() < 0.1:
            arrays[name] = array[:-1] if array.ndim else np.array(draw.choice(WORDS[:8]))
    return archive(draw, {name: npy_of(draw, array) for name, array in arrays.items()})


def safetensors(draw: Random, metadata: Mapping[str, str] | None = None) -> bytes:
    """Tensors of several layouts, the header perhaps changed."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": dict(metadata)}
    data = b""
    for name in draw.sample(_NAMES, draw.choice((0, 1, 2, 4))):
        shape = [draw.choice((0, 1, 4, 8)) for _ in range(draw.choice((1, 2, 2, 2, 3, 4)))]
        dtype = draw.choice(_TYPES)
        size = int(np.prod(shape)) * _BYTES.get(dtype, 1)
        places = [len(data), len(data) + size]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": places}
        data += draw.choice((b"\0", b"\1", b"\x3c")) * size
    return tensors_file(draw, header, data)


def tensors_file(draw: Random, header: Mapping[str, Any], data: bytes) -> bytes:
    """A .safetensors of this header and data, the header perhaps changed."""
    text = json_changed(header, draw) if draw.random() < 0.6 else json.dumps(header).encode()
    length = draw.choice(NUMBERS) % 2**64 if draw.random() < 0.05 else len(text)
    return length.to_bytes(8, "little") + text + data


def int8_file(draw: Random) -> bytes:
    """Weights of a model in 8-bit numbers, as `quantize` writes them."""
    said = {"version": 1, "origin": {}, "matrices": ["a.weight"]}
    parts: dict[str, np.ndarray[Any, Any]] = {
        "a.weight": np.ones((4, 8), np.int8),
        "a.keep": np.full(4, 255, np.uint8),
        "a.weight_scale": np.ones(1, np.float32),
        "a.input_scale": np.ones(1, np.float32),
        "a.input_zero_point": np.ones(1, np.uint8),
        "a.bias": np.ones(4, np.int32),
        "a.output_scale": np.ones(1, np.float32),
        "a.output_zero_point": np.ones(1, np.uint8),
    }
    names = {"int8": "I8", "uint8": "U8", "float32": "F32", "int32": "I32"}
    text = json_changed(said, draw).decode("utf-8", "replace")
    header: dict[str, Any] = {"__metadata__": {"mvpsim-int8": text}}
    data = b""
    for name, array in parts.items():
        if draw.random() < 0.03:
            continue
        content = array.tobytes()
        header[name] = {
            "dtype": names[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    if draw.random() < 0.6:
        raw = json.dumps(header).encode()
        return len(raw).to_bytes(8, "little") + raw + data
    return tensors_file(draw, header, data)


def matrix_market(draw: Random) -> bytes:
    """A .mtx file of any banner."""
    layout = draw.choice(("coordinate", "array"))
    field = draw.choice(("real", "integer", "pattern", "complex"))
    symmetry = draw.choice(("general", "symmetric", "skew-symmetric", "hermitian"))
    side = draw.choice((1, 3, 5, 50000))
    lines = [f"%%MatrixMarket matrix {layout} {field} {symmetry}", "% comment"]
    if layout == "array":
        side = min(side, 5)
        lines += [f"{side} {side}", *("1.5" for _ in range(side * side))]
    else:
        lines += [f"{side} {side} 3", f"1 1{' 2' * (field != 'pattern')}"]
        lines += [f"{side} {i}{' -2.5e3' * (field != 'pattern')}" for i in (1, 1)]
    text = "\n".join(lines).encode() + b"\n"
    return words_changed(text, draw) if draw.random() < 0.8 else bytes_changed(text, draw)


def packed_matrix_market(draw: Random) -> bytes:
    """A .mtx.gz file."""
    packed = gzip.compress(matrix_market(draw), 1)
    return bytes_changed(packed, draw) if draw.random() < 0.4 else packed


def smtx(draw: Random) -> bytes:
    """A .smtx file."""
    return words_changed(b"3, 5, 4\n0 2 2 4\n0 4 1 3\n", draw)


def gguf(draw: Random) -> bytes:
    """A GGUF file; numbers and names in its head perhaps changed."""

    def whole(value: int, size: int) -> bytes:
        odd = draw.choice(NUMBERS) if draw.random() < 0.02 else value
        return (odd % 2 ** (8 * size)).to_bytes(size, "little")

    def name(value: str) -> bytes:
        word = draw.choice(WORDS) if draw.random() < 0.05 else value
        held = word.encode("utf-8", "surrogatepass")
        return whole(len(held), 8) + held

    pairs = [
        name("general.architecture") + whole(8, 4) + name("llama"),
        name("general.alignment") + whole(4, 4) + whole(32, 4),
        name("tokens") + whole(9, 4) + whole(8, 4) + whole(2, 8) + name("a") + name("b"),
        name("deep") + (whole(9, 4) + whole(9, 4) + whole(1, 8)) * draw.choice((0, 1, 8, 500)),
    ]
    pairs = draw.sample(pairs, draw.choice((0, 2, 3, 4)))
    kinds = draw.sample(((0, 128), (1, 64), (2, 18), (6, 22), (8, 34), (30, 64), (12, 144)), 2)
    tensors, data = b"", b""
    for kind, size in kinds:
        tensors += name(f"blk.{kind}.attn_q.weight") + whole(2, 4) + whole(32, 8) + whole(2, 8)
        tensors += whole(kind, 4) + whole(len(data), 8)
        data += draw.choice((b"\0", b"\x3c")) * (-(-2 * size // 32) * 32)
    head = b"GGUF" + whole(3, 4) + whole(len(kinds), 8) + whole(len(pairs), 8)
    content = head + b"".join(pairs) + tensors
    content += bytes(-len(content) % 32) + data
    return bytes_changed(content, draw) if draw.random() < 0.3 else content


def onnx(draw: Random) -> bytes:
    """An ONNX model; lengths, numbers and names in it perhaps changed."""

    def varint(value: int) -> bytes:
        odd = draw.choice(NUMBERS) if draw.random() < 0.01 else value
        left, out = odd % 2**64, b""
        while left > 127:
            left, out = left >> 7, out + bytes([left & 127 | 128])
        return out + bytes([left])

    def number(field: int, value: int) -> bytes:
        return varint(8 * field) + varint(value)

    def part(field: int, content: bytes) -> bytes:
        return varint(8 * field + 2) + varint(len(content)) + content

    def text(field: int, value: str) -> bytes:
        word = draw.choice(WORDS) if draw.random() < 0.03 else value
        return part(field, word.encode("utf-8", "surrogatepass"))

    def tensor(name: str, kind: int, size: int) -> bytes:
        data = part(9, draw.choice((b"\0", b"\x3c")) * (6 * size))
        if draw.random() < 0.2:
            data = part(5, b"".join(varint(draw.choice((0, 1, 300))) for _ in range(6)))
        elif draw.random() < 0.2:
            data = number(14, 1)
            data += part(13, text(1, "location") + text(2, draw.choice(("a.onnx", "../a", "/a"))))
        return number(1, 2) + number(1, 3) + number(2, kind) + text(8, name) + data

    def node(op: str, inputs: str, output: str) -> bytes:
        given = b"".join(text(1, name) for name in inputs.split())
        return given + text(2, output) + text(3, "/l.0/q/MatMul") + text(4, op)

    kind, size = draw.choice(((1, 4), (10, 2), (16, 2), (3, 1), (9, 1), (11, 8), (22, 1)))
    last = draw.choice(("MatMul", "Gemm", "MatMulInteger", "QLinearMatMul", "Gather"))
    nodes = [
        node(draw.choice(("Identity", "Transpose", "Cast")), "w", "i"),
        node("DequantizeLinear", "q s", "d"),
        node(last, draw.choice(("x w", "x i", "x d", "w x", "x w w w w w")), "y"),
    ]
    content = b"".join(part(1, one) for one in nodes)
    content += part(5, tensor("w", kind, size)) + part(5, tensor("q", 3, 1))
    content += part(5, number(2, 1) + text(8, "s") + part(9, b"\0\0\x80\x3f"))
    content += part(15, part(1, tensor("v", 1, 4)) + part(2, tensor("", 7, 8)) + number(3, 6))
    model = number(1, 9) + part(7, content)
    return bytes_changed(model, draw) if draw.random() < 0.3 else model


def json_file(draw: Random, value: Any) -> bytes:
    """JSON that was of `value`."""
    return json_changed(value, draw)


def toml(draw: Random, text: str) -> bytes:
    """TOML that was `text`."""
    content = text.encode()
    if draw.random() < 0.1:
        deep = b"[" * 3000 if draw.random() < 0.5 else b'"' + b"x" * 10**5
        return content + b"\nmore = " + deep
    if draw.random() < 0.4:
        lines = content.split(b"\n")
        at = draw.randrange(len(lines))
        key, _, _ = lines[at].partition(b"=")
        lines[at] = key + b"= " + json.dumps(draw.choice(VALUES), ensure_ascii=True).encode()
        return b"\n".join(lines)
    return words_changed(content, draw) if draw.random() < 0.7 else bytes_changed(content, draw)


def text(draw: Random, sample: str) -> bytes:
    """Text that was `sample`."""
    content = sample.encode()
    return words_changed(content, draw) if draw.random() < 0.6 else bytes_changed(content, draw)


def model_folder(folder: Path, draw: Random) -> None:
    """A folder with a config.json, shards and an index, some of them changed or missing."""
    config = {
        "model_type": draw.choice(("llama", "gpt2", "albert", "mixtral", "bert")),
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "quantization_config": draw.choice((None, {"quant_method": "gptq"})),
    }
    if draw.random() < 0.8:
        (folder / "config.json").write_bytes(json_changed(config, draw))
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    for name in names[: draw.choice((1, 2, 2))]:
        (folder / name).write_bytes(safetensors(draw))
    weights = {name: draw.choice(names) for name in draw.sample(_NAMES, 3)}
    if draw.random() < 0.5:
        index = folder / "model.safetensors.index.json"
        index.write_bytes(json_changed({"metadata": {}, "weight_map": weights}, draw))
    if draw.random() < 0.1:
        (folder / "a.smtx").write_bytes(smtx(draw))
