"""Time of K-prune's solve and memory of its walk at BERT-base's size, on generated weights.

Run: python benchmarks/pruning/retraining_free.py [TASK …]. Each task in a process of its own, one
thread. Goals: given the Gram matrix ≤ 0.3 s for 1536 features and ≤ 1.5 s for 3072; below 3 GB for
BERT-base on 100,000 tokens, measured to the end of layer 1: there both walks are held, and almost
all sublayers watched. Knowledge is measured on 20 of the batches only, one after the other as
always: what a batch holds is gone before the next, so the peak is that of all of them.
"""

import contextlib
import os
import resource
import subprocess
import sys
import time


class _FarEnoughError(Exception):
    pass


def solve(width: int, hidden: int) -> str:
    import numpy as np

    from pruning.retraining_free.weight_tuning import RIDGE, Normal
    from pruning.retraining_free.weight_tuning import solve as solved

    rng = np.random.default_rng(0)
    features = rng.standard_normal((width + 200, width))
    cross = rng.standard_normal((width, hidden))
    normal = Normal(features.T @ features, cross, 1.0, 1.0)
    seconds = []
    for _ in range(7):
        started = time.perf_counter()
        solved(normal, RIDGE)
        seconds.append(time.perf_counter() - started)
    return f"{min(seconds):.2f} s best, {sorted(seconds)[3]:.2f} s median of 7"


def walk(tokens: int) -> str:
    import numpy as np
    import torch
    import transformers

    from pruning.data.examples import Examples
    from pruning.models.opening import assemble
    from pruning.retraining_free import kprune as method
    from pruning.retraining_free.method import MethodSettings
    from pruning.retraining_free.partial_run import batches_of
    from pruning.retraining_free.sublayers import find_encoder

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = transformers.BertForSequenceClassification(transformers.BertConfig())
    encoder = find_encoder(assemble("bert-base", "classify", model.eval(), None))
    rng = np.random.default_rng(0)
    rows = []
    while sum(len(row["input_ids"]) for row in rows) < tokens:
        ids = rng.integers(1000, 30000, int(rng.integers(10, 60))).tolist()
        rows.append({"input_ids": ids, "attention_mask": [1] * len(ids)})
    started = time.perf_counter()

    def tell(step: str) -> None:
        if step.startswith("sublayer 5 "):
            raise _FarEnoughError

    batches = batches_of(Examples(rows))
    known = method.knowledge
    method.knowledge = lambda encoder, batches, *rest: known(encoder, batches[:20], *rest)
    with contextlib.suppress(_FarEnoughError):
        method.kprune(encoder, batches, tokens / len(rows), 0.4, MethodSettings(), tell)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return f"{peak:.2f} GB peak, {time.perf_counter() - started:.0f} s for 2 of 12 layers"


TASKS = {
    "solve 1536": lambda: solve(1536, 384),
    "solve 3072": lambda: solve(3072, 768),
    "bert-base 100,000 tokens": lambda: walk(100_000),
}


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        print(f"{sys.argv[2]:26}{TASKS[sys.argv[2]]()}", flush=True)
        return
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for task in sys.argv[1:] or TASKS:
        subprocess.run([sys.executable, __file__, "--one", task], check=True, env=alone)


if __name__ == "__main__":
    main()
