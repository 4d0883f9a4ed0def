"""Opening a model: a Hugging Face directory, a GGUF file or glassllm's .npz.

Only what lies on this machine is opened: nothing is downloaded, no code of a model's author is
run (`trust_remote_code` stays off), and a state dict in `.bin` is read with `weights_only=True`.
The code in a folder that `shrink --own-code` wrote is not run either: our own is, the same.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.models import glassllm
from pruning.models.devices import check_torch
from pruning.models.matrices import Matrix, find_matrices
from pruning.models.model_files import model_name
from pruning.models.order import read_permutation, remember
from pruning.structure.attention_and_feed_forward import (
    Attention,
    FeedForward,
    find_attentions,
    find_feed_forwards,
)
from pruning.structure.heads import Heads, heads_of_config
from sparse_formats.errors import InputError, nearest
from sparse_formats.files.model_config import ModelConfig
from sparse_formats.files.model_files import shards_of
from sparse_formats.files.readers.special_files import check_regular
from sparse_formats.masks.execution import Execution

if TYPE_CHECKING:
    from torch import device
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TASKS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "causal": ("AutoModelForCausalLM", ("ForCausalLM", "LMHeadModel")),
    "masked": ("AutoModelForMaskedLM", ("ForMaskedLM", "ForPreTraining")),
    "classify": ("AutoModelForSequenceClassification", ("ForSequenceClassification",)),
    "answer": ("AutoModelForQuestionAnswering", ("ForQuestionAnswering",)),
    "picture": ("AutoModelForImageClassification", ("ForImageClassification",)),
    "encode": ("AutoModel", ("Model",)),
}
"""Task → the class of transformers that loads it, and how architectures of it are called."""

_NO_LOSS = ("ElectraForPreTraining",)
"""Called as language models are, and none: ELECTRA tells true tokens from false ones."""

_POSITIONS_FROM_TWO = (
    "roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "mpnet",
    "longformer", "data2vec-text", "ibert", "xmod", "luke",
)  # fmt: skip
"""Families that count positions from behind the padding token's number."""

_UNUSED = ("position_ids", "token_type_ids")


@dataclass(frozen=True, eq=False)
class OpenModel:
    """A model ready to work with, in evaluation mode and float32, on one device.

    task: a key of `TASKS`: what its outputs are.
    matrices: the prunable ones. linears: the weights of all linear layers, heads among them.
    attentions, feed_forwards: the coupled groups; empty where the family's layout is not known,
        without those of which `shrink --own-code` left nothing.
    heads: the head counts its config states; None where it states none.
    """

    name: str
    task: str
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase | None"
    matrices: tuple[Matrix, ...]
    attentions: tuple[Attention, ...]
    feed_forwards: tuple[FeedForward, ...]
    linears: tuple[Matrix, ...] = ()
    heads: Heads | None = None

    @property
    def execution(self) -> Execution:
        """How often the matrices run, as the config says it; once where there is none."""
        config = getattr(self.model, "config", None)
        values = {} if config is None else config.to_dict()
        return ModelConfig(Path(self.name), values).execution

    @property
    def device(self) -> "device":
        """Where its parameters are."""
        return next(self.model.parameters()).device

    @property
    def by_name(self) -> dict[str, Matrix]:
        """The matrices by their file's names."""
        return {matrix.name: matrix for matrix in self.matrices}

    @property
    def max_length(self) -> int:
        """Tokens that fit into one sequence, as config and tokenizer say; 512 if they do not."""
        config = self.model.config
        limits = [
            limit
            for key in ("max_position_embeddings", "n_positions", "max_seq_len")
            if isinstance(limit := getattr(config, key, None), int) and limit > 0
        ]
        if self.tokenizer is not None and self.tokenizer.model_max_length < 10**6:
            limits.append(self.tokenizer.model_max_length)
        offset = 2 if config.model_type in _POSITIONS_FROM_TWO else 0
        return min(limits, default=512 + offset) - offset


