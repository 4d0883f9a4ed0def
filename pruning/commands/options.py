"""Settings that several commands have; a command's `Settings` inherits them, or calls for them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pruning.models.devices import DEVICES
from sparse_formats.errors import InputError
from sparse_formats.terminal.settings import Count, Whole, option

if TYPE_CHECKING:
    from torch import device

    from pruning.data.examples import Examples
    from pruning.models.opening import OpenModel


MODEL_FORMS = "a Hugging Face directory, a .gguf file, or glassllm's .npz of weights"
"""What commands that run a model open, for their help."""

MODEL_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
"""What nearly every folder of a saved model holds; some hold more."""


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """A file of examples for one kind of model."""

    text: Path | None = option("Text file, for a language model.", default=None)
    table: Path | None = option(
        "Tab-separated file with a header and a column of labels, for a classifier or a "
        "regression.",
        default=None,
    )
    squad: Path | None = option("SQuAD JSON file, for a question answerer.", default=None)

    @property
    def data(self) -> tuple[Path, ...]:
        """The files that are given."""
        every = (self.text, self.table, self.squad)
        return tuple(path for path in every if path is not None)

    @property
    def task(self) -> str | None:
        """What a model is opened for to learn from the file; None: what it was made for."""
        if self.text is not None:
            return None
        return "classify" if self.table is not None else "answer"

    def only_file(self) -> Path:
        """The one file that is given; InputError where there is none or another."""
        if len(self.data) != 1:
            raise InputError(f"give one of --text, --table, --squad; found {len(self.data)}")
        return self.data[0]

    def examples_for(self, opened: "OpenModel", length: int | None, seed: int) -> "Examples":
        """The file in the form that the model learns from, see `data.examples.examples_of`."""
        from pruning.data.examples import examples_of

        return examples_of(opened, self.text, self.table, self.squad, length, seed)


@dataclass(frozen=True, kw_only=True)
class SampleOptions(DataOptions):
    """Which examples of a file are taken."""

    samples: Count = option("Number of examples, drawn at random.", default=128)
    length: Count | None = option(
        "Tokens of an example.", default=None, otherwise="the model's own, at most 512"
    )
    seed: Whole = option("Random seed of the choice of examples.", default=0)

    def examples(self, opened: "OpenModel") -> "Examples":
        """The examples that are taken, in the form that the model learns from."""
        from pruning.data.examples import drawn

        return drawn(self.examples_for(opened, self.length, self.seed), self.samples, self.seed)


@dataclass(frozen=True, kw_only=True)
class MachineOptions:
    """Where PyTorch computes."""

    device: str = option(
        "Device that the model runs on: the processor, an NVIDIA or AMD GPU, or Apple's.",
        default="cpu",
        choices=DEVICES,
        or_else="one of several, e.g. cuda:1",
    )
    threads: Count = option("Threads of PyTorch.", default=1, is_replayed=False)

    def find_device(self) -> "device":
        """The device, see `pruning.models.devices`; PyTorch has its threads from now on.

        Raises:
            InputError: there is no such device.
        """
        from pruning.models.devices import find_device
        from pruning.processes import local_device

        found = find_device(local_device(self.device))
        import torch

        torch.set_num_threads(self.threads)
        return found
