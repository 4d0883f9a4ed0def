"""What a model computed on a machine beside the masked model: as data, and in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class OutputCheck:
    """The output of a model on a machine beside the masked model's in FP64.

    outputs: float32, of the machine: logits (batch, tokens generated, outputs), or hidden states
    (batch, tokens, width). ids: (batch, tokens) that they were computed on, of the prompt and then
    those that were generated, less the last one.
    max_abs_error: the largest difference; bound: what roundings may come to; largest: magnitude of
    an output. same_choices: of how many of all logits the largest is at the same place, None where
    there are none. prompt: where the tokens came from.
    """

    what: str
    outputs: NDArray[np.float32]
    ids: NDArray[np.int64]
    max_abs_error: float
    bound: float
    largest: float
    same_choices: int | None
    prompt: str

    @property
    def is_equal(self) -> bool:
        """Up to roundings; NaN is no output of the model."""
        return self.max_abs_error <= self.bound

    def as_data(self) -> dict[str, Any]:
        """As it stands in model.json."""
        return {
            "what": self.what,
            "shape": list(self.outputs.shape),
            "max_abs_error": self.max_abs_error,
            "bound": self.bound,
            "largest": self.largest,
            "is_equal": self.is_equal,
            "same_choices": self.same_choices,
            "prompt": self.prompt,
            "ids": self.ids.tolist(),
        }


def said_of_output(data: Mapping[str, Any]) -> str:
    """A check as a report says it, in sentences; `data`: as `OutputCheck.as_data`."""
    verb = "are" if data["is_equal"] else "are NOT"
    said = [
        f"The {data['what']} {verb} those of the masked model in FP64: they differ by "
        f"{data['max_abs_error']:.3g} at most, where roundings may come to "
        f"{data['bound']:.3g}, and are as large as {data['largest']:.3g}.",
    ]
    if (same := data["same_choices"]) is not None:
        batch, tokens, _ = data["shape"]
        said.append(
            f"The masked model chooses {same} of the {batch * tokens} tokens that the machine "
            "chooses."
        )
    return " ".join([*said, f"The prompt: {data['prompt']}."])
