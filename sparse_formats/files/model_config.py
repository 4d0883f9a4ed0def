"""What a model's config.json says, for every package that needs to know."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse_formats.errors import InputError
from sparse_formats.masks.orientation import CONV1D, EXPERTS_IN_OUT, LINEAR

NAME = "config.json"

_LARGEST_BYTES = 10 * 10**6


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
        """Whether matrices would be read in another way without this file."""
        return bool((CONV1D | LINEAR | EXPERTS_IN_OUT) & set(self.model_types))

    @property
    def quantised_by(self) -> str | None:
        """The method that its quantization_config names, None where it has none."""
        found = self.values.get("quantization_config")
        if not isinstance(found, dict):
            return None
        return str(found.get("quant_method") or found.get("format") or "an unnamed method")


def read_config(path: Path) -> ModelConfig | None:
    """The config.json of a model's folder, or beside a file of weights; None where there is none.

    Raises:
        InputError: it cannot be read, or holds no JSON object.
    """
    file = (path if path.is_dir() else path.parent) / NAME
    if not file.is_file():
        return None
    try:
        if file.stat().st_size > _LARGEST_BYTES:
            raise InputError(f"{file} has {file.stat().st_size} bytes; give the config of a model")
        values = json.loads(file.read_text("utf-8"))
    except InputError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{file} does not hold a JSON object; give the configuration of a model")
    return ModelConfig(file, values)


def _model_types(values: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    found = values.get("model_type")
    if isinstance(found, str) and found:
        yield found
    for value in values.values():
        if isinstance(value, dict) and depth < 3:
            yield from _model_types(value, depth + 1)
