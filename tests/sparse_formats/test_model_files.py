"""Are the files of one model all read, each once, and every one that is read in the hash?"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_masks, read_weights, sha256_of

ONE = {"l.0.q_proj.weight": np.eye(4, dtype=np.float32)}
TWO = {"l.1.q_proj.weight": np.ones((4, 4), np.float32)}
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"


def folder(path: Path, files: Mapping[str, Any]) -> Path:
    for name, content in files.items():
        if name.endswith(".safetensors"):
            save_file(content, path / name)
        else:
            (path / name).write_text(content)
    return path


def index_of(*shards: tuple[str, Mapping[str, Any]]) -> str:
    return json.dumps({"weight_map": {name: file for file, held in shards for name in held}})


BOTH = index_of((SHARDS[0], ONE), (SHARDS[1], TWO))


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({SHARDS[0]: ONE}, "shard 2 of 2 of model is missing"),
        ({SHARDS[1]: TWO}, "shard 1 of 2 of model is missing"),
        ({"model.safetensors": ONE, "copy.safetensors": ONE}, r"both hold l\.0\.q_proj"),
        ({"a.safetensors": ONE, "b.safetensors": ONE}, r"a\.safetensors and b\.safetensors both"),
        (
            {"model.safetensors": ONE | TWO, INDEX: BOTH, SHARDS[0]: ONE, SHARDS[1]: TWO},
            "two copies of one model",
        ),
        (
            {INDEX: BOTH, SHARDS[0]: ONE, SHARDS[1]: TWO, "consolidated.safetensors": TWO},
            r"both hold l\.1\.q_proj",
        ),
        ({INDEX: BOTH, SHARDS[0]: ONE}, "download all shards"),
        ({INDEX: '{"weight_map": {"a": "x", "a": "y"}}'}, "a stands twice"),
        ({"zero_pp_rank_0_mp_rank_00_model_states.safetensors": ONE}, "zero_to_fp32"),
        ({"zero_to_fp32.py": ""}, "zero_to_fp32"),
    ],
)
def test_are_missing_shards_and_copies_refused(
    tmp_path: Path, files: Mapping[str, Any], says: str
) -> None:
    path = folder(tmp_path, files)
    for reader in (read_masks, read_weights):
        with pytest.raises(InputError, match=says):
            reader(path)


def test_is_a_name_that_stands_twice_in_a_header_refused(tmp_path: Path) -> None:
    entry = '"a":{"dtype":"F32","shape":[1,1],"data_offsets":[%d,%d]}'
    text = f"{{{entry % (0, 4)},{entry % (4, 8)}}}".encode()
    path = tmp_path / "twice.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(InputError, match=r"twice\.safetensors: a stands twice"):
        read_masks(path)


def test_is_the_index_of_shards_a_path_to_the_model(tmp_path: Path) -> None:
    path = folder(tmp_path, {INDEX: BOTH, SHARDS[0]: ONE, SHARDS[1]: TWO})
    for given in (path, path / INDEX):
        assert {m.name: m.nnz for m in read_masks(given).matrices} == {
            "l.0.q_proj.weight": 4,
            "l.1.q_proj.weight": 16,
        }
        assert list(read_weights(given)) == ["l.0.q_proj.weight", "l.1.q_proj.weight"]
    assert sha256_of(path) == sha256_of(path / INDEX)


def test_are_other_files_of_matrices_named(tmp_path: Path) -> None:
    path = folder(tmp_path, {"model.safetensors": ONE, "more.safetensors": TWO, "x.mtx": ""})
    assert [item["name"] for item in read_masks(path).header["left_out"]] == [
        "more.safetensors",
        "x.mtx",
    ]


def test_does_the_hash_cover_every_file_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "A.SMTX").write_text("1, 2, 1\n0 1\n0\n")
    before = sha256_of(tmp_path)
    (tmp_path / "A.SMTX").write_text("1, 2, 1\n0 1\n1\n")
    assert sha256_of(tmp_path) != before

    shards = tmp_path / "shards"
    shards.mkdir()
    folder(shards, {INDEX: BOTH, SHARDS[0]: ONE, SHARDS[1]: TWO})
    before = sha256_of(shards)
    (shards / INDEX).write_text(index_of((SHARDS[0], ONE)))
    assert len(read_masks(shards).matrices) == 1
    assert sha256_of(shards) != before
