"""Freeze the reports of many runs, and compare two such folders number by number.

    python -m benchmarks.reports freeze FOLDER --model MODEL [--dlmc FOLDER]
    python -m benchmarks.reports compare BEFORE AFTER

A change that must compute nothing else is made between a `freeze` before it and one after it. The
runs cover every machine, format, datatype and command that prints figures. `compare` lists every
number, name and text that differs; time stamps, command lines and versions may.
"""

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SIM, PRUNE = ["accel_sim", "run"], ["pruning", "prune"]
SMALL = ["--shapes", "96x64,64x96,80x48", "--seed", "3"]
MASK = ["--mask", "out.npz"]
ONE_LAYER = ["--include", "layer.0."]
RIVALS = (
    "cambricon_x", "eie", "optimus", "systolic_is", "systolic_os", "systolic_ws",
    "tensor_core_1_4", "tensor_core_2_4", "tensor_core_dense", "tensor_core_vector_wise",
)  # fmt: skip

PRUNED = {
    "out": ["--method", "mvp", "--sparsity", "0.8"],
    "n_m": ["--pattern", "2:4"],
    "fine": ["--pattern", "fine", "--sparsity", "0.7", "--include", "layer.1."],
    "vector": ["--pattern", "vector:16", "--sparsity", "0.9", "--include", "layer.2."],
    "block": ["--pattern", "block:32", "--sparsity", "0.5", "--include", "layer.3."],
    "tiled": ["--pattern", "mvp_tiled", "--sparsity", "0.75", "--include", "layer.4."],
}
"""Mask files by name: the flags of `prune` that make them."""

RUNS: dict[str, list[str]] = {
    "demo": [*SIM, *MASK, "--advice"],
    "one_token": [*SIM, *MASK, "--tokens", "1", "--set", "dram.bytes_per_cycle=128"],
    "ddr4_zeros": [*SIM, *MASK, *ONE_LAYER, "--memory", "ddr4_3200", "--activation-density", "0.5"],
    "calibrated": [*SIM, *MASK, *ONE_LAYER, "--calibrated"],
    "int8": [*SIM, *MASK, *ONE_LAYER, "--set", "array.datatype=int8"],
    "int16_columns": [
        *SIM, *SMALL, "--activation-density", "0.4",
        "--set", "array.datatype=int16", "--set", "queue.per_column=true",
    ],
    "fine_online": [*SIM, *SMALL, "--pattern", "fine", "--set", "scheduler.policy=online"],
    "lpt": [*SIM, *SMALL, "--set", "scheduler.policy=lpt", "--set", "array.packing=false"],
    "fine": [*SIM, "--mask", "fine.npz", "--advice"],
    "vector": [*SIM, "--mask", "vector.npz", "--advice"],
    "tiled": [*SIM, "--mask", "tiled.npz"],
    "dlmc": [*SIM, "--mask", "DLMC", "--tokens", "32"],
    **{name: [*SIM, *MASK, *ONE_LAYER, "--accelerator", name] for name in RIVALS},
    "eie_zeros": [*SIM, *SMALL, "--accelerator", "eie", "--activation-density", "0.3"],
    "tensor_core_n_m": [*SIM, "--mask", "n_m.npz", "--accelerator", "tensor_core_2_4"],
    "tensor_core_block": [*SIM, "--mask", "block.npz", "--accelerator", "tensor_core_vector_wise"],
    "compare": [
        "accel_sim", "compare", *MASK, *ONE_LAYER, "--mask", "n_m.npz",
        *(word for name in ("tf_mvp", *RIVALS) for word in ("--accelerator", name)),
    ],
    "compare_macs": [
        "accel_sim", "compare", *SMALL, "--equal", "macs", "--accelerator", "tf_mvp",
        *(word for name in ("optimus", "systolic_ws", "eie") for word in ("--accelerator", name)),
    ],
    "compare_area": [
        "accel_sim", "compare", *SMALL, "--equal", "area", "--accelerator", "systolic_ws",
        "--accelerator", "optimus", "--accelerator", "tf_mvp", "--accelerator", "cambricon_x",
    ],
    "inspect": ["sparse_formats", "inspect", *MASK],
    "inspect_n_m": ["sparse_formats", "inspect", "--mask", "n_m.npz", *ONE_LAYER],
    "inspect_dlmc": ["sparse_formats", "inspect", "--mask", "DLMC", "--value-bits", "8"],
    "analyze": ["pruning", "analyze", "--mask", "out.npz"],
    "from_mask": [*PRUNE, "--from-mask", "fine.npz", "--sparsity", "0.8", "--out", "cut.npz"],
}  # fmt: skip
"""Runs by name; what they print as JSON is kept, and the CSV of those that write a folder."""

