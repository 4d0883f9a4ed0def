"""Are the files of the repository named for what they hold, portable, and safe to open?"""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("sparse_formats", "kernels", "pruning", "accel_sim")

# A name that would fit any file says nothing about this one.
SAYS_NOTHING = {"utils", "helpers", "common", "misc", "manager"}
# An absolute path of somebody's machine; part of a longer path or of a URL, it is not one.
MACHINE_PATH = re.compile(r"(?<![\w.~*-])/(?:work|root|home|opt|tmp|Users)/\w+")
UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def tracked() -> list[Path]:
    """The files under version control that are still there."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is no list of the repository's files")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def machine_paths(text: str) -> list[str]:
    return MACHINE_PATH.findall(text)


def unpickling(source: str) -> Iterator[int]:
    """Lines of `source` that load a pickle, or may."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                if any(alias.name.partition(".")[0] in UNPICKLERS for alias in names):
                    yield node.lineno
            case ast.ImportFrom(module=str(module), level=0):
                if module.partition(".")[0] in UNPICKLERS:
                    yield node.lineno
            case ast.Call(keywords=given):
                settings = {item.arg: item.value for item in given}
                if "allow_pickle" in settings and not is_constant(settings["allow_pickle"], False):
                    yield node.lineno
                is_load = isinstance(node.func, ast.Attribute) and node.func.attr == "load"
                if (
                    is_load
                    and ast.unparse(node.func) == "torch.load"
                    and not (
                        "weights_only" in settings and is_constant(settings["weights_only"], True)
                    )
                ):
                    yield node.lineno


def is_constant(node: ast.expr, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def test_names_say_what_is_inside() -> None:
    found = [
        path.relative_to(ROOT).as_posix()
        for path in tracked()
        if SAYS_NOTHING & {part.partition(".")[0] for part in path.relative_to(ROOT).parts}
    ]
    assert not found, f"names that say nothing: {', '.join(found)}; name them for what they hold"


def test_no_file_names_a_path_of_one_machine() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): paths
        for path in tracked()
        if (paths := machine_paths(path.read_text("utf-8", errors="ignore")))
    }
    assert not found, f"paths that exist on one machine only: {found}"


def test_a_planted_machine_path_is_caught() -> None:
    assert machine_paths("open('" + "/ro" + "ot/x.npz')") == ["/ro" + "ot/x"]
    assert machine_paths("https://example.org/" + "home/page and docs/home/plan") == []


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_is_unpickled(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT).as_posix()}:{line}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for line in unpickling(path.read_text("utf-8"))
    ]
    assert not found, f"loads a pickle, which runs whatever code it holds: {', '.join(found)}"


TAKES_BYTES = re.compile(r"np\.(load|memmap|fromfile|frombuffer|ndarray|loadtxt|genfromtxt)")
MAY_TAKE_BYTES = {
    "sparse_formats/files/readers/npz.py": "of element types and sizes that it has checked",
    "sparse_formats/files/readers/safetensors.py": "likewise",
    "sparse_formats/files/readers/gguf.py": "likewise",
    "sparse_formats/files/readers/onnx.py": "likewise",
    "sparse_formats/files/readers/protobuf.py": "bytes as bytes",
    "sparse_formats/files/native_npz.py": "the text of a header that it writes",
    "sparse_formats/formats/parts/bitstream.py": "bytes as bytes",
    "pruning/statistics/calibration.py": "a file that it has just written",
}


def test_only_checked_readers_make_arrays_of_bytes() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if TAKES_BYTES.search(path.read_text("utf-8"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and TAKES_BYTES.fullmatch(ast.unparse(node.func))
    }
    assert found == set(MAY_TAKE_BYTES), "read arrays by sparse_formats/files/readers/"


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("import pickle", [1]),
        ("from pickle import load", [1]),
        ("np.load(path, allow_pickle=True)", [1]),
        ("np.load(path, allow_pickle=trust)", [1]),
        ("np.load(path, allow_pickle=False)", []),
        ("torch.load(path)", [1]),
        ("torch.load(path, weights_only=False)", [1]),
        ("torch.load(path, weights_only=True)", []),
    ],
)
def test_planted_unpickling_is_caught(source: str, lines: list[int]) -> None:
    assert list(unpickling(source)) == lines
