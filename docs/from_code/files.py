"""Files: report.json and layers.csv from their schema, and the formats from their registry."""

import inspect
from collections.abc import Mapping
from typing import Any

from accel_sim.schemas import model_report, run_report
from docs.from_code.markdown import code, page, plain, table
from sparse_formats.formats.registry import FORMATS

_REPORT = """\
This page is written from the code. `run --out FOLDER` writes `report.json`, and `run --json FILE`
writes the same. Its JSON schema comes with the package, as `accel_sim/schemas/report.schema.json`:

```python
import json
from importlib.resources import files

schema = json.loads(files("accel_sim.schemas").joinpath("report.schema.json").read_text("utf-8"))
print(schema["title"])
```

A unit stands at the end of a key: `_s` seconds, `_j` joules, `_pj` picojoules, `_mm2` square
millimetres. A ratio that is undefined is `null`. NaN and infinity never occur."""

_MODEL = """\
This page is written from the code. `accel_sim model --out FOLDER` writes `model.json`, and
`model --json FILE` writes the same. Its JSON schema is `accel_sim/schemas/model.schema.json`.
[Whole models](../whole_models.md) says how its figures come about."""

_CSV = """\
`layers.csv` has a row for each matrix. Its columns are the keys of a layer that hold a single
value, under the same names, and then `storage_bits.PART`, `cycles_by_cause.CAUSE` and
`energy_by_component_j.COMPONENT`. A name that a spreadsheet would take for a formula begins with an
apostrophe. `report.frame()` gives the same table to pandas."""

_FORMATS = """\
This page is written from the code. A format stores the kept weights of one matrix. Every format is
lossless. `python -m sparse_formats inspect --mask FILE` counts the bits that each takes for a mask
file of yours, and `python -m accel_sim run` says which one a machine uses.

[Bring a mask](../bring_a_mask.md) lists the files that masks are read from."""

_MASK_FILE = """\
## The mask file of mvpsim

`prune --out FILE.npz` writes it, and every command reads it. It is a NumPy archive:

```text
{layout}
```"""


def report_page() -> str:
    """report.json and layers.csv."""
    defs, meanings = run_report.schema()["$defs"], run_report.MEANINGS
    parts = [_REPORT, _keys("The file", defs["ReportFile"], meanings)]
    parts += [
        _keys(title, defs[name], meanings)
        for title, name in {
            "A matrix: `layers[]`": "LayerResult",
            "The sum: `total`": "Totals",
            "A kind of unit: `units.KIND`": "UnitStates",
            "The product: `layers[].product`": "Product",
            "A step: `waterfall[]`": "WaterfallStep",
            "A change: `advice[]`": "AdvisedChange",
            "A value of the machine: `accelerator.SECTION.KEY`": "Value",
            "Calibration: `calibration`": "Calibration",
        }.items()
    ]
    return page("report.json and layers.csv", *parts, f"## layers.csv\n\n{_CSV}")


def model_page() -> str:
    """model.json."""
    defs, meanings = model_report.schema()["$defs"], model_report.MEANINGS
    parts = [_MODEL]
    parts += [
        _keys(title, defs[name], meanings)
        for title, name in {
            "The file": "ModelFile",
            "What was asked for: `request`": "Request",
            "The answer: `answer`": "Answer",
            "A phase: `phases.PHASE`": "PhaseTotal",
            "An operator: `phases.PHASE.operators[]`": "OperatorResult",
            "Attention: `phases.PHASE.attention[]`": "Attention",
            "A change: `advice[]`": "ModelChange",
            "The output: `output`": "Output",
        }.items()
    ]
    return page("model.json", *parts)


def formats_page() -> str:
    """The formats, and the layout of the mask file."""
    from sparse_formats.files import native_npz

    rows = []
    for name, cls in FORMATS.items():
        said = inspect.cleandoc(cls.__doc__ or "")
        rows.append([code(name), plain(said.split("\n\n")[0])])
    layout = inspect.cleandoc(native_npz.__doc__ or "").split("\n\n", 2)[2]
    return page(
        "Formats and mask files",
        _FORMATS,
        "## Formats\n\n" + table(["format", "what it stores"], rows),
        _MASK_FILE.format(layout=inspect.cleandoc(layout)),
    )


def _keys(title: str, said: Mapping[str, Any], meanings: Mapping[str, str]) -> str:
    rows = [
        [code(name), plain(_type(part)), plain(meanings[name])]
        for name, part in said["properties"].items()
    ]
    return f"## {title}\n\n" + table(["key", "type", "meaning"], rows)


def _type(part: Mapping[str, Any]) -> str:
    """A type of the schema in words."""
    if "anyOf" in part:
        return " or ".join(map(_type, part["anyOf"]))
    if "$ref" in part:
        return "object"
    if part.get("type") == "array":
        return f"list of: {_type(part['items'])}"
    if part.get("type") == "object":
        inside = _type(part["additionalProperties"])
        return "object" if inside == "any" else f"object of: {inside}"
    return part.get("type", "one of the marks" if "enum" in part else "any")
