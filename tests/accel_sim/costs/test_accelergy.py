"""Are prices and areas of Accelergy's tables taken in place of ours, and named as the source?"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from accel_sim.costs.accelergy import estimated_rows
from accel_sim.costs.area import machine_area
from accel_sim.costs.energy import energy_of, prices_pj
from accel_sim.machines.load import load_machine, resolved
from sparse_formats.errors import InputError

ERT = """
ERT:
  version: '0.4'
  tables:
  - name: chip.glb
    actions:
    - {name: read, arguments: {address_delta: 0, data_delta: 0}, energy: 1.5}
    - {name: read, arguments: {address_delta: 1, data_delta: 1}, energy: 24.0}
    - {name: write, arguments: null, energy: 32}
  - name: chip.pe.mac
    actions:
    - {name: compute, arguments: null, energy: 2.5}
    - {name: gated, energy: null}
    - {name: negative, energy: -1}
    - {name: text, energy: much}
    - {name: truth, energy: true}
    - {name: infinite, energy: .inf}
    - {name: huge, energy: HUGE}
ERT_summary:
  version: '0.4'
  table_summary:
  - name: chip.pe.mac
    actions: [{name: compute, energy: 2.5}]
    primitive_estimations: [{name: self, estimator: Aladdin_table}]
""".replace("HUGE", str(10**320))
ART = """
ART:
  version: '0.4'
  tables:
  - {name: chip.pe.mac, area: 1000}
  - {name: chip.glb, area: 60000.0}
ART_summary:
  version: '0.4'
  table_summary:
  - {name: chip.glb, area: 60000.0, primitive_estimations: Cacti}
