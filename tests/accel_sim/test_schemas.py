"""Is every report.json and model.json as its schema says, and are the shipped schemas today's?"""

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
from accel_sim.schemas import model_report, run_report
from accel_sim.schemas.files import SCHEMAS, path_of
from accel_sim.schemas.run_report import Product
from sparse_formats.files.mask_file import write_masks
from sparse_formats.terminal.command import call

SHIPPED = {name: json.loads(path_of(name).read_text("utf-8")) for name in SCHEMAS}
VALIDATOR = Draft202012Validator(SHIPPED["report"])
MODEL_VALIDATOR = Draft202012Validator(SHIPPED["model"])
REWRITE = "python -m accel_sim.schemas writes it again"


def data(machine: str, weights: bool = True, density: float = 0.5) -> dict[str, Any]:
    """A small report, as a file has it."""
    draws = np.random.default_rng(0)
    keep = draws.random((32, 48)) < 0.3
    matrix = np.where(keep, draws.standard_normal(keep.shape), 0).astype(np.float32)
    given = {"a.query": matrix if weights else keep, "a.key": np.zeros((16, 8), bool)}
    workload = Workload.of(given, Activations(tokens=3, density=density))
    return json.loads(json.dumps(as_json(simulate(workload, load_machine(machine)))))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_shipped_schema_is_that_of_the_code(name: str) -> None:
    assert SCHEMAS[name]() == SHIPPED[name], REWRITE
    Draft202012Validator.check_schema(SHIPPED[name])


@pytest.mark.parametrize(
    ("name", "meanings"),
    [("report", run_report.MEANINGS), ("model", model_report.MEANINGS)],
)
def test_every_meaning_is_that_of_a_key(name: str, meanings: dict[str, str]) -> None:
    used = {key for part in SHIPPED[name]["$defs"].values() for key in part["properties"]}
    assert set(meanings) == used
    assert all(text.endswith(".") for text in meanings.values())


@pytest.mark.parametrize(
    "words",
    [
        ("--prefill", 4),
        ("--prefill", 3, "--generate", 3, "--advice", "--accelerator", "tensor_core_2_4"),
        ("--prefill", 2, "--generate", 2, "--scores", "dram", "--cache-bits", 8),
    ],
)
def test_a_report_of_a_whole_model_keeps_to_it(words: tuple[object, ...], tmp_path: Path) -> None:
    out = tmp_path / "model.json"
    shape = ("--shapes", "bert-base" if len(words) == 2 else "gpt2-small", "--density", 0.1)
    assert call(COMMANDS, "model", *shape, "--json", out, *words) == 0
    report = json.loads(out.read_text("utf-8"))
    MODEL_VALIDATOR.validate(report)
    report["answer"]["speed"] = 1
    with pytest.raises(ValidationError):
        MODEL_VALIDATOR.validate(report)


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
