"""Time and memory of every format on GPT-2-small's 48 matrices: 84.9 M weights, 80 % sparse.

Run: python benchmarks/sparse_formats/gpt2_shapes.py [FORMAT …]. Each format in a process of its
own; peak = the process's resident set, less what it held before the weights were made, over the
bytes of the dense float32 weights, which are held all the time. Encoded matrices are all kept.
"""

import resource
import subprocess
import sys
import time

MASKS_OF_THEIR_OWN = {"n_m": (4, 2), "vector_wise": (16, 4), "n_m_or_dense": (4, 2)}


def resident_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(format: str) -> None:
    import numpy as np

    from sparse_formats.formats.registry import FORMATS, encode
    from sparse_formats.masks.matrix import MaskedMatrix
    from sparse_formats.masks.synthetic.generate import generate
    from sparse_formats.masks.synthetic.shapes import SHAPES

    def fits(keep: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if format == "bsr":
            return np.repeat(np.repeat(keep[::16, ::16], 16, 0), 16, 1)
        if format == "hierarchical_n_m":
            return np.broadcast_to(np.arange(keep.shape[1]) % 32 % 8 < 2, keep.shape).copy()
        if format in MASKS_OF_THEIR_OWN:
            length, most = MASKS_OF_THEIR_OWN[format]
            draw = rng.random((keep.size // length, length), np.float32)
            return (draw.argsort(1) < most).reshape(keep.shape)
        return keep

    small = fits(np.ones((64, 64), bool), np.random.default_rng(0))
    warm = FORMATS[format].encode(small, small.astype(np.float32))
    warm.decode()
    type(warm).from_bytes(warm.to_bytes(), warm.descriptor())
    before = resident_bytes()
    rng = np.random.default_rng(0)
    matrices: list[MaskedMatrix] = []
    dense_bytes = 0
    for drawn in generate(SHAPES["gpt2-small"], 0.2, "fine"):
        keep = fits(drawn.keep, rng)
        weight = rng.standard_normal(keep.shape, np.float32)
        weight *= keep
        matrices.append(MaskedMatrix(drawn.name, keep, weight, drawn.kind))
        dense_bytes += weight.nbytes
    start = time.perf_counter()
    encoded = [encode(matrix, format) for matrix in matrices]
    after_encode = time.perf_counter()
    for one in encoded:
        one.decode()
    after_decode = time.perf_counter()
    peak = (resident_bytes() - before) / dense_bytes
    bits = 0
    for one in encoded:
        stream = one.to_bytes()
        bits += one.storage(32).bits
        type(one).from_bytes(stream, one.descriptor())
    streams = time.perf_counter() - after_decode
    encode_s, decode_s = after_encode - start, after_decode - after_encode
    print(
        f"{format:20} encode {encode_s:6.2f} s  decode {decode_s:5.2f} s  streams {streams:6.2f} s"
        f"  peak {peak:.2f}× dense  {bits / dense_bytes * 4:.2f} bits an element"
    )


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--one":
        measure(sys.argv[2])
    else:
        from sparse_formats.formats.registry import FORMATS

        for name in sys.argv[1:] or FORMATS:
            subprocess.run([sys.executable, __file__, "--one", name], check=True)
