"""Does the page of a whole model switch between prefill and decode, each with its own figures?"""

import json
from pathlib import Path

import pytest

from tests.accel_sim.command_line import call
from tests.accel_sim.models.test_command import CONFIG, mask_of
from tests.accel_sim.reports.browser import Opened, browser


def test_the_page_switches_between_prefill_and_decode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    out = tmp_path / "report"
    words = ("model", "--model", str(tmp_path), "--mask", str(mask_of(tmp_path)), "--prefill", "9")
    assert call(monkeypatch, *words, "--generate", "3", "--out", str(out)) == 0
    data = json.loads((out / "model.json").read_text())
    with browser() as running:
        opened = Opened(running, out / "model.html")
        for name in ("prefill", "decode"):
            phase = data["phases"][name]
            opened.page.locator("#phases").get_by_role("button", name=name.capitalize()).click()
            total = opened.texts("table.items tfoot td:nth-child(3)")
            assert total == [f"{phase['cycles']:,}"]
            assert opened.count("table.items tbody tr") == len(phase["operators"])
            kinds = opened.texts("table.bars tr th")
            assert [text.rpartition(" (")[0] for text in kinds] == [
                each["kind"] for each in phase["by_kind"]
            ]
            speedup = phase["dense_cycles"] / phase["cycles"]
            assert phase["waterfall"][-1]["speedup"] == pytest.approx(speedup)
            assert opened.texts("#waterfall .sum td:last-child") == [f"{speedup:.2f}×"]
        opened.close()
    answer = data["answer"]["speedup_vs_dense"]
    assert data["phases"]["prefill"]["waterfall"][-1]["speedup"] == pytest.approx(answer["prefill"])
    decode = data["phases"]["decode"]["waterfall"][-1]["speedup"]
    assert decode == pytest.approx(answer["output_token"])