TEXTS: dict[str, list[str]] = {
    "validate": ["accel_sim", "validate"],
    "accelerators": ["accel_sim", "accelerators"],
    "diff": ["accel_sim", "diff", "demo.json", "one_token.json"],
    **{f"show_{name}": ["accel_sim", "accelerators", "--show", name] for name in ("tf_mvp", "eie")},
}
"""Commands whose printed text is kept."""

MAY_DIFFER = {"timestamp", "command", "versions", "sha256"}


def freeze(folder: Path, model: str, dlmc: str) -> None:
    """Run everything into `folder`."""
    folder.mkdir(parents=True)
    for name, flags in PRUNED.items():
        out = ["--out", f"{name}.npz", "--json", f"prune_{name}.json"]
        _run([*PRUNE, "--model", model, *flags, *out], folder)
    for name, words in RUNS.items():
        if "DLMC" in words and not dlmc:
            continue
        words = [dlmc if word == "DLMC" else word for word in words]
        out = ["--out", name] if words[0] == "accel_sim" else []
        _run([*words, *out, "--json", f"{name}.json"], folder)
    for name, words in TEXTS.items():
        (folder / f"{name}.txt").write_text(_run(words, folder), "utf-8")


def _run(words: list[str], folder: Path) -> str:
    print(" ".join(words), flush=True)
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"exit status {done.returncode}: {done.stderr}")
    return done.stdout


def differences(before: Path, after: Path) -> Iterator[str]:
    """Every figure, name and text that is not the same in both folders."""
    names = {
        path.relative_to(folder)
        for folder in (before, after)
        for pattern in ("*.json", "*.txt", "*/*.csv")
        for path in folder.glob(pattern)
    }
    for name in sorted(names):
        one, other = before / name, after / name
        if not (one.exists() and other.exists()):
            yield f"{name}: only in {before if one.exists() else after}"
        else:
            yield from (f"{name}: {line}" for line in _compared(_read(one), _read(other), ""))


def _read(path: Path) -> Any:
    text = path.read_text("utf-8")
    if path.suffix == ".json":
        return json.loads(text)
    if path.suffix == ".csv":
        return list(csv.DictReader(text.splitlines()))
    return text.splitlines()


def _compared(one: Any, other: Any, where: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            if key in MAY_DIFFER:
                continue
            if key not in one or key not in other:
                yield f"{where}.{key}: only {'before' if key in one else 'after'}"
            else:
                yield from _compared(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from _compared(a, b, f"{where}[{i}]")
    elif one != other:
        yield f"{where}: {one!r} → {other!r}"


def main() -> None:
    """Freeze, or compare; exit 1 where something differs."""
    parser = argparse.ArgumentParser(description="Freeze reports, or compare two such folders.")
    commands = parser.add_subparsers(required=True, dest="command")
    frozen = commands.add_parser("freeze")
    frozen.add_argument("folder", type=Path)
    frozen.add_argument("--model", required=True, help="folder of the demo's encoder")
    frozen.add_argument("--dlmc", default="", help="folder of .smtx files; left out if not given")
    compared = commands.add_parser("compare")
    compared.add_argument("before", type=Path)
    compared.add_argument("after", type=Path)
    asked = parser.parse_args()
    if asked.command == "freeze":
        freeze(asked.folder, str(Path(asked.model).resolve()), asked.dlmc)
        return
    found = list(differences(asked.before, asked.after))
    print("\n".join(found) or "no difference")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
