"""What a model's config.json says, for every package that needs to know."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse_formats.errors import InputError
from sparse_formats.files.reading import content, parsing
from sparse_formats.masks.execution import Execution
from sparse_formats.masks.orientation import CONV1D, EXPERTS_IN_OUT, LINEAR

NAME = "config.json"

_LARGEST_BYTES = 10 * 10**6
_DEEPEST = 3
_OF_MODELS = (".safetensors", ".json", ".bin", ".pt", ".pth", ".ckpt", ".onnx")


@dataclass(frozen=True)
class ModelConfig:
    """The configuration of a model. values: the JSON object, as it stands in the file at `path`."""

    path: Path
    values: Mapping[str, Any]

    @property
    def model_types(self) -> tuple[str, ...]:
        """Of the model and of the models it is made of; by its class where it names none."""
        found = tuple(dict.fromkeys(_model_types(self.values)))
        if found:
            return found
        classes = self.values.get("architectures")
        first = classes[0] if isinstance(classes, list) and classes else ""
        is_gpt2 = isinstance(first, str) and first.startswith("GPT2")
        return ("gpt2",) if is_gpt2 else ()

    @property
    def decides_orientation(self) -> bool:
        """Whether its family is one that tells how matrices are stored."""
        return bool((CONV1D | LINEAR | EXPERTS_IN_OUT) & set(self.model_types))

    @property
    def execution(self) -> Execution:
        """How often its matrices run, and for how many of the tokens."""
        return Execution(
            experts=self._count(_EXPERTS),
            experts_per_token=self._count(_EXPERTS_PER_TOKEN)
            or next((_ROUTED[t] for t in self.model_types if t in _ROUTED), None),
            runs=self._runs(),
        )

    @property
    def changes_results(self) -> bool:
        """Whether matrices would be read or run in another way without this file."""
        return self.decides_orientation or self.execution != Execution()

    @property
    def quantised_by(self) -> str | None:
        """The method that its quantization_config names, None where it has none."""
        found = self.values.get("quantization_config")
        if not isinstance(found, dict):
            return None
        return str(found.get("quant_method") or found.get("format") or "an unnamed method")

    def _count(self, keys: Sequence[str]) -> int | None:
        """The first count from 1 to 10,000 under one of `keys`, of the model or of a part of it."""
        counts = (value for key, value in _items(self.values) if key in keys)
        return next((n for n in counts if type(n) is int and 1 <= n <= _MOST), None)

    def _runs(self) -> dict[str, int]:
        if "perceiver" in self.model_types:
            blocks = self._count(("num_blocks",)) or 1
            return {"encoder.self_attends.": blocks} if blocks > 1 else {}
        if "albert" not in self.model_types:
            return {}
        # What transformers takes where the file says nothing.
        layers = self._count(("num_hidden_layers",)) or 12
        groups = self._count(("num_hidden_groups",)) or 1
        of_layer = Counter(int(layer / (layers / groups)) for layer in range(layers))
        return {f"albert_layer_groups.{group}.": runs for group, runs in sorted(of_layer.items())}


_EXPERTS = (
    *("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"),
    *("num_moe_experts", "moe_num_routed_experts"),
)
_EXPERTS_PER_TOKEN = (
    *("num_experts_per_tok", "num_experts_per_token", "moe_top_k", "moe_topk", "moe_k"),
    *("num_selected_experts", "experts_per_token"),
)
"""What families call the number of experts, and of those that a token goes to."""

_ROUTED = {"switch_transformers": 1, "nllb-moe": 2}
"""Families in which a token always goes to so many experts, so that no key says it."""

_MOST = 10_000


def read_config(path: Path) -> ModelConfig | None:
    """The config.json in a model's folder, or beside its weights; None where there is none.

    Raises:
        InputError: it cannot be read, or holds no JSON object.
    """
    if not path.is_dir() and path.suffix.lower() not in _OF_MODELS:
        return None
    file = (path if path.is_dir() else path.parent) / NAME
    if not file.is_file():
        return None
    what = "the configuration of a model"
    text = content(file, what, _LARGEST_BYTES)
    with parsing(file, what, f"give {what}"):
        values = json.loads(text)
    if not isinstance(values, dict):
        raise InputError(f"{file} does not hold a JSON object; give {what}")
    return ModelConfig(file, values)


def _items(values: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Keys and values of the configuration, then of the parts in it."""
    yield from values.items()
    for value in values.values():
        if isinstance(value, dict) and depth < _DEEPEST:
            yield from _items(value, depth + 1)


def _model_types(values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in _items(values):
        if key == "model_type" and isinstance(value, str) and value:
            yield value