def open_model(
    path: Path,
    task: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    fresh_head: Mapping[str, Any] | None = None,
    device: "device | str" = "cpu",
) -> OpenModel:
    """Open the model at `path` for `task`; None: for what its config says it was made for.

    include, exclude: which matrices are prunable (`sparse_formats.masks.selection`).
    fresh_head: settings of the config (num_labels, …) with which a task head that the directory
        lacks is made new; without it a missing head is an error.
    device: where it goes, see `find_device`.

    Raises:
        InputError: no such directory (a hub cannot be reached), an unsafe or damaged one, one
            without the weights of `task`, or without its tokenizer; weights of nan or infinity.
    """
    if task is not None and task not in TASKS:
        raise InputError(f"unknown task {task!r}{nearest(task, TASKS)}")
    check_torch()
    _check_there(path)
    with quiet():
        if glassllm.recognises(path):
            if task not in (None, "causal"):
                raise InputError(f"{path} is a language model and has no head for {task}")
            model, names, orders = glassllm.load(path)
            _check_finite(path, model)
            model.to(device)  # type: ignore[arg-type]
            return assemble(
                path.stem,
                "causal",
                model,
                glassllm.tokenizer(path),
                names,
                orders,
                include,
                exclude,
            )
        if path.suffix.lower() == ".gguf":
            folder, extra = path.parent, {"gguf_file": path.name}
        elif path.is_dir():
            folder, extra = path, {}
        else:
            raise InputError(
                f"{path}: give a Hugging Face directory, a .gguf file or glassllm's .npz"
            )
        if path.is_dir():
            _check_shards(folder)
        _make_narrow_known()
        config = _loaded("AutoConfig", folder, extra)
        # A GGUF file names no architecture; what people keep in them are language models.
        wanted = task or ("causal" if extra else _task_of(config))
        model = _load(folder, wanted, config, extra, fresh_head)
        if extra and (quantizer := getattr(model, "hf_quantizer", None)) is not None:
            # The weights are float32 by now; still called quantised, they could not be saved.
            quantizer.remove_quantization_config(model)
        _check_finite(path, model)
        model.to(device)  # type: ignore[arg-type]
        tokenizer = _tokenizer(folder, extra)
        if path.is_dir():
            remember(model, read_permutation(folder))
    names = _file_names(folder, model) if not extra else {}
    return assemble(model_name(path), wanted, model, tokenizer, names, {}, include, exclude)


