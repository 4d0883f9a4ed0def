"""Settings of `model` that compute its output, beside counting what that takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparse_formats.errors import InputError, SettingError
from sparse_formats.terminal.settings import option

if TYPE_CHECKING:
    from accel_sim.models.outputs.prompt import Prompt


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Whether the model's output is computed, and on which tokens."""

    check: bool = option(
        "Compute the output in the order of the machine and compare it with the masked model. "
        "--model must be a folder with the weights.",
        default=False,
    )
    text: str | None = option(
        "Text of the prompt for --check. The tokenizer of the model's folder takes it apart.",
        default=None,
    )
    token_ids: Path | None = option(
        "File with the tokens of the prompt for --check, as numbers. Without a text or a file they "
        "are drawn at random.",
        default=None,
    )
    outputs: Path | None = option(
        "File for the output that --check computes (.npz), with the tokens as ids.",
        default=None,
        writes="file",
        suffix=".npz",
    )


def given_prompt(settings: OutputOptions, model: str | None) -> Prompt | None:
    """The prompt that is computed on; None where no output is computed.

    Raises:
        SettingError: a setting of an output that is not computed.
        InputError: as `read_prompt`; no folder.
    """
    from accel_sim.models.outputs.prompt import read_prompt

    if not settings.check:
        for name in ("text", "token_ids", "outputs"):
            if getattr(settings, name) is not None:
                raise SettingError(name, "belongs to --check, which computes the output; add it")
        return None
    if model is None or not Path(model).is_dir():
        raise InputError(
            "--check computes with the weights of a model; give --model FOLDER with its "
            "config.json and .safetensors"
        )
    return read_prompt(Path(model), settings.text, settings.token_ids)
