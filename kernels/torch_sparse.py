"""To and from torch's sparse tensors: CSR, CSC and BSR layouts. torch is loaded when called."""

from typing import Any

import numpy as np

from sparse_formats.errors import InputError
from sparse_formats.formats.bsr import BSR
from sparse_formats.formats.csc import CSC
from sparse_formats.formats.csr import CSR
from sparse_formats.formats.scipy_conversion import check_whole_blocks


def to_torch(matrix: CSR | CSC | BSR) -> Any:
    """The sparse_csr, sparse_csc or sparse_bsr tensor with the same entries, kept zeros too.

    Weights keep their type (uint16 is taken for bfloat16 patterns); booleans where encoded without.

    Raises:
        InputError: a BSR matrix whose blocks reach over its edge, which torch cannot hold.
    """
    import torch  # pyright: ignore[reportMissingImports]

    if isinstance(matrix, BSR):
        # The one check that both libraries need.
        check_whole_blocks(matrix, "torch")
    data = matrix.data
    size = (
        matrix.nnz if not isinstance(matrix, BSR) else (len(matrix.indices),) + (matrix.block,) * 2
    )
    if data is None:
        values = torch.ones(size, dtype=torch.bool)
    elif data.dtype == np.uint16:
        values = torch.from_numpy(data.view(np.int16).copy()).view(torch.bfloat16)
    else:
        values = torch.from_numpy(data.copy())
    make: Any = {
        CSR: torch.sparse_csr_tensor,
        CSC: torch.sparse_csc_tensor,
        BSR: torch.sparse_bsr_tensor,
    }[type(matrix)]
    pointers, indices = (torch.from_numpy(a.copy()) for a in (matrix.indptr, matrix.indices))
    return make(pointers, indices, values, size=matrix.shape, check_invariants=True)


def from_torch(tensor: Any) -> CSR | CSC | BSR:
    """Ours from a 2-D torch tensor in CSR, CSC or BSR layout, on the CPU or not.

    Entries may come in any order within a line. bfloat16 becomes uint16 patterns, bool no weights.

    Raises:
        InputError: another layout or number of dimensions, blocks that are not square.
    """
    import torch  # pyright: ignore[reportMissingImports]

    layouts = {torch.sparse_csr: CSR, torch.sparse_csc: CSC, torch.sparse_bsr: BSR}
    cls = layouts.get(tensor.layout)
    if cls is None or tensor.dim() != 2:
        raise InputError(
            f"tensor of layout {tensor.layout}, {tensor.dim()}-D: give a 2-D one in sparse CSR, "
            "CSC or BSR; convert it with .to_sparse_csr()"
        )
    tensor = tensor.detach().cpu()
    is_by_column = cls is CSC
    pointers = (tensor.ccol_indices if is_by_column else tensor.crow_indices)().numpy()
    indices = (tensor.row_indices if is_by_column else tensor.col_indices)().numpy()
    values = tensor.values()
    if values.dtype == torch.bool:
        data = None
    elif values.dtype == torch.bfloat16:
        data = values.view(torch.int16).numpy().view(np.uint16)
    else:
        data = values.numpy()
    order = np.lexsort((indices, np.repeat(np.arange(len(pointers) - 1), np.diff(pointers))))
    data = None if data is None else data[order]
    shape = (int(tensor.shape[0]), int(tensor.shape[1]))
    lines = (pointers.astype(np.int32), indices[order].astype(np.int32))
    if cls is not BSR:
        return cls(shape, *lines, data)
    height, width = values.shape[1:]
    if height != width:
        raise InputError(
            f"blocks are {height}×{width}, but must be square; convert with blocksize="
        )
    return BSR(shape, int(height), *lines, data)
