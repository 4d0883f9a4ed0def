"""The command line of the simulator. Heavy modules load inside the commands, for a quick --help."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accel_sim.commands.comparing import compare_command, diff_command, validate_command
from sparse_formats.errors import InputError
from sparse_formats.files.atomic import check_writable
from sparse_formats.terminal.application import emit_json, new_app, run

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accel_sim.activations import Activations
    from accel_sim.dataflows.dataflow import Machine
    from accel_sim.reports.report import Report
    from accel_sim.workload import Workload

app = new_app("Latency and energy of a pruned transformer on a sparse accelerator, and why.")

NO_ADVICE = "What would help is simulated with --advice, and with --out where it is quick."


@app.command("run")
def run_command(
    mask: Annotated[Path | None, typer.Option(help="Mask file or folder: .npz, .smtx, …")] = None,
    shapes: Annotated[
        str | None, typer.Option(help="gpt2-small | bert-base | llama-7b | 2304x768,768x768,…")
    ] = None,
    density: Annotated[
        float | None, typer.Option(help="Kept share of generated masks; 0.2 if not given.")
    ] = None,
    pattern: Annotated[
        str | None, typer.Option(help="Generated masks: mvp (if not given) | random.")
    ] = None,
    accelerator: Annotated[str, typer.Option(help="Name or .toml file.")] = "tf_mvp",
    memory: Annotated[
        str | None, typer.Option(help="ddr4_3200 | lpddr4_2400 | hbm2_2000 for its DRAM.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(help="Tokens through each matrix; 128, or as recorded.")
    ] = None,
    activations: Annotated[
        Path | None, typer.Option(help="Recorded tokens × inputs of each matrix: .npz.")
    ] = None,
    activation_density: Annotated[
        float, typer.Option(help="Non-zero share of drawn activations.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Of everything drawn.")] = 0,
    settings: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change one accelerator value.")
    ] = [],  # noqa: B006 - typer copies it
    calibrated: Annotated[
        bool, typer.Option("--calibrated", help="Fit core energy to the published GOPS/W.")
    ] = False,
    include: Annotated[list[str], typer.Option(help="Only names matching this regex.")] = [],  # noqa: B006
    exclude: Annotated[list[str], typer.Option(help="No names matching this regex.")] = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Folder for report, CSV and pictures.")] = None,
    json: Annotated[str | None, typer.Option(help="Report as JSON: file, or - for stdout.")] = None,
    outputs: Annotated[
        Path | None,
        typer.Option(
            help="File for the products: first 256 tokens × outputs of each matrix: .npz."
        ),
    ] = None,
    check: Annotated[bool, typer.Option(help="Compute and compare the product.")] = True,
    advice: Annotated[
        bool | None, typer.Option(help="Simulate what would help; unasked if quick, with --out.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Layers simulated at once.")] = None,
) -> None:
    """Simulate a mask file, or generated masks of known shapes, layer by layer."""
    from accel_sim.reports.folder import prepare_folder
    from accel_sim.workload import DENSITY, PATTERN, Workload

    machine = _machine(accelerator, memory, settings, calibrated)
    if threads is not None and threads < 1:
        raise InputError(f"--threads is {threads}; give a whole number from 1 up")
    paths = (mask, activations, Path(accelerator))
    inputs = [path for path in paths if path is not None and path.exists()]
    if json is not None and json != "-":
        check_writable(Path(json), inputs)
    if outputs is not None:
        _check_outputs(outputs, inputs, check, json)
    if (mask is None) == (shapes is None):
        raise InputError("give either --mask FILE or --shapes NAME, one of the two")
    if mask is not None:
        check_generated(mask, {"--density": density, "--pattern": pattern})
        workload = Workload.of(mask, include=include, exclude=exclude)
        named = ["--mask", str(mask)]
    else:
        assert shapes is not None
        share, of = DENSITY if density is None else density, pattern or PATTERN
        workload = Workload.generated(
            shapes, density=share, pattern=of, seed=seed, include=include, exclude=exclude
        )
        named = ["--shapes", shapes, "--density", repr(share), "--pattern", of]
    if workload.is_int8:
        settings, note = _for_int8(machine, settings)
        machine = _machine(accelerator, memory, settings, calibrated)
        workload = replace(workload, notes=(*workload.notes, *note))
    if outputs is not None and not (workload.is_weighted and machine.computes_product):
        what = "a mixed-vector machine" if workload.is_weighted else "weights in the mask file"
        raise InputError(f"--outputs: there is a product only with {what}")
    given = _activations(activations, workload, tokens, activation_density, seed)
    workload = replace(workload, activations=given)
    if out is not None:
        prepare_folder(out, inputs)

    products: dict[str, NDArray[Any]] = {}
    wanted = None if outputs is None else products
    report = _simulate(workload, machine, check, threads, wanted)
    missing = [] if outputs is None else _write_outputs(outputs, products, workload)
    may_advise = out is not None if advice is None else advice
    advices = _advise(workload, machine, may_advise, advice is None, threads)
    is_unasked = advices is None and advice is None and machine.changes
    words = _words(
        {
            "--accelerator": accelerator,
            "--memory": memory,
            "--tokens": given.tokens,
            "--activations": activations,
            "--activation-density": None if given.density == 1 else given.density,
            "--seed": seed,
            "--set": settings,
            "--calibrated": calibrated,
            "--include": include,
            "--exclude": exclude,
            "--outputs": outputs,
            "--no-check": not check,
            "--advice": advices is not None,
            "--no-advice": advice is False,
        }
    )
    report = replace(
        report,
        command=shlex.join(["python", "-m", "accel_sim", "run", *named, *words]),
        notes=(*report.notes, *missing, *([NO_ADVICE] if is_unasked else [])),
        advice=advices,
    )
    if calibrated:
        from accel_sim.reports.calibration import calibrated as with_factor

        report = with_factor(report)
    _show(report, out, json)
    if report.total.product_is_equal is False:
        raise typer.Exit(1)


@app.command("accelerators")
def accelerators_command(
    show: Annotated[str | None, typer.Option(help="Every value of this one, with sources.")] = None,
) -> None:
    """List machines and memories, or show every value of one with its mark and source."""
    from accel_sim.machines.load import builtin_accelerators, load_machine, resolved
    from accel_sim.machines.memory import builtin_memories, load_memory
    from accel_sim.reports.terminal import (
        print_accelerator,
        print_accelerators,
        print_memories,
        print_memory,
    )
    from sparse_formats.terminal.tables import new_console

    console = new_console()
    if show in builtin_memories():
        print_memory(show, load_memory(show), console)
    elif show is not None:
        print_accelerator(resolved(load_machine(show)), console)
    else:
        print_accelerators([load_machine(name) for name in builtin_accelerators()], console)
        console.print()
        print_memories({name: load_memory(name) for name in builtin_memories()}, console)


app.command("validate")(validate_command)
app.command("compare")(compare_command)
app.command("diff")(diff_command)


def _machine(name: str, memory: str | None, settings: list[str], is_calibrated: bool) -> "Machine":
    from accel_sim.machines.load import load_machine
    from accel_sim.machines.memory import load_memory
    from accel_sim.reports.calibration import check_calibratable

    named = []
    if memory is not None:
        load_memory(memory)  # says that it is --memory that names none
        named = [f"dram.memory={memory}"]
    machine = load_machine(name, [*named, *settings])
    if is_calibrated:
        check_calibratable(machine)
    return machine


def _for_int8(machine: "Machine", settings: list[str]) -> tuple[list[str], list[str]]:
    """Settings for weights that are 8-bit numbers, and what the report says of it."""
    datatype, key = machine.numbers.name, machine.datatype_key
    if datatype == "int8":
        return settings, []
    if key is None:
        return settings, [f"The weights are INT8; {machine.name} is run with its own {datatype}."]
    if machine.origins[key].mark == "set":
        return settings, [f"The weights are INT8; they are run as {datatype}, as was set."]
    note = (
        f"The weights are INT8, so the machine was set to {key}=int8; --set "
        f"{key}={datatype} runs them as {datatype}."
    )
    return [*settings, f"{key}=int8"], [note]


def check_generated(mask: Path, options: Mapping[str, Any]) -> None:
    """Refuse options of generated masks where there are none."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise InputError(
            f"{' and '.join(given)}: of masks generated with --shapes; --mask {mask} says its own, "
            f"leave {'them' if len(given) > 1 else 'it'} out"
        )


