"""Is every report.json as its schema says, and is the schema that is shipped today's?"""

import copy
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from accel_sim import Activations, Workload, load_machine, simulate
from accel_sim.__main__ import COMMANDS
from accel_sim.dataflows.abstract.account import ProductCheck
from accel_sim.machines.builtin import builtin_accelerators
from accel_sim.reports.report import as_json
from accel_sim.reports.schema import MEANINGS, PATH, Product, schema
from sparse_formats.files.mask_file import write_masks
from sparse_formats.terminal.command import call

SHIPPED = json.loads(PATH.read_text("utf-8"))
VALIDATOR = Draft202012Validator(SHIPPED)
REWRITE = "python -m accel_sim.reports.schema writes it again"


def data(machine: str, weights: bool = True, density: float = 0.5) -> dict[str, Any]:
    """A small report, as a file has it."""
    draws = np.random.default_rng(0)
    keep = draws.random((32, 48)) < 0.3
    matrix = np.where(keep, draws.standard_normal(keep.shape), 0).astype(np.float32)
    given = {"a.query": matrix if weights else keep, "a.key": np.zeros((16, 8), bool)}
    workload = Workload.of(given, Activations(tokens=3, density=density))
    return json.loads(json.dumps(as_json(simulate(workload, load_machine(machine)))))


def test_the_shipped_schema_is_that_of_the_code() -> None:
    assert schema() == SHIPPED, REWRITE
    Draft202012Validator.check_schema(SHIPPED)


def test_every_meaning_is_that_of_a_key() -> None:
    used = {key for part in SHIPPED["$defs"].values() for key in part["properties"]}
    assert set(MEANINGS) == used
    assert all(text.endswith(".") for text in MEANINGS.values())


def test_a_product_has_the_fields_of_its_check() -> None:
    named = [field.name for field in fields(ProductCheck)]
    assert [field.name for field in fields(Product)] == [*named, "is_equal"]


@pytest.mark.parametrize("machine", list(builtin_accelerators()))
def test_a_report_of_every_machine_keeps_to_it(machine: str) -> None:
    VALIDATOR.validate(data(machine))


@pytest.mark.parametrize("density", [0, 1])
def test_a_report_without_weights_keeps_to_it(density: float) -> None:
    VALIDATOR.validate(data("tf_mvp", weights=False, density=density))


@pytest.mark.parametrize(
    "words",
    [
        ("--advice",),
        ("--calibrated",),
        ("--memory", "ddr4_3200", "--tokens", "1"),
        ("--set", "array.lanes=8", "--set", "array.lane_groups=[1,2]"),
    ],
)
def test_a_report_that_a_command_writes_keeps_to_it(words: tuple[str, ...], tmp_path: Path) -> None:
    draws = np.random.default_rng(1)
    write_masks(tmp_path / "a.npz", {"a.query.weight": draws.random((32, 32)) < 0.2})
    out = tmp_path / "report.json"
    given = ("--mask", tmp_path / "a.npz", "--tokens", 4, "--json", out)
    taken = given[:2] + given[4:] if "--tokens" in words else given
    assert call(COMMANDS, "run", *taken, *words) == 0
    VALIDATOR.validate(json.loads(out.read_text("utf-8")))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("total", "cycles"), "91"),
        (("layers", 0, "speed"), 2),
        (("layers", 0, "units", "pe", "busy"), None),
        (("accelerator", "array", "lanes", "mark"), "guessed"),
        (("schema_version",), 1),
    ],
)
def test_a_report_of_another_kind_is_refused(path: tuple[Any, ...], value: object) -> None:
    report = copy.deepcopy(data("tf_mvp"))
    place = report
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ValidationError):
        VALIDATOR.validate(report)


def test_a_report_without_a_key_is_refused() -> None:
    report = data("tf_mvp")
    del report["layers"][0]["cycles"]
    with pytest.raises(ValidationError):
        VALIDATOR.validate(report)
