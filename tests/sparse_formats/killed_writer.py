"""A small program that writes an output folder and is killed: at each step, or at any moment.

`python killed_writer.py FOLDER steps` kills a writer before each of its operations on files;
`python killed_writer.py FOLDER moments COUNT` kills one COUNT times after a random time. After
each kill the next reader must find all files of one run, and nothing else. Prints the number of
kills and of those that left the new output.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from sparse_formats.files.output_folder import MANIFEST, read_manifest, replace_files, settle

OPERATIONS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "fcntl.flock")


def files_of(run: int) -> dict[str, str]:
    """What a run writes; odd runs have one more file, and one that even runs lack."""
    names = ["report.json", "table.csv", "deep/er.txt", "odd.png" if run % 2 else "even.png"]
    return {name: f"{run} {name}\n" * 2000 for name in [*names, *(["more"] if run % 2 else [])]}


def write(folder: Path, run: int) -> None:
    with replace_files(folder, "report") as beside:
        for name, text in files_of(run).items():
            (beside / name).parent.mkdir(exist_ok=True)
            (beside / name).write_text(text)


def killed(folder: Path, run: int, step: int | None, seconds: float) -> bool:
    """Whether the writer in a process of its own was killed before it came to its end."""
    child = os.fork()
    if not child:
        left = step

        def count(event: str, _: object) -> None:
            nonlocal left
            if left is not None and event in OPERATIONS:
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1

        sys.addaudithook(count)
        write(folder, run)
        os._exit(0)
    if step is None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def check(folder: Path, old: int, new: int) -> int:
    """The run whose files are there, all of them and no others but the user's own."""
    settle(folder)
    found = {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }
    assert found.pop("mine.txt") == "of the user"
    run = next(run for run in (old, new) if found == files_of(run))
    assert read_manifest(folder)["report"].keys() == found.keys()
    return run


def main(folder: Path, way: str, count: int = 0) -> None:
    write(folder, 0)
    (folder / "mine.txt").write_text("of the user")
    draw = random.Random(0)
    old, kills, replaced = 0, 0, 0
    while True:
        run = old + 1
        step = kills if way == "steps" else None
        was_killed = killed(folder, run, step, draw.uniform(0, 0.06))
        found = check(folder, old, run)
        kills += was_killed
        replaced += was_killed and found == run
        old = found
        if not was_killed and way == "steps":
            break
        if way == "moments" and kills >= count:
            break
    print(kills, replaced)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
