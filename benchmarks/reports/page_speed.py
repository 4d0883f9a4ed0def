"""How large is a report's page, and how soon is it painted and drawn? Chromium, median of five.

Run: python -m benchmarks.reports.page_speed [REPORT.html …]. Without a page: that of Llama-7B's
224 matrices. Of it one layer's seven are generated and simulated; the other 31 layers are copies
by other names, because the page does as much work for a copy as for any other matrix.
"""

import argparse
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from accel_sim.reports.report import Report, as_json
from accel_sim.reports.run_page import run_page
from tests.accel_sim.reports.browser import Opened, browser

ROUNDS = 5
LAYERS = 32


def llama_page(folder: Path) -> Path:
    """The page of Llama-7B at density 0.2 with 128 tokens."""
    workload = Workload.generated(
        "llama-7b", Activations(128, 1.0, 0), density=0.2, pattern="mvp", include=[r"\.0\."]
    )
    one = simulate(workload, load_machine("tf_mvp"), is_checked=False, is_drawn=True)

    def of(name: str, layer: int) -> str:
        return re.sub(r"\.0\.", f".{layer}.", name, count=1)

    copies = tuple(
        replace(each, name=of(each.name, layer)) for layer in range(LAYERS) for each in one.layers
    )
    pictures = {
        of(name, layer): picture
        for layer in range(LAYERS)
        for name, picture in one.pictures.items()
    }
    report = Report(one.machine, copies, mask={"source": "generated", "shapes": "llama-7b"})
    path = folder / "report.html"
    path.write_text(run_page(as_json(report), pictures, {}), encoding="utf-8")
    return path


def measure(path: Path, running: Any) -> None:
    """Print bytes, first contentful paint, and when all figures were drawn."""
    paints, drawn, items = [], [], 0
    for _ in range(ROUNDS):
        opened = Opened(running, path)
        paints.append(
            opened.page.evaluate(
                "performance.getEntriesByName('first-contentful-paint')[0].startTime"
            )
        )
        drawn.append(
            opened.page.evaluate("performance.getEntriesByType('navigation')[0].domComplete")
        )
        items = opened.page.evaluate(
            "JSON.parse(document.getElementById('figures').textContent).run.phases[0].items.length"
        )
        opened.close()
    print(
        f"{path.name}: {items} matrices, {path.stat().st_size:,} bytes, first paint "
        f"{median(paints):,.0f} ms (best {min(paints):,.0f}), all drawn {median(drawn):,.0f} ms "
        f"(best {min(drawn):,.0f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("pages", nargs="*", type=Path)
    given = parser.parse_args().pages
    with tempfile.TemporaryDirectory() as folder:
        pages = given or [llama_page(Path(folder))]
        with browser() as running:
            for page in pages:
                measure(page.resolve(), running)


if __name__ == "__main__":
    main()
