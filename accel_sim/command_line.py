"""The command line of the simulator. Heavy modules load inside the commands, for a quick --help."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparse_formats.errors import InputError
from sparse_formats.files import check_writable
from sparse_formats.terminal import emit_json, new_app, run

if TYPE_CHECKING:
    from accel_sim.accelerator import Accelerator
    from sparse_formats.masks import MaskedMatrix

app = new_app("Latency and energy of a pruned transformer on a sparse accelerator, and why.")

GENERATED = "Masks were generated, not trained: a study of scale and structure, not of a model."
NOT_WEIGHTED = "The file holds no weights: the product was not computed."


@dataclass(frozen=True)
class Source:
    """Where the matrices come from, what the report says of it, and they themselves."""

    mask: dict[str, Any]
    arguments: list[str]
    notes: list[str]
    count: int
    matrices: Iterator["MaskedMatrix"]


@app.command("run")
def run_command(
    mask: Annotated[Path | None, typer.Option(help="Mask file or folder: .npz, .smtx, …")] = None,
    shapes: Annotated[
        str | None, typer.Option(help="gpt2-small | bert-base | llama-7b | 2304x768,768x768,…")
    ] = None,
    density: Annotated[float, typer.Option(help="Kept share of generated masks.")] = 0.2,
    pattern: Annotated[str, typer.Option(help="Generated masks: mvp | random.")] = "mvp",
    accelerator: Annotated[str, typer.Option(help="Name or .toml file.")] = "tf_mvp",
    tokens: Annotated[int, typer.Option(help="Tokens that pass through each matrix.")] = 128,
    activation_density: Annotated[
        float, typer.Option(help="Non-zero share of the drawn activations.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Of everything drawn.")] = 0,
    settings: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change one accelerator value.")
    ] = [],  # noqa: B006 - typer copies it
    include: Annotated[list[str], typer.Option(help="Only names matching this regex.")] = [],  # noqa: B006
    exclude: Annotated[list[str], typer.Option(help="No names matching this regex.")] = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Folder for report, CSV and pictures.")] = None,
    json: Annotated[str | None, typer.Option(help="Report as JSON: file, or - for stdout.")] = None,
    check: Annotated[bool, typer.Option(help="Compute and compare the product.")] = True,
    threads: Annotated[int | None, typer.Option(help="Layers simulated at once.")] = None,
) -> None:
    """Simulate a mask file, or generated masks of known shapes, layer by layer."""
    from accel_sim.accelerator import load_accelerator
    from accel_sim.files import prepare_folder, write_folder
    from accel_sim.report import as_json, make_report
    from accel_sim.table import print_report
    from accel_sim.workload import Activations
    from sparse_formats.tables import new_console

    machine = load_accelerator(accelerator, settings)
    activations = Activations(tokens, activation_density, seed)
    if threads is not None and threads < 1:
        raise InputError(f"--threads is {threads}; give a whole number from 1 up")
    inputs = [path for path in (mask, Path(accelerator)) if path is not None and path.exists()]
    if json is not None and json != "-":
        check_writable(Path(json), inputs)
    if mask is not None and shapes is None:
        source = _from_file(mask, include, exclude)
    elif shapes is not None and mask is None:
        source = _from_shapes(shapes, density, pattern, seed, include, exclude)
    else:
        raise InputError("give either --mask FILE or --shapes NAME, one of the two")
    if out is not None:
        prepare_folder(out, inputs)
    results = _simulate(source, machine, activations, check, threads)

    words = ["--accelerator", accelerator, "--tokens", str(tokens), "--seed", str(seed)]
    if not activations.is_dense:
        words += ["--activation-density", repr(activation_density)]
    for option, values in (("--set", settings), ("--include", include), ("--exclude", exclude)):
        words += [word for value in values for word in (option, value)]
    command = ["python", "-m", "accel_sim", "run", *source.arguments, *words]
    header = {
        "command": shlex.join(command + ([] if check else ["--no-check"])),
        "versions": _versions(),
        "mask": source.mask,
        "notes": [note for note in (*source.notes, machine.note) if note],
    }
    report = make_report(results, machine, header)
    data = as_json(report, _now())
    if out is not None:
        write_folder(out, report, data)
    if json is not None:
        emit_json(data, json)
    console = new_console(is_stderr=json == "-")
    print_report(report, console)
    if out is not None:
        console.print(f"report   {out / 'report.html'}", soft_wrap=True)
    if report.total["product_is_equal"] is False:
        raise typer.Exit(1)


@app.command("accelerators")
def accelerators_command(
    show: Annotated[str | None, typer.Option(help="Every value of this one, with sources.")] = None,
) -> None:
    """List the machines, or show every value of one with its mark and source."""
    from accel_sim.accelerator import builtin_accelerators, load_accelerator, resolved
    from accel_sim.table import print_accelerator, print_accelerators
    from sparse_formats.tables import new_console

    if show is None:
        machines = [load_accelerator(name) for name in builtin_accelerators()]
        print_accelerators(machines, new_console())
    else:
        print_accelerator(resolved(load_accelerator(show)), new_console())


def _from_file(path: Path, include: list[str], exclude: list[str]) -> Source:
    from sparse_formats.mask_file import read_masks, sha256_of
    from sparse_formats.selection import select

    masks = read_masks(path)
    names = set(select([m.name for m in masks.matrices], include, exclude))
    chosen = [matrix for matrix in masks.matrices if matrix.name in names]
    notes = [] if any(m.weight is not None for m in chosen) else [NOT_WEIGHTED]
    turned = masks.header.get("stored_in_out", ())
    if turned:
        notes.append(
            f"{len(turned)} matrices are stored (in, out) by their names and were transposed: "
            f"{turned[0]}{', …' if len(turned) > 1 else ''}"
        )
    left_out = len(masks.matrices) - len(chosen)
    if left_out:
        notes.append(f"{left_out} of {len(masks.matrices)} matrices of the file were left out.")
    return Source(
        mask={"source": str(path), "sha256": sha256_of(path), "header": dict(masks.header)},
        arguments=["--mask", str(path)],
        notes=notes,
        count=len(chosen),
        matrices=iter(chosen),
    )


def _from_shapes(
    spec: str, density: float, pattern: str, seed: int, include: list[str], exclude: list[str]
) -> Source:
    from sparse_formats.selection import select
    from sparse_formats.synthetic import generate, parse_shapes

    shapes = parse_shapes(spec)
    names = set(select([shape.name for shape in shapes], include, exclude))
    shapes = [shape for shape in shapes if shape.name in names]
    return Source(
        mask={
            "source": "generated",
            "sha256": None,
            "shapes": spec,
            "density": density,
            "pattern": pattern,
            "seed": seed,
        },
        arguments=["--shapes", spec, "--density", repr(density), "--pattern", pattern],
        notes=[GENERATED],
        count=len(shapes),
        matrices=generate(shapes, density, pattern, seed),
    )


def _simulate(
    source: Source,
    machine: "Accelerator",
    activations: Any,
    is_checked: bool,
    threads: int | None,
) -> Any:
    """Run with a progress bar on stderr, where somebody is looking."""
    from rich.console import Console
    from rich.progress import Progress

    from accel_sim.simulate import simulate

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("simulating", total=source.count)
        return simulate(
            source.matrices,
            machine,
            activations,
            is_checked=is_checked,
            threads=threads,
            on_layer=lambda name: progress.update(task, advance=1, description=name),
        )


def _versions() -> dict[str, str]:
    import platform
    from importlib.metadata import version

    packages = {name: version(name) for name in ("mvpsim", "numpy", "numba")}
    return {"python": platform.python_version(), **packages}


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="seconds")


def main() -> None:
    """Entry point of `python -m accel_sim` and of the script `mvpsim-sim`."""
    run(app, "accel_sim")
