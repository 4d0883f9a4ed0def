"""The commands that compare: validate, compare, diff. Heavy modules load inside them."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparse_formats.errors import InputError
from sparse_formats.files.atomic import check_writable
from sparse_formats.terminal.application import emit_json

if TYPE_CHECKING:
    from accel_sim.activations import Activations
    from accel_sim.workload import Workload


def validate_command(
    live: Annotated[
        bool, typer.Option("--live", help="Run SCALE-Sim anew and compare its counts.")
    ] = False,
    python: Annotated[
        Path | None, typer.Option(help="Python of an environment with scalesim==3.0.0.")
    ] = None,
) -> None:
    """Recompute every number that somebody else made; exit 1 where an asserted one differs."""
    from accel_sim.comparisons.terminal import print_findings
    from accel_sim.validation.scale_sim import frozen
    from accel_sim.validation.scale_sim import live as run_scale_sim
    from accel_sim.validation.systolic import live_findings
    from accel_sim.validation.table import findings
    from sparse_formats.terminal.tables import new_console

    if live != (python is not None):
        raise InputError(
            "validate: give --live and --python PATH together; PATH is the interpreter of an "
            'environment with scalesim==3.0.0 "numpy<2.3"'
        )
    found = findings() if python is None else live_findings(run_scale_sim(python, frozen()))
    if not print_findings(found, new_console()):
        raise typer.Exit(1)


def compare_command(
    mask: Annotated[list[Path], typer.Option(help="Mask file or folder; once for each.")] = [],  # noqa: B006
    shapes: Annotated[
        str | None, typer.Option(help="gpt2-small | bert-base | 2304x768,… to generate masks of.")
    ] = None,
    density: Annotated[
        float | None, typer.Option(help="Kept share of generated masks; 0.2 if not given.")
    ] = None,
    pattern: Annotated[
        list[str],
        typer.Option(help="Generated masks: mvp (if not given) | random; once for each."),
    ] = [],  # noqa: B006
    accelerator: Annotated[
        list[str], typer.Option(help="Name or .toml file of a machine; tf_mvp if none is given.")
    ] = ["tf_mvp"],  # noqa: B006
    equal: Annotated[
        str, typer.Option(help="as-is | macs | area: PEs of the others changed to the first's.")
    ] = "as-is",
    tokens: Annotated[int, typer.Option(help="Tokens through each matrix.")] = 128,
    activation_density: Annotated[
        float, typer.Option(help="Non-zero share of drawn activations.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Of everything drawn.")] = 0,
    include: Annotated[list[str], typer.Option(help="Only names matching this regex.")] = [],  # noqa: B006
    exclude: Annotated[list[str], typer.Option(help="No names matching this regex.")] = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Folder for compare.json and .png.")] = None,
    json: Annotated[str | None, typer.Option(help="As JSON: file, or - for stdout.")] = None,
    threads: Annotated[int | None, typer.Option(help="Layers simulated at once.")] = None,
) -> None:
    """Every mask on every accelerator: time, energy, their product and area over the first."""
    from accel_sim.activations import Activations
    from accel_sim.commands.run import check_generated
    from accel_sim.comparisons.compare import EQUALS, compare, made_equal
    from accel_sim.comparisons.terminal import print_pairs
    from accel_sim.machines.load import load_machine
    from accel_sim.workload import DENSITY, PATTERN
    from sparse_formats.errors import nearest
    from sparse_formats.terminal.tables import new_console

    if equal not in EQUALS:
        raise InputError(f"--equal is {equal!r}{nearest(equal, EQUALS)}")
    if threads is not None and threads < 1:
        raise InputError(f"--threads is {threads}; give a whole number from 1 up")
    inputs = [path for path in (*mask, *map(Path, accelerator)) if path.exists()]
    targets = [] if out is None else [out / "compare.json", out / "compare.png"]
    targets += [Path(json)] if json is not None and json != "-" else []
    if out is not None:
        _make_folder(out)
    for target in targets:
        check_writable(target, inputs)
    if mask and shapes is None:
        check_generated(mask[0], {"--density": density, "--pattern": pattern or None})
    share, patterns = DENSITY if density is None else density, pattern or [PATTERN]
    given = Activations(tokens, activation_density, seed)
    workloads = _workloads(mask, shapes, share, patterns, given, include, exclude)
    machines = made_equal([load_machine(name) for name in accelerator], EQUALS[EQUALS.index(equal)])
    pairs = list(compare(workloads, machines, threads))
    data: dict[str, Any] = {
        "command": shlex.join(
            ["python", "-m", "accel_sim", "compare"]
            + [word for path in mask for word in ("--mask", str(path))]
            + (["--shapes", shapes, "--density", repr(share)] if shapes else [])
            + [word for name in patterns if shapes for word in ("--pattern", name)]
            + [word for name in accelerator for word in ("--accelerator", name)]
            + ["--equal", equal, "--tokens", str(tokens)]
            + ["--activation-density", repr(activation_density), "--seed", str(seed)]
            + [word for name in include for word in ("--include", name)]
            + [word for name in exclude for word in ("--exclude", name)]
        ),
        "equal": equal,
        "masks": [workload.origin for workload in workloads.values()],
        "pairs": [pair.as_data(pairs[0]) for pair in pairs],
    }
    if out is not None:
        from accel_sim.comparisons.picture import draw_pairs

        draw_pairs(data, out / "compare.png")
        emit_json(data, str(out / "compare.json"))
    if json is not None:
        emit_json(data, json)
    console = new_console(is_stderr=json == "-")
    print_pairs(pairs, console)
    for name, workload in workloads.items():
        if workload.is_int8:
            console.print(
                f"note     {name}: its weights are INT8; every machine runs with its own datatype",
                soft_wrap=True,
            )
    for machine in machines:
        if machine.note:
            console.print(f"note     {machine.name}: {machine.note}", soft_wrap=True)


def diff_command(
    before: Annotated[Path, typer.Argument(help="report.json of a run.")],
    after: Annotated[Path, typer.Argument(help="report.json of another run.")],
) -> None:
    """What changed between two reports: the machine, each layer's cycles and energy by cause."""
    from accel_sim.comparisons.diff import diff
    from accel_sim.comparisons.terminal import print_diff
    from sparse_formats.terminal.tables import new_console

    print_diff(diff(before, after), new_console())


def _workloads(
    paths: list[Path],
    shapes: str | None,
    density: float,
    patterns: list[str],
    activations: "Activations",
    include: list[str],
    exclude: list[str],
) -> "dict[str, Workload]":
    """What is compared, by the name it has in the table: files first, then generated masks."""
    from accel_sim.workload import Workload

    if not paths and shapes is None:
        raise InputError("give --mask FILE, once for each mask, or --shapes NAME")
    names = [path.name for path in paths]
    workloads = {
        path.name if names.count(path.name) == 1 else str(path): Workload.of(
            path, activations, include=include, exclude=exclude
        )
        for path in paths
    }
    for pattern in patterns if shapes is not None else ():
        workloads[f"{shapes} {pattern}"] = Workload.generated(
            shapes or "",
            activations,
            density=density,
            pattern=pattern,
            seed=activations.seed,
            include=include,
            exclude=exclude,
        )
    return workloads


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InputError(f"--out {folder}: is a file; give a folder") from None
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be made: {error.strerror}") from error
