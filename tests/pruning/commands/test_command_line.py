"""Do the commands do what they say, and say what is wrong in one line?"""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from pruning.commands.analyze import picture_name
from pruning.models.model_files import model_name
from pruning.recipe import Recipe, as_json
from pruning.statistics.matrix_statistics import Statistics, generator, write_statistics
from sparse_formats.files.mask_file import read_masks
from tests.tiers import slow

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    names = ("attention.self.query", "attention.self.key", "attention.self.value", "output.dense")
    path = tmp_path / "model.npz"
    layer = {f"layer.0.{n}.weight": rng.lognormal(size=(32, 64)).astype(np.float32) for n in names}
    np.savez(path, **layer)  # type: ignore[arg-type]
    return path


def test_prune_writes_a_mask_file_and_a_table(run, model: Path, tmp_path: Path) -> None:  # noqa: ANN001
    out = tmp_path / "out.npz"
    status, printed, _ = run("prune", "--model", model, "--out", out, "--sparsity", 0.75)
    assert status == 0
    masks = read_masks(out)
    assert [m.density for m in masks.matrices] == [0.25] * 4
    for word in ("layer.0.attention.self.query", "FFN2", "32×64", "0.250", "4 matrices"):
        assert word in printed
    assert str(tmp_path) not in json.dumps(dict(masks.header))
    # What the options leave open is what a Recipe leaves open.
    assert masks.header["recipe"] == as_json(Recipe(sparsity=0.75, update="none"))


def test_knobs_reach_the_recipe(run, model: Path, tmp_path: Path) -> None:  # noqa: ANN001
    out = tmp_path / "out.npz"
    status, _, _ = run(
        "prune", "--model", model, "--out", out, "--algorithm", "B", "--budget", "global",
        "--menu", "4,16", "--vector-cost", 3, "--epsilon", 0.2, "--score", "random", "--seed", 5,
        "--include", "query", "--include", "dense",
    )  # fmt: skip
    assert status == 0
    masks = read_masks(out)
    assert len(masks.matrices) == 2
    assert masks.header["seed"] == 5
    assert masks.header["recipe"] == as_json(
        Recipe(
            "mvp", 0.8, "random", 5, "global", algorithm="B", menu=(4, 16), vector_cost=3.0,
            epsilon=0.2, include=("query", "dense"), update="none",
        )
    )  # fmt: skip


def test_a_mask_is_cut_into_vectors(run, model: Path, tmp_path: Path) -> None:  # noqa: ANN001
    fine, out = tmp_path / "fine.npz", tmp_path / "out.npz"
    assert run("prune", "--model", model, "--method", "fine", "--out", fine)[0] == 0
    status, _, _ = run("prune", "--from-mask", fine, "--scores", model, "--out", out)
    assert status == 0
    header = read_masks(out).header
    assert header["model"] == "model.npz" and header["recipe"]["score"] == "given"
    assert all(m.vectors is not None for m in read_masks(out).matrices)


def test_a_recipe_file_with_statistics_gives_an_account(run, model: Path, tmp_path: Path) -> None:  # noqa: ANN001
    recipe, calib, out = (tmp_path / name for name in ("r.toml", "calib.npz", "out.npz"))
    recipe.write_text('pattern = "2:4"\nscore = "wanda"\nupdate = "sparsegpt"\n')
    weights = np.load(model)
    inputs = np.random.default_rng(0).standard_normal((64, 300))
    write_statistics(
        calib,
        {
            name: Statistics(weights[name], generator(name, 0), gram=inputs @ inputs.T, tokens=300)
            for name in weights.files
        },
    )
    status, printed, _ = run(
        "prune", "--model", model, "--recipe", recipe, "--statistics", calib, "--out", out,
        "--include", "query", "--json", "-",
    )  # fmt: skip
    assert status == 0
    account = json.loads(printed, parse_constant=lambda word: pytest.fail(word))
    assert account["schema_version"] == 1
    assert account["recipe"] == as_json(
        Recipe("2:4", 0.5, "wanda", update="sparsegpt", include=("query",))
    )
    assert read_masks(out).header["recipe"] == account["recipe"]
    (matrix,) = account["report"]
    assert matrix["density"] == 0.5 and matrix["flops"] == 2 * 1024
    # Two of four 16-bit values and their two 2-bit places.
    assert matrix["bytes"] == account["total"]["bytes"] == 32 * 16 * 2 * (16 + 2) // 8
    assert 0 < matrix["output_error"] < 0.5 < matrix["retention"]
    assert run("check", "--mask", out, "--pattern", "2:4")[0] == 0


