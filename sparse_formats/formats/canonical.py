"""Is a stream the one that its own matrix would be written as?"""

from sparse_formats.errors import InputError
from sparse_formats.formats.parts.bitstream import BitReader
from sparse_formats.formats.sparse_matrix import SparseMatrix


def check_canonical(
    reader: BitReader,
    data: bytes,
    matrix: SparseMatrix,
    value_type: str | None,
    **parameters: int,
) -> None:
    """Refuse a stream whose matrix, encoded again, has another stream.

    data: the stream that `reader` read; value_type: by name; parameters: those of `encode`.

    Raises:
        InputError: names the first bit that differs.
    """
    try:
        again = type(matrix).encode(*matrix.decode(), **parameters).to_bytes(value_type)
    except InputError as error:
        raise reader.fail(0, f"no matrix is stored so ({error})") from error
    if again == data:
        return
    shorter = min(len(data), len(again))
    found, wanted = (int.from_bytes(part[:shorter], "little") for part in (data, again))
    differs = found ^ wanted
    if not differs:
        raise reader.fail(8 * shorter, f"{len(again)} bytes hold this matrix")
    bit = (differs & -differs).bit_length() - 1
    raise reader.fail(bit, "it is not what the matrix that it holds is stored as")