def _check_outputs(path: Path, inputs: list[Path], is_checked: bool, json: str | None) -> None:
    """Refuse a file that products cannot go to, before anything is computed."""
    if path.suffix.lower() != ".npz":
        raise InputError(f"--outputs {path}: the file of products is called something.npz")
    if not is_checked:
        raise InputError("--outputs writes the product, which --no-check does not compute")
    check_writable(path, inputs)
    if json is not None and path.resolve() == Path(json).resolve():
        raise InputError(f"--outputs {path}: the report goes there; give another name")


def _write_outputs(
    path: Path, products: "dict[str, NDArray[Any]]", workload: "Workload"
) -> list[str]:
    """Write the products, (tokens, outputs) by matrix; gives a note if there is not one of each."""
    from sparse_formats.files.atomic import write_npz

    write_npz(path, {name: product.T for name, product in products.items()})
    missing = [name for name in workload.names if name not in products]
    if not missing:
        return []
    return [f"{path} holds no product of {len(missing)} matrices, e.g. {missing[0]}."]


def _activations(
    path: Path | None, workload: "Workload", tokens: int | None, density: float, seed: int
) -> "Activations":
    """Recorded ones where there is a file of them, else drawn ones."""
    from accel_sim.activations import Activations, read_activations
    from accel_sim.workload import TOKENS

    if path is None:
        return Activations(TOKENS if tokens is None else tokens, density, seed)
    if density != 1:
        raise InputError("give either --activations FILE or --activation-density, one of the two")
    return read_activations(path, workload.names, tokens, seed)


