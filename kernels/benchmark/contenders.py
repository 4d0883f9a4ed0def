"""Who computes a product: our kernels, and the libraries that people have."""

from collections.abc import Callable
from typing import Any

from kernels.benchmark import mkl
from kernels.benchmark.cells import Problem
from kernels.packing import Prepared
from kernels.products import spmm

Call = Callable[[], object]


def ours(problem: Problem, prepared: Prepared, threads: int = 1) -> Call:
    return lambda: spmm(prepared, problem.x, problem.out, threads=threads)


def _mkl_csr(problem: Problem) -> Call:
    multiply = mkl.product(problem.weight, problem.x.shape[1])
    return lambda: multiply(problem.x, problem.out)


def _torch_dense(problem: Problem) -> Call:
    import torch

    weight, x, out = (torch.from_numpy(a) for a in (problem.dense, problem.x, problem.out))
    return lambda: torch.mm(weight, x, out=out)


def _torch_csr(problem: Problem) -> Call:
    import warnings

    import torch

    with warnings.catch_warnings():
        # "in beta state", once in a process.
        warnings.simplefilter("ignore")
        weight = torch.from_numpy(problem.dense).to_sparse_csr()
    x = torch.from_numpy(problem.x)
    return lambda: weight @ x


def _scipy_csr(problem: Problem) -> Call:
    import scipy.sparse

    weight: Any = scipy.sparse.csr_array(problem.dense)
    return lambda: weight @ problem.x


PEERS: dict[str, Callable[[Problem], Call]] = {
    "mkl csr": _mkl_csr,
    "torch dense": _torch_dense,
    "torch csr": _torch_csr,
    "scipy csr": _scipy_csr,
}


def available_peers() -> tuple[dict[str, Callable[[Problem], Call]], tuple[str, ...]]:
    """Those of `PEERS` that are installed, with torch on one thread, and the names of the rest."""
    from importlib.util import find_spec

    missing = [] if mkl.loaded() is not None else ["mkl csr"]
    if find_spec("torch") is None:
        missing += ["torch dense", "torch csr"]
    else:
        import torch

        torch.set_num_threads(1)
    return {name: peer for name, peer in PEERS.items() if name not in missing}, tuple(missing)
