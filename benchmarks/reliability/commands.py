"""The commands that write, small inputs for them, and whether what they wrote is whole."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reliability.processes import finish
from sparse_formats.files import int8_file
from sparse_formats.files.leftovers import PREFIX
from sparse_formats.files.mask_file import read_masks, sha256_of
from sparse_formats.files.output_folder import MANIFEST, read_manifest, settle

TRAIN = "--pattern mvp --steps 6 --batch 2 --length 16 --save-every 2 --seed {n}"
COMMANDS = {
    "run": "accel_sim run --mask {mask} --no-check --no-advice --tokens {n} --out {folder}",
    "compare": "accel_sim compare --mask {mask} --tokens {n} --out {folder}",
    "inspect": "sparse_formats inspect --mask {mask} --value-bits {n} --plot {folder}",
    "prune": "pruning prune --model {weights} --sparsity 0.5{n} --out {npz}",
    "quantize": "pruning quantize --model {model} --table {table} --samples {n} --out {int8}",
    "train": f"pruning train --model {{model}} --table {{table}} {TRAIN} --out {{npz}} "
    "--save {folder} --checkpoint {folder}-{n}",
    "shrink": "pruning shrink --model {model} --mask {heads}-{odd}.npz --own-code --out {folder}",
    "kprune": "pruning kprune --model {model} --data {table} --method random --flops 0.5{n} "
    "--out {folder}",
}
"""Commands by name; what they write depends on {n}, a number from 10 to 49, or on n mod 2."""

READERS: Mapping[str, Callable[[Path], object]] = {
    ".npz": read_masks,
    ".safetensors": int8_file.read,
}


@dataclass(frozen=True)
class Writer:
    """One of the commands, with a folder for what it writes."""

    name: str
    folder: Path
    inputs: Mapping[str, Path]

    @property
    def places(self) -> dict[str, Path]:
        names = {"npz": "out.npz", "int8": "out.safetensors", "folder": "out"}
        return {kind: self.folder / name for kind, name in names.items()}

    def words(self, n: int) -> list[str]:
        """The command line that writes output `n`."""
        return COMMANDS[self.name].format(**self.inputs, **self.places, n=n, odd=n % 2).split()

    @property
    def state(self) -> list[dict[str, str]]:
        """The SHA-256 of each file of each output."""
        command = COMMANDS[self.name]
        return [_state(path) for kind, path in self.places.items() if f"{{{kind}}}" in command]

    def check(self) -> None:
        """AssertionError unless all outputs are whole and nothing is left over."""
        for output in sorted(self.folder.iterdir()):
            _check(output)
        left = [path.name for path in self.folder.glob(f"{PREFIX}*")]
        assert not left, f"left over in {self.folder}: {left}"


def _check(output: Path) -> None:
    settle(output)  # as every reader does
    if output.is_dir():
        listed = {name: d for files in read_manifest(output).values() for name, d in files.items()}
        there = _state(output)
        assert there == listed, f"{output} holds {there}, its manifest names {listed}"
        left = [path.name for path in output.glob(f"{PREFIX}*") if path.name != MANIFEST]
        assert not left, f"left over in {output}: {left}"
    elif output.exists():
        READERS[output.suffix](output)


def _state(output: Path) -> dict[str, str]:
    if output.is_file():
        return {output.name: sha256_of(output)}
    files = [path for path in output.rglob("*") if path.is_file() and path.name != MANIFEST]
    return {path.relative_to(output).as_posix(): sha256_of(path) for path in files}


def write_inputs(folder: Path) -> dict[str, Path]:
    """What the commands read, by the names in `COMMANDS`."""
    return {**_masks(folder), **_model(folder)}


def _masks(folder: Path) -> dict[str, Path]:
    """Two small matrices, whole and with zeros."""
    rng = np.random.default_rng(0)
    shapes = {"encoder.0.attention.query": (48, 32), "encoder.0.output.dense": (32, 64)}
    arrays: dict[str, Any] = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    weights, mask = folder / "weights.npz", folder / "mask.npz"
    np.savez(weights, **arrays)
    np.savez(mask, **{name: array * (abs(array) > 1) for name, array in arrays.items()})
    return {"weights": weights, "mask": mask}


def _model(folder: Path) -> dict[str, Path]:
    """A classifier of two layers, sentences for it, and masks without some of its heads."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    from pruning.models.opening import quiet

    words = [f"w{i}" for i in range(44)]
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", model_max_length=40,
    )  # fmt: skip
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=40,
    )  # fmt: skip
    model, table, heads = folder / "model", folder / "table.tsv", folder / "heads"
    with quiet():
        transformers.BertForSequenceClassification(config).save_pretrained(model)
        tokenizer.save_pretrained(model)
    rows = [f"{' '.join(words[i % 9 : i % 9 + 8])}\t{i % 2}" for i in range(64)]
    table.write_text("sentence\tlabel\n" + "\n".join(rows) + "\n")
    for odd, sparsity in enumerate((0.25, 0.5)):
        finish(
            f"pruning prune --model {model} --pattern head --sparsity {sparsity} "
            f"--out {heads}-{odd}.npz".split()
        )
    return {"model": model, "table": table, "heads": heads}
