"""Every reader of the product, by name: what it is given, and how it is called."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files as resources
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.reliability.fuzz import files


@dataclass(frozen=True)
class Reader:
    """make: puts an input into an empty folder and returns its path. read: reads it."""

    make: Callable[[Path, Random], Path]
    read: Callable[[Path], object]


def _file(name: str, content: Callable[[Random], bytes]) -> Callable[[Path, Random], Path]:
    def make(folder: Path, draw: Random) -> Path:
        path = folder / name
        path.write_bytes(content(draw))
        return path

    return make


def _masks(path: Path) -> object:
    from sparse_formats.files.mask_file import read_masks, sha256_of

    found = read_masks(path)
    sha256_of(path)
    return [(matrix.shape, matrix.nnz, matrix.held_bytes) for matrix in found.matrices]


def _weights(path: Path) -> object:
    from sparse_formats.files.mask_file import read_model

    return read_model(path).header


def _folder(folder: Path, draw: Random) -> Path:
    files.model_folder(folder, draw)
    return folder


def _index(folder: Path, draw: Random) -> Path:
    files.model_folder(folder, draw)
    path = folder / "model.safetensors.index.json"
    return path if path.is_file() else folder


def _machine(path: Path) -> object:
    from accel_sim.machines.load import load_machine

    return load_machine(str(path))


def _machine_file(draw: Random) -> bytes:
    folder = Path(str(resources("accel_sim") / "machines" / "accelerators"))
    name = draw.choice(("tf_mvp", "eie", "systolic_ws", "tensor_core_2_4"))
    return files.toml(draw, (folder / f"{name}.toml").read_text("utf-8"))


_RECIPE = """
model = "m"
out = "o.npz"
pattern = "mvp"
sparsity = 0.8
method = "magnitude"
seed = 1
include = ["a"]
"""


def _recipe(path: Path) -> object:
    from pruning.commands.prune import Settings
    from sparse_formats.terminal.setting_values import read

    return read(Settings, {}, path, ("training",))


_LAYER = {
    "name": "a",
    "cycles": 5,
    "energy_j": 1.5,
    "cycles_by_cause": {"compute": 5},
    "energy_by_component_j": {"mac": 1.0},
}
_REPORT = {"accelerator": {"name": "x", "array": {"n": 1}}, "layers": [_LAYER], "total": _LAYER}


def _diff(path: Path) -> object:
    from accel_sim.comparisons.diff import diff

    return diff(path, path)


def _activations(path: Path) -> object:
    from accel_sim.inputs.activations_file import read_activations

    return read_activations(path, ["w"])


def _int8(path: Path) -> object:
    from sparse_formats.files import int8_file

    return int8_file.read(path)


_SQUAD = {
    "data": [
        {
            "paragraphs": [
                {
                    "context": "Rome is old.",
                    "qas": [
                        {
                            "id": "1",
                            "question": "What?",
                            "answers": [{"text": "Rome", "answer_start": 0}],
                        }
                    ],
                }
            ]
        }
    ]
}


def _questions(path: Path) -> object:
    from pruning.data.files import read_questions

    return read_questions(path)


def _table(path: Path) -> object:
    from pruning.data.files import label_numbers, label_values, read_table

    table = read_table(path)
    try:
        return label_numbers(table, {"no": 0, "yes": 1})
    except ValueError:
        return label_values(table)


def _human(path: Path) -> object:
    from pruning.evaluation.similarity import read_human

    return read_human(path, 2)


def _in_folder(name: str, content: Callable[[Random], bytes]) -> Callable[[Path, Random], Path]:
    def make(folder: Path, draw: Random) -> Path:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content(draw))
        return folder

    return make


def _ranges(path: Path) -> object:
    from pruning.quantization.ranges import read_ranges

    return read_ranges(path)


def _pooling(path: Path) -> object:
    from pruning.evaluation.similarity import pools_first_token

    return pools_first_token(path)


def _manifest(path: Path) -> object:
    from sparse_formats.files.output_folder import read_manifest, settle

    settle(path)
    return read_manifest(path)


def _checkpoint(path: Path) -> object:
    from pruning.training.checkpoint import load

    return load(path)


def _checkpoint_folder(folder: Path, draw: Random) -> Path:
    name = "step-000003.safetensors"
    (folder / name).write_bytes(files.safetensors(draw))
    state = {
        "step": 3,
        "tensors": name,
        "identity": {"training": {}},
        "losses": [1.5],
        "densities": [1.0],
        "pruner": {"done": 3},
    }
    (folder / "checkpoint.json").write_bytes(files.json_file(draw, state))
    return folder


def _statistics(path: Path) -> object:
    import numpy as np

    from pruning.statistics.matrix_statistics import read_statistics

    return list(read_statistics(path, {"w": np.ones((8, 8), np.float32)}))


def _glassllm_config(path: Path) -> object:
    from pruning.models import glassllm

    return glassllm.recognises(path) and glassllm.read_config(path)


def _glassllm(draw: Random) -> bytes:
    import numpy as np

    said = {"n_heads": 2, "n_kv_heads": 2, "n_layers": 1, "d_model": 8, "vocab_size": 9}
    said |= {"max_len": 16, "eps": 1e-5, "rope_base": 1e4}  # type: ignore[dict-item]
    text = files.json_file(draw, said).decode("utf-8", "replace").replace("\0", "")
    return files.archive(
        draw, {"__config__": files.npy_of(draw, np.array(text)), "E": files.npy(draw)}
    )


def _torch(path: Path) -> object:
    from pruning.models.torch_file import read_torch

    return [(matrix.shape, matrix.nnz) for matrix in read_torch(path).matrices]


def _torch_file(draw: Random) -> bytes:
    import io

    import torch

    from benchmarks.reliability.fuzz.changes import bytes_changed

    held = io.BytesIO()
    layer: dict[str, Any] = {"a.weight": torch.ones(4, 4), "a.weight_mask": torch.ones(4, 4)}
    torch.save({"model": layer} if draw.random() < 0.5 else layer, held)
    return bytes_changed(held.getvalue(), draw)


_RANGES = {"schema_version": 1, "matrices": {"a": {"inputs": [0.0, 1.0], "outputs": None}}}
_MANIFEST = {"outputs": {"report": {"report.json": "0" * 64}}}
_TABLE = "index\tsentence\tlabel\n0\ta b\tyes\n1\tc d\tno\n"

READERS: dict[str, Reader] = {
    "our masks": Reader(_file("a.npz", files.native_npz), _masks),
    "arrays": Reader(_file("a.npz", files.npz), _masks),
    "weights in arrays": Reader(_file("a.npz", files.npz), _weights),
    "an array": Reader(_file("a.npy", files.npy), _masks),
    "scipy": Reader(_file("a.npz", files.scipy_npz), _masks),
    "safetensors": Reader(_file("a.safetensors", files.safetensors), _masks),
    "weights in safetensors": Reader(_file("a.safetensors", files.safetensors), _weights),
    "a model's folder": Reader(_folder, _masks),
    "an index": Reader(_index, _weights),
    "int8": Reader(_file("a.safetensors", files.int8_file), _int8),
    "int8 masks": Reader(_file("a.safetensors", files.int8_file), _masks),
    "mtx": Reader(_file("a.mtx", files.matrix_market), _masks),
    "mtx.gz": Reader(_file("a.mtx.gz", files.packed_matrix_market), _masks),
    "GGUF": Reader(_file("a.gguf", files.gguf), _masks),
    "weights in GGUF": Reader(_file("a.gguf", files.gguf), _weights),
    "ONNX": Reader(_file("a.onnx", files.onnx), _masks),
    "weights in ONNX": Reader(_file("a.onnx", files.onnx), _weights),
    "smtx": Reader(_file("a.smtx", files.smtx), _masks),
    "a machine": Reader(_file("a.toml", _machine_file), _machine),
    "a recipe": Reader(_file("a.toml", lambda draw: files.toml(draw, _RECIPE)), _recipe),
    "a report": Reader(_file("a.json", lambda draw: files.json_file(draw, _REPORT)), _diff),
    "activations": Reader(_file("a.npz", files.npz), _activations),
    "activations in safetensors": Reader(_file("a.safetensors", files.safetensors), _activations),
    "statistics": Reader(_file("a.npz", files.npz), _statistics),
    "SQuAD": Reader(_file("a.json", lambda draw: files.json_file(draw, _SQUAD)), _questions),
    "a table": Reader(_file("a.tsv", lambda draw: files.text(draw, _TABLE)), _table),
    "numbers": Reader(_file("a.txt", lambda draw: files.text(draw, "1 0.5\n0.5 1\n")), _human),
    "ranges": Reader(
        _in_folder("quantization.json", lambda draw: files.json_file(draw, _RANGES)), _ranges
    ),
    "pooling": Reader(
        _in_folder(
            "1_Pooling/config.json",
            lambda draw: files.json_file(draw, {"pooling_mode_cls_token": True}),
        ),
        _pooling,
    ),
    "a manifest": Reader(
        _in_folder(".mvpsim-files.json", lambda draw: files.json_file(draw, _MANIFEST)), _manifest
    ),
    "glassllm": Reader(_file("a.npz", _glassllm), _glassllm_config),
    "a checkpoint": Reader(_checkpoint_folder, _checkpoint),
    "torch": Reader(_file("a.pt", _torch_file), _torch),
}