def test_check_says_where_a_mask_breaks_a_pattern(run, model: Path, tmp_path: Path) -> None:  # noqa: ANN001
    out, broken, found = (tmp_path / name for name in ("a.npz", "b.npz", "found.json"))
    assert run("prune", "--model", model, "--pattern", "1:4", "--out", out)[0] == 0
    status, printed, _ = run("check", "--mask", out, "--pattern", "1:4")
    assert (status, printed) == (0, "all 4 matrices conform to 1:4\n")
    masks = {m.name: m.keep for m in read_masks(out).matrices}
    name = "layer.0.attention.self.key.weight"
    masks[name][5, 8:12] = [True, False, True, False]
    np.savez(broken, **masks)  # type: ignore[arg-type]
    status, printed, _ = run("check", "--mask", broken, "--pattern", "1:4", "--json", found)
    assert status == 1
    assert printed == f"not 1:4: matrix {name}: row 5, columns 8..11 keep 2\n"
    told = json.loads(found.read_text())
    assert not told["conforms"] and told["breaks"] == [
        {"matrix": name, "row": 5, "col": 8, "found": "row 5, columns 8..11 keep 2"}
    ]
    status, printed, error = run("check", "--mask", broken, "--pattern", "2;4")
    assert (status, printed) == (2, "") and error.startswith("error: --pattern is '2;4'; write n_m")


def test_check_of_heads_needs_their_number(run, tmp_path: Path) -> None:  # noqa: ANN001
    keep = np.ones((8, 4), np.bool_)
    keep[2:4] = False
    np.savez(tmp_path / "m.npz", **{"layer.0.attention.self.query.weight": keep})  # type: ignore[arg-type]
    check = ("check", "--mask", tmp_path / "m.npz", "--pattern", "head", "--heads")
    assert run(*check, 4)[0] == 0
    status, printed, _ = run(*check, 2)
    assert status == 1 and "head 0, rows 0..3, keeps 8 of 16 here" in printed
    status, _, error = run(*check[:-1])
    assert status == 2 and "--heads" in error


def test_analyze_prints_only_json_to_standard_output(run, model: Path) -> None:  # noqa: ANN001
    status, printed, _ = run("analyze", "--mask", model, "--json", "-")
    assert status == 0
    found = json.loads(printed, parse_constant=lambda word: pytest.fail(word))
    kinds = [m["kind"] for m in found["matrices"]]
    assert kinds == ["Q", "K", "V", "QKV", "FFN2"]
    stacked = found["matrices"][3]
    assert stacked["name"] == "layer.0.attention.self.Q+K+V.weight"
    assert (stacked["rows"], stacked["cols"]) == (96, 64)
    # All weights are kept: direction is undefined, and undefined is null.
    assert stacked["density"] == 1 and stacked["strength"] == 0
    assert stacked["eta_rows"] is None
    assert found["mask"]["source"].endswith("model.npz") and len(found["mask"]["sha256"]) == 64


def test_analyze_draws_a_picture_a_matrix(run, model: Path, tmp_path: Path) -> None:  # noqa: ANN001
    out, plots = tmp_path / "out.npz", tmp_path / "new" / "plots"
    run("prune", "--model", model, "--out", out)
    status, printed, _ = run(
        "analyze", "--mask", out, "--plot", plots, "--json", tmp_path / "a.json"
    )
    assert status == 0 and "horizontal" in printed
    pictures = sorted(plots.glob("*.png"))
    assert len(pictures) == 5
    assert all(p.read_bytes().startswith(PNG) for p in pictures)
    found = json.loads((tmp_path / "a.json").read_text())["matrices"][0]
    assert found["retention"][0]["measured_horizontal"] <= 1
    assert found["retention_measured_on"] == "kept weights"