"""
MAPPING = """
[energy.ert]
files = ["tables/ert.yaml", "tables/art.yaml"]
[energy.ert.prices]
mac = "chip.pe.mac.compute"
weight_byte_read = { action = "chip.glb.read", per = 16, arguments = { address_delta = 1, data_delta = 1 } }
[energy.ert.areas]
mac_fp16 = "chip.pe.mac"
weight_buffer_bank = "chip.glb"
"""  # noqa: E501


def written(folder: Path, mapping: str = MAPPING, ert: str = ERT, art: str = ART) -> Path:
    (folder / "tables").mkdir()
    (folder / "tables" / "ert.yaml").write_text(ert, encoding="utf-8")
    (folder / "tables" / "art.yaml").write_text(art, encoding="utf-8")
    path = folder / "own.toml"
    path.write_text(f'extends = "tf_mvp"\n{mapping}', encoding="utf-8")
    return path


@pytest.mark.rule(microarchitecture=9)
@pytest.mark.parametrize("case", ["low", "nominal", "high"])
@pytest.mark.parametrize("node", ["28nm", "16nm"])
def test_prices_and_areas_are_those_of_the_files(tmp_path: Path, case: str, node: str) -> None:
    settings = (f"energy.case={case}", f"energy.table={node}")
    own, ours = load_machine(written(tmp_path), settings), load_machine("tf_mvp", settings)
    prices, before = prices_pj(own), prices_pj(ours)
    # An access of 24 pJ reads 16 bytes.
    assert (prices["mac"], prices["weight_byte_read"]) == (2.5, 1.5)
    assert prices["decoded_bit"] == before["decoded_bit"]
    assert energy_of({"macs": 1000, "weight_bits_read": 8}, own) == pytest.approx(
        energy_of({}, own) | {"mac": 2500e-12, "weight_buffer": 1.5e-12}
    )
    area, area_before = machine_area(own), machine_area(ours)
    # 16 banks of 60000 µm²; of the MACs, 4096, only the multiplexers stay.
    assert area["weight_buffer"] == pytest.approx(16 * 0.06)
    assert area["activation_buffer"] == area_before["activation_buffer"]
    without = replace(own, energy=replace(own.energy, ert=()))
    assert machine_area(without) == area_before
    assert load_machine(tmp_path / "own.toml", ("energy.ert=[]",)).energy.ert == ()
    if (case, node) == ("nominal", "28nm"):
        assert area["mac"] - area_before["mac"] == pytest.approx(4096 * (1000 - 2194) * 1e-6)


@pytest.mark.rule(microarchitecture=9)
def test_the_estimator_is_the_source_wherever_rows_are_shown(tmp_path: Path) -> None:
    machine = load_machine(written(tmp_path))
    shown = resolved(machine)["energy"]
    json.dumps(shown)
    assert shown["ert.price.mac"] == {
        "value": 2.5,
        "mark": "computed",
        "source": "pJ per mac: chip.pe.mac.compute in ert.yaml; estimator Aladdin_table",
    }
    rows = {row["row"]: row for row in estimated_rows(machine.energy)["accelergy"]}
    assert rows["weight_buffer_bank"]["source"] == "chip.glb in art.yaml; estimator Cacti"
    assert rows["weight_byte_read"]["source"] == (
        "chip.glb.read in ert.yaml, over 16; no ERT_summary names its estimator"
    )
    assert {row["mark"] for row in rows.values()} == {"computed"}
    assert estimated_rows(load_machine("tf_mvp").energy) == {}


def _mapped(prices: str = "", areas: str = "", files: str = '"tables/ert.yaml"') -> str:
    return (
        f"[energy.ert]\nfiles = [{files}]\n[energy.ert.prices]\n{prices}\n"
        f"[energy.ert.areas]\n{areas}\n"
    )


BOTH = '"tables/ert.yaml", "tables/art.yaml"'


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        (_mapped('mack = "chip.pe.mac.compute"'), "prices.mack' is not a price; did you mean"),
        (_mapped('leaking_cycle = "chip.glb.leak"'), "prices.leaking_cycle' is not a price"),
        (_mapped('mac = "chip.pe.mak.compute"'), "ert.yaml has no component 'chip.pe.mak'"),
        (_mapped('mac = "chip.pe.mac.comput"'), "ert.yaml has no action 'comput' of 'chip.pe.mac'"),
        (_mapped('mac = "chip.pe.mac.gated"'), "no value at 'chip.pe.mac.gated.energy'"),
        (_mapped('mac = "chip.pe.mac.negative"'), "has '-1' at 'chip.pe.mac.negative.energy'"),
        (_mapped('mac = "chip.pe.mac.text"'), "has 'much' at 'chip.pe.mac.text.energy'"),
        (_mapped('mac = "chip.pe.mac.truth"'), "has 'True' at 'chip.pe.mac.truth.energy'"),
        (_mapped('mac = "chip.pe.mac.infinite"'), "has 'inf' at 'chip.pe.mac.infinite.energy'"),
        (_mapped('mac = "chip.pe.mac.huge"'), "at 'chip.pe.mac.huge.energy'; it must be"),
        (_mapped('mac = { action = "chip.glb.write", per = 1e-300 }'), "per = 1e-300"),
        (_mapped('mac = "chip.glb.read"'), "has 2 actions 'chip.glb.read' with different"),
        (_mapped('mac = { action = "chip.glb.write", per = 0 }'), "per = 0"),
        (_mapped('mac = { action = "chip.glb.write", pre = 2 }'), "unknown field `pre`"),
        (_mapped(areas='mac_fp16 = "chip.glb"'), "areas.mac_fp16' needs an ART"),
        (_mapped(areas='gate = "chip.glb"', files=BOTH), "areas.gate' is not an area"),
        (_mapped(areas='mac_fp16 = "chip.gl"', files=BOTH), "no component 'chip.gl'; did you mean"),
        (_mapped(files='"tables/none.yaml"'), "none.yaml does not exist"),
        (_mapped(files=""), "'energy.ert.files' is empty"),
        ("[energy]\nert = 3\n", "[energy.ert] is not as it should be"),
    ],
)
def test_what_cannot_be_found_is_one_line(tmp_path: Path, mapping: str, told: str) -> None:
    path = written(tmp_path, mapping)
    with pytest.raises(InputError) as caught:
        load_machine(path)
    assert told in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("ert", "told"),
    [
        ("ERT: [", "not YAML"),
        ("other: 3", "none of the keys ERT, ART"),
        ("ERT: {tables: 3}", "'ERT.tables' is not a list"),
        ("ERT: {tables: [3]}", "'ERT.tables[0]' has no 'name'"),
        ("ERT: {units: nJ, tables: []}", "'ERT.units' is 'nJ'; give the values in pJ"),
        ("ERT: {tables: [{name: chip.pe.mac, unit: fJ}]}", "'chip.pe.mac.unit' is 'fJ'"),
        ("ERT: !!python/object/apply:os.getcwd []", "not YAML"),
        ("a: &a {b: 1}\nERT: {<<: *a}", "has a merge key"),
        ("[" * 5000, "nested too deeply"),
        ("#" * 1_000_001, "has more than 1000000 bytes"),
    ],
)
def test_a_file_that_is_no_table_is_one_line(tmp_path: Path, ert: str, told: str) -> None:
    path = written(tmp_path, ert=ert)
    with pytest.raises(InputError) as caught:
        load_machine(path)
    assert told in str(caught.value)
    assert "ert.yaml" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_without_pyyaml_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(InputError, match=r"ert\.yaml needs PyYAML .*\[accelergy\]"):
        load_machine(path)


def test_a_setting_can_only_take_the_tables_away(tmp_path: Path) -> None:
    path = written(tmp_path)
    with pytest.raises(InputError, match="take it away with"):
        load_machine(path, ("energy.ert=[{row='mac'}]",))
