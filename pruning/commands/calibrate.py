"""The command `calibrate`: statistics of a model on text, for the scores that look at them."""

from pathlib import Path
from typing import Annotated

import typer

from sparse_formats.errors import InputError

SAMPLES = 128
"""Default number of examples; as Wanda and SparseGPT take."""


def calibrate_command(
    model: Annotated[
        Path, typer.Option(help="Hugging Face directory, .gguf, or glassllm's .npz of weights.")
    ],
    out: Annotated[Path, typer.Option(help="Statistics file to write (.npz).")],
    text: Annotated[Path | None, typer.Option(help="Text file, for a language model.")] = None,
    table: Annotated[
        Path | None, typer.Option(help="Tab-separated file with labels, for a classifier.")
    ] = None,
    squad: Annotated[Path | None, typer.Option(help="SQuAD JSON, for a question answerer.")] = None,
    score: Annotated[
        list[str] | None,
        typer.Option(help="Collect only what this score needs; may be repeated."),
    ] = None,
    samples: Annotated[int, typer.Option(help="Examples, drawn by the seed.", min=1)] = SAMPLES,
    length: Annotated[
        int | None, typer.Option(help="Tokens of an example; the model's own, at most 512.")
    ] = None,
    memory_gb: Annotated[
        float, typer.Option(help="Room for sums; with less the examples run several times.")
    ] = 4.0,
    seed: Annotated[int, typer.Option(help="Seed of the choice of examples.", min=0)] = 0,
    threads: Annotated[int, typer.Option(help="Threads of PyTorch.", min=1)] = 1,
    include: Annotated[
        list[str] | None, typer.Option(help="Regular expression: only matrices it matches.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Regular expression: not the matrices it matches.")
    ] = None,
) -> None:
    """Collect the inputs' sums of squares and the gradients that scores look at."""
    from pruning.commands.progress import progress
    from pruning.data.examples import Examples, examples_of, step_numbers
    from pruning.models.opening import open_model
    from pruning.scores import SCORES, check_score
    from pruning.statistics.matrix_statistics import STATISTICS, write_statistics
    from sparse_formats.files.atomic import check_writable

    data = [path for path in (text, table, squad) if path is not None]
    if out.suffix.lower() != ".npz":
        raise InputError(f"--out {out}: a statistics file is called something.npz")
    check_writable(out, [model, *data])
    for name in score or ():
        check_score(name)
    needs = {need for name in score or () for need in SCORES[name].needs}
    if score and not needs:
        raise InputError(
            f"score {', '.join(score)} looks at the weights alone: no need to calibrate"
        )
    with progress() as tell:
        tell(f"opening {model}")
        opened = open_model(model, None, include or (), exclude or ())
        import torch

        from pruning.statistics.calibration import calibrated

        torch.set_num_threads(threads)
        every = examples_of(opened, text, table, squad, length, seed)
        count = min(samples, len(every))
        chosen = step_numbers(len(every), count, 0, seed)
        drawn = Examples([every.rows[int(number)] for number in chosen], every.pad)
        with calibrated(
            opened, drawn, needs or STATISTICS, memory_bytes=memory_gb * 1e9, tell=tell
        ) as known_statistics:
            tell(f"writing {out}")
            write_statistics(out, known_statistics)
    tokens = max((known.tokens for known in known_statistics.values()), default=0)
    print(f"{len(known_statistics)} matrices, {count} examples, {tokens} tokens; wrote {out}")