@pytest.mark.parametrize("shape", [(3, 4), (700, 90), (1, 1000)])
def test_a_thumbnail_shows_block_densities(shape: tuple[int, int]) -> None:
    from pruning.direction.pictures import thumbnail

    keep = np.random.default_rng(0).random(shape) < 0.3
    image = thumbnail(keep, longest=100)
    steps = [-(-size // 100) for size in shape]
    assert image.shape == tuple(-(-size // step) for size, step in zip(shape, steps, strict=True))
    assert max(image.shape) <= 100
    assert image[0, 0] == pytest.approx(keep[: steps[0], : steps[1]].mean())
    rest = keep[(image.shape[0] - 1) * steps[0] :, (image.shape[1] - 1) * steps[1] :]
    assert image[-1, -1] == pytest.approx(rest.mean())


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (17, 1), (0, 4), (5, 341)])
@pytest.mark.parametrize("kept", [0, 1])
def test_odd_masks_are_drawn(tmp_path: Path, shape: tuple[int, int], kept: int) -> None:
    from pruning.direction.analysis import analyze
    from pruning.direction.pictures import write_picture
    from sparse_formats.masks.matrix import MaskedMatrix

    keep = np.full(shape, bool(kept))
    write_picture(tmp_path / "a.png", analyze(MaskedMatrix("$a_{b}$ [x]", keep)))
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/b\\c", "", ".", "x" * 300, "Gewicht é ✓", "con|?*"]
)
def test_picture_names_are_safe_whatever_the_matrix_is_called(name: str) -> None:
    made = picture_name(7, name)
    assert Path(made).name == made and len(made) < 100 and made.isascii()
    assert made.startswith("007-") and made.endswith(".png") and ".." not in made


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "OUT"], "either --model or --from-mask, found neither"),
        (["--model", "MODEL", "--from-mask", "MODEL", "--out", "OUT"], "found both"),
        (["--model", "MODEL", "--scores", "MODEL", "--out", "OUT"], "--scores goes with"),
        (["--model", "MISSING", "--out", "OUT"], "does not exist"),
        (["--model", "MODEL", "--out", "MODEL"], "it is the input"),
        (["--from-mask", "MODEL", "--out", "MODEL"], "it is the input"),
        (["--model", "MODEL", "--out", "out.txt"], "give the name of a .npz file"),
        (["--model", "MODEL", "--out", "MISSING/out.npz"], "create it"),
        (["--model", "MODEL", "--out", "OUT", "--sparsity", "1.5"], "--sparsity is 1.5; give a"),
        (["--model", "MODEL", "--out", "OUT", "--sparsity", "nan"], "--sparsity is nan"),
        (["--model", "MODEL", "--out", "OUT", "--menu", "4,x"], "--menu is 'x'; give a"),
        (["--model", "MODEL", "--out", "OUT", "--menu", "4,6"], "does not divide"),
        (["--model", "MODEL", "--out", "OUT", "--menu", ""], "--menu is ''; give a"),
        (["--model", "MODEL", "--out", "OUT", "--menu", "9" * 20], "lengths up to 65536"),
        (["--model", "MODEL", "--out", "OUT", "--menu", "65537"], "lengths up to 65536"),
        (["--model", "MODEL", "--out", "OUT", "--epsilon", "nan"], "--epsilon is nan"),
        (["--model", "MODEL", "--out", "OUT", "--vector-cost", "inf"], "--vector-cost is inf"),
        (["--model", "MODEL", "--out", "OUT", "--vector-cost", "nan"], "--vector-cost is nan"),
        (["--model", "MODEL", "--out", "x" * 300 + ".npz"], "File name too long"),
        (["--model", "x" * 300 + ".npz", "--out", "OUT"], "File name too long"),
        (["--model", "/dev/null", "--out", "OUT"], "a pipe or a device, not a file"),
        (["--model", "MODEL", "--out", "OUT", "--method", "mpv"], "did you mean 'mvp'"),
        (["--model", "MODEL", "--out", "OUT", "--score", "magnitud"], "did you mean 'magnitude'"),
        (["--model", "MODEL", "--out", "OUT", "--algorithm", "Z"], "known: A, B, C"),
        (["--model", "MODEL", "--out", "OUT", "--budget", "x"], "known: global, kind, matrix, row"),
        (["--model", "MODEL", "--out", "OUT", "--seed", "-1"], "--seed is -1"),
        (["--model", "MODEL", "--out", "OUT", "--include", "("], "not a regular expression"),
        (["--model", "MODEL", "--out", "OUT", "--include", "zzz"], "no matrix is left"),
        (["--from-mask", "MODEL", "--scores", "MISSING", "--out", "OUT"], "does not exist"),
        (["--model", "MODEL", "--out", "OUT", "--score", "wanda"], "python -m pruning calibrate"),
        (["--model", "MODEL", "--out", "OUT", "--update", "obs"], "--update is 'obs'"),
        (["--model", "MODEL", "--out", "OUT", "--statistics", "MISSING"], "does not exist"),
        (["--model", "MODEL", "--out", "OUT", "--recipe", "MISSING"], "does not exist"),
        (["--model", "MODEL", "--out", "OUT", "--pattern", "2:4", "--sparsity", "0.3"], "0.5 or"),
        (["--model", "MODEL", "--out", "OUT", "--pattern", "head"], "--heads is 0"),
        (["--model", "MODEL", "--out", "OUT", "--pattern", "head", "--heads", "5"], "equal heads"),
        (["--model", "MODEL", "--out", "OUT", "--json", "OUT"], "give another name"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_nothing_is_written(
    run,  # noqa: ANN001
    model: Path,
    tmp_path: Path,
    arguments: list[str],
    said: str,
) -> None:
    before = model.read_bytes()
    places = {"MODEL": str(model), "OUT": str(tmp_path / "out.npz")}
    given = [places.get(a, a.replace("MISSING", str(tmp_path / "missing"))) for a in arguments]
    status, printed, error = run("prune", *given)
    assert status == 2 and printed == ""
    assert error.startswith("error: ") and error.count("\n") == 1
    assert said in error
    assert model.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.npz"]


@pytest.mark.parametrize("way", ["itself", *slow("symlink", "hard link", "picture")])
def test_analyze_never_writes_over_its_input(run, model: Path, tmp_path: Path, way: str) -> None:  # noqa: ANN001
    before, target = model.read_bytes(), tmp_path / "there.json"
    if way == "itself":
        target = model
    elif way == "symlink":
        target.symlink_to(model)
    else:
        target = tmp_path / picture_name(1, "layer.0.attention.self.query.weight")
        target.hardlink_to(model)
    option = ("--plot", tmp_path) if way == "picture" else ("--json", target)
    status, printed, error = run("analyze", "--mask", model, *option)
    assert status == 2 and printed == ""
    said = "not part of an earlier set of pictures" if way == "picture" else "it is the input"
    assert error.startswith("error: ") and said in error
    assert model.read_bytes() == before and target.samefile(model)


def test_a_file_of_an_input_folder_is_an_input(run, tmp_path: Path) -> None:  # noqa: ANN001
    folder = tmp_path / "masks"
    folder.mkdir()
    (folder / "a.smtx").write_text("1, 2, 1\n0 1\n0\n")
    status, _, error = run("analyze", "--mask", folder, "--json", folder / "a.smtx")
    assert status == 2 and "it is the input" in error


@pytest.mark.parametrize(
    "command",
    [
        ("eval", "--table", "DATA"),
        ("heads", "--table", "DATA"),
        ("kprune", "--data", "DATA", "--flops", 0.5, "--out", "new"),
        ("quantize", "--table", "DATA", "--out", "new.safetensors"),
        ("train", "--table", "DATA", "--out", "new.npz"),
    ],
    ids=lambda command: command[0],
)
def test_an_account_never_goes_into_a_file_of_the_model(run, command, tmp_path: Path) -> None:  # noqa: ANN001
    config, data = tmp_path / "model" / "config.json", tmp_path / "data.tsv"
    config.parent.mkdir()
    config.write_text("{}")
    data.write_text("sentence\tlabel\na\t0\n")
    words = [data if word == "DATA" else word for word in command]
    status, _, error = run(*words, "--model", config.parent, "--json", config)
    assert status == 2 and error.startswith("error: ") and f"it is the input {config}" in error
    assert config.read_text() == "{}"


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_number_is_cut_on_a_narrow_terminal(
    run,  # noqa: ANN001
    model: Path,
    tmp_path: Path,
    width: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out.npz"
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, for rich
    monkeypatch.setenv("COLUMNS", str(width))
    printed = [run("prune", "--model", model, "--out", out)[1]]
    printed.append(run("analyze", "--mask", out)[1])
    header = read_masks(out).header
    for text, wanted in zip(printed, ("retention", "strength"), strict=True):
        plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
        for report in header["report"]:
            (line,) = (x for x in plain.splitlines() if x.startswith(report["name"][:-7]))
            cells = line.split()
            assert len(line.rstrip()) <= width
            assert "…" not in line
            if wanted == "retention":
                assert f"{report['density']:.3f}" in cells
                assert f"{report['retention']:.3f}" in cells
                assert f"{report['importance_kept']:.3f}" in cells
                assert f"{report['strength']:+.3f}" in cells
        assert ("not shown at this width" in plain) == (width < 120)


def test_the_two_directions_have_two_names(run, model: Path, tmp_path: Path) -> None:  # noqa: ANN001
    out, again = tmp_path / "out.npz", tmp_path / "again.npz"
    _, printed, _ = run("prune", "--model", model, "--out", out)
    assert "D fine" in printed and "fine-grained mask of the same budget" in printed
    np.savez(tmp_path / "mask.npz", a=read_masks(out).matrices[0].keep)
    _, printed, _ = run(
        "prune", "--from-mask", tmp_path / "mask.npz", "--sparsity", 0.5, "--out", again
    )
    assert "D fine is the direction strength of the given mask" in printed
    assert "note: sparsity 0.5 would keep" in printed


def test_a_model_folder_is_named_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "bert" / "model").mkdir(parents=True)
    (tmp_path / "bert" / "weights.npz").touch()
    assert model_name(tmp_path / "bert" / "model") == "bert/model"
    assert model_name(tmp_path / "bert" / "weights.npz") == "weights.npz"
    assert model_name(Path("/")) == ""


def test_analyze_names_a_plot_folder_that_cannot_be_made(run, model: Path) -> None:  # noqa: ANN001
    status, _, error = run("analyze", "--mask", model, "--plot", model)
    assert status == 2 and error.startswith("error: --plot ") and "is a file" in error


def test_the_help_shows_both_commands(run) -> None:  # noqa: ANN001
    status, printed, _ = run("--help")
    assert status == 0 and "prune" in printed and "analyze" in printed