def _simulate(
    workload: "Workload",
    machine: "Machine",
    is_checked: bool,
    threads: int | None,
    products: "dict[str, NDArray[Any]] | None" = None,
) -> "Report":
    """Run with a progress bar on stderr, where somebody is looking; keep the `products` by name."""
    from rich.console import Console
    from rich.progress import Progress

    from accel_sim.pipeline import simulate

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("simulating", total=len(workload.names))
        return simulate(
            workload,
            machine,
            is_checked=is_checked,
            threads=threads,
            on_layer=lambda name: progress.update(task, advance=1, description=name),
            on_outputs=None if products is None else products.__setitem__,
        )


def _advise(
    workload: "Workload",
    machine: "Machine",
    is_wanted: bool,
    is_only_if_quick: bool,
    threads: int | None,
) -> list[dict[str, Any]] | None:
    """What would help, where it is wanted and does not take longer than it may."""
    from accel_sim.comparisons.advice import advise, is_quick

    if not is_wanted or (is_only_if_quick and not is_quick(workload, machine)):
        return None
    return [item.as_data() for item in advise(workload, machine, threads)]


def _words(options: Mapping[str, Any]) -> list[str]:
    """`options` as words of a command: True is the option alone, None and False are left out."""
    words = []
    for option, value in options.items():
        for item in value if isinstance(value, list) else [value]:
            if item is True:
                words.append(option)
            elif item is not None and item is not False:
                words += [option, str(item)]
    return words


def _show(report: "Report", out: Path | None, json: str | None) -> None:
    """Into the folder, as JSON, and as a table."""
    from accel_sim.reports.folder import write_folder
    from accel_sim.reports.report import as_json
    from accel_sim.reports.terminal import print_report
    from sparse_formats.terminal.tables import new_console

    data = as_json(report)
    if out is not None:
        write_folder(out, report, data)
    if json is not None:
        emit_json(data, json)
    console = new_console(is_stderr=json == "-")
    print_report(report, console)
    if out is not None:
        console.print(f"report   {out / 'report.html'}", soft_wrap=True)


def main() -> None:
    """Entry point of `python -m accel_sim` and of the script `mvpsim-sim`."""
    run(app, "accel_sim")
