"""Do the commands start without loading what only some of them need?"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("distributed", "matplotlib", "numba", "optuna", "scipy", "torch", "transformers")
COMMANDS = [
    package
    for package in ("pruning", "sparse_formats", "kernels", "accel_sim")
    if (ROOT / package / "__main__.py").exists()
]


def loaded(module: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after importing `module`."""
    program = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("package", COMMANDS)
def test_a_command_starts_light(package: str) -> None:
    heavy = loaded(f"{package}.__main__").intersection(HEAVY)
    assert not heavy, (
        f"importing {package}.__main__ loads {', '.join(sorted(heavy))}; "
        "import them in the functions that need them"
    )


def test_the_check_sees_what_is_loaded() -> None:
    assert "scipy" in loaded("scipy.sparse")


def test_a_process_may_run_several_commands_before_numba_is_loaded() -> None:
    program = (
        "import sys\n"
        "from sparse_formats.__main__ import COMMANDS\n"
        "from sparse_formats.terminal.command import main\n"
        "for _ in range(2):\n"
        "    sys.argv = ['sparse_formats', '--help']\n"
        "    try:\n"
        "        main('sparse_formats', 'Formats.', COMMANDS)\n"
        "    except SystemExit as end:\n"
        "        assert not end.code\n"
        "assert 'numba' not in sys.modules\n"
        "import numba\n"
        "import numba.np.arraymath\n"
        "import scipy.linalg.cython_blas\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