def assemble(
    name: str,
    task: str,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase | None",
    file_names: Mapping[str, str] | None = None,
    row_orders: Mapping[str, Any] | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> OpenModel:
    """The adapter of a model that is in memory already."""
    every = find_matrices(model, file_names or {}, row_orders or {}, (".",))
    chosen = find_matrices(model, file_names or {}, row_orders or {}, include, exclude)
    shapes = {matrix.name: matrix.shape for matrix in every}
    heads = heads_of_config(model.config.to_dict(), name)
    # A head is a head only where all four of its matrices are known, pruned or not.
    attentions = [] if heads is None else find_attentions(shapes, heads)
    return OpenModel(
        name,
        task,
        model.eval(),
        tokenizer,
        chosen,
        tuple(attentions),
        tuple(find_feed_forwards(shapes)),
        every,
        heads,
    )


def _make_narrow_known() -> None:
    """Tell transformers of our own classes, so that no folder's code is asked for them."""
    import transformers

    from pruning.models.modeling_narrow import NARROW

    for config, models in NARROW.items():
        transformers.AutoConfig.register(config.model_type, config, exist_ok=True)
        for auto, model in models.items():
            getattr(transformers, auto).register(config, model, exist_ok=True)


def _check_there(path: Path) -> None:
    if not path.exists():
        raise InputError(
            f"{path} does not exist; give a local directory, because models are not downloaded "
            "(save one with save_pretrained)"
        )
    if path.is_dir() and not (path / "config.json").is_file():
        raise InputError(f"{path} has no config.json; give a Hugging Face model directory")


def _check_shards(folder: Path) -> None:
    """Refuse files of weights that do not lie in the folder, or that reading would not end."""
    for file in sorted(folder.iterdir()):
        check_regular(file)
        if file.name.endswith(".index.json") and file.is_file():
            shards_of(file)


def _check_finite(path: Path, model: "PreTrainedModel") -> None:
    for name, parameter in model.named_parameters():
        if not bool(parameter.isfinite().all()):
            raise InputError(
                f"{path}: parameter {name} holds nan or infinity; repair the checkpoint"
            )


def _task_of(config: Any) -> str:
    names = getattr(config, "architectures", None) or ["Model"]
    if names[0] in _NO_LOSS:
        return "encode"
    for task, (_, endings) in TASKS.items():
        if names[0].endswith(endings):
            return task
    raise InputError(
        f"architecture {names[0]} is not a language model, classifier of texts or pictures, "
        "question answerer or encoder, so this command cannot run it; prune and check work with it"
    )


def _by(shape: Sequence[int]) -> str:
    return "×".join(str(side) for side in shape)


def _load(
    folder: Path,
    task: str,
    config: Any,
    extra: Mapping[str, Any],
    fresh_head: Mapping[str, Any] | None,
) -> "PreTrainedModel":
    import torch

    # Of T5 and its like only the encoder may be there.
    is_half = (getattr(config, "architectures", None) or [""])[0].endswith("EncoderModel")
    loader = "AutoModelForTextEncoding" if task == "encode" and is_half else TASKS[task][0]
    settings = {**extra, **(fresh_head or {}), "dtype": torch.float32, "weights_only": True}
    # Else transformers refers to a report that nobody sees.
    settings |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
    model, report = _loaded(loader, folder, settings)
    for name, stored, wanted in sorted(report["mismatched_keys"]):
        raise InputError(
            f"{folder}: {name} is stored as {_by(stored)}, but config.json says {_by(wanted)}; "
            "weights and config must belong to one model"
        )
    # Embeddings of a text are means or first tokens; a classifier reads what the pooler made.
    unused = (*_UNUSED, "pooler") if task == "encode" else _UNUSED
    missing = sorted(
        (key for key in report["missing_keys"] if not any(word in key for word in unused)),
        key=lambda name: ("pooler" in name, name),  # the head itself says more
    )
    if missing and fresh_head is None:
        raise InputError(
            f"{folder}: there are no usable weights for {missing[0]}, which {task} needs; give a "
            "model that was trained for this task"
        )
    return model


def _loaded(loader: str, folder: Path, settings: Mapping[str, Any]) -> Any:
    """`transformers.<loader>.from_pretrained(folder)`; what it complains of is an InputError."""
    import transformers

    try:
        return getattr(transformers, loader).from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, **settings
        )
    except ImportError as error:
        raise InputError(f"{folder}: {first_line(error)}") from error
    except Exception as error:  # transformers raises what its parts happen to raise
        raise InputError(f"{folder} cannot be opened: {first_line(error)}") from error


def _tokenizer(folder: Path, extra: Mapping[str, Any]) -> "PreTrainedTokenizerBase | None":
    endings = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model")
    if not extra and not any((folder / name).is_file() for name in endings):
        return None
    return _loaded("AutoTokenizer", folder, extra)


def _file_names(folder: Path, model: "PreTrainedModel") -> dict[str, str]:
    """The names in the directory's safetensors, by the opened model's own."""
    from safetensors import SafetensorError, safe_open

    stored: set[str] = set()
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="np") as tensors:
                stored.update(tensors.keys())
        except SafetensorError:
            # Not the file the model came from, else loading it had failed.
            continue
    prefix = f"{model.base_model_prefix}."
    names: dict[str, str] = {}
    for own, _ in model.named_parameters():
        theirs = next(
            (n for n in (own, prefix + own, own.removeprefix(prefix)) if n in stored), None
        )
        if theirs is not None and theirs != own:
            names[own] = theirs
    return names


def first_line(error: BaseException) -> str:
    """What an error of another library says, in one line."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and load reports of transformers: what matters we say ourselves."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
