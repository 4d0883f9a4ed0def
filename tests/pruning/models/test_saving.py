"""Is a full disk one line, whichever of the libraries finds it full?"""

import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pruning.models.opening import OpenModel
from pruning.models.saving import save_model
from sparse_formats.errors import InputError
from sparse_formats.files.output_folder import replace_files

pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("largest", "said"), [(500, "into"), (40_000, "the model"), (200_000, "the model")]
)
def test_is_a_full_disk_one_line_and_the_old_model_whole(
    largest: int, said: str, tiny: Callable[..., Any], tmp_path: Path
) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    # config.json is beyond the first limit, model.safetensors beyond the second, and tokenizer.json
    # beyond the third.
    words = {f"word{i}": i for i in range(20_000)}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(words)))
    opened = OpenModel("bert", "encode", tiny("bert"), tokenizer, (), (), ())
    with replace_files(tmp_path, "model") as beside:
        (beside / "config.json").write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, before[1]))
    try:
        with (
            pytest.raises(InputError, match=rf"cannot write {said}.*File too large"),
            replace_files(tmp_path, "model") as beside,
        ):
            save_model(opened, beside)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mvpsim-files.json", "config.json"]
    assert (tmp_path / "config.json").read_text() == "old"


def test_has_every_file_of_a_new_model_the_rights_of_a_new_file(
    tiny: Callable[..., Any], tmp_path: Path
) -> None:
    before = os.umask(0o027)
    try:
        opened = OpenModel("bert", "encode", tiny("bert"), None, (), (), ())
        with replace_files(tmp_path / "out", "model") as beside:
            save_model(opened, beside)
    finally:
        os.umask(before)
    for path in (tmp_path / "out").iterdir():
        assert path.stat().st_mode & 0o777 == 0o640, path
