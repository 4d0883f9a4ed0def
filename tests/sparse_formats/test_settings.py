"""Is a setting written once: its flag, its TOML key, its default, its help and its replay?"""

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import pytest

from sparse_formats.errors import InputError, SettingError
from sparse_formats.terminal.command import call as call_here
from sparse_formats.terminal.command import command_line, main
from sparse_formats.terminal.options import JsonOption, NameOptions
from sparse_formats.terminal.settings import (
    Count,
    Share,
    group,
    option,
    settings_of,
    words,
)

SHAPES = {"square": 4, "circle": 0}


@dataclass(frozen=True, kw_only=True)
class Ink:
    """How it is drawn."""

    colour: Literal["black", "red"] = option("Colour of the lines.", default="black")
    width: Share | None = option("Width of the lines.", default=None, otherwise=0.5)


@dataclass(frozen=True, kw_only=True)
class Paper:
    grain: Count = option("Grain of the paper.", default=3)


@dataclass(frozen=True, kw_only=True)
class Settings(NameOptions, JsonOption):
    """Draw shapes on a sheet of paper, so many times as the number of copies says in this sentence.

    More is said here.
    """

    FOREIGN_TABLES: ClassVar = ("printing",)
    SET_FLAG: ClassVar = "--set"

    source: Path = option("File to read.")
    shape: str = option("Shape to draw.", default="square", choices=lambda: SHAPES)
    machine: str = option(
        "Machine that draws.", default="plotter", choices=("plotter",), or_else="a .toml file",
        reads=True,
    )  # fmt: skip
    copies: Count = option("Number of copies.", default=1)
    menu: tuple[int, ...] = option("Sizes.", default=(1, 4), is_separated=True)
    is_framed: bool = option("Draw a frame.", default=True, flags=("--frame",))
    fit: bool | None = option("Fit to the sheet.", default=None, otherwise="yes, where it can")
    pens: tuple[str, ...] = option("Pens.", default=(), otherwise="fine")
    out: Path | None = option("Picture.", default=None, writes="file", suffix=".png")
    folder: Path | None = option("Folder.", default=None, writes="folder", holds=("a.json",))
    ink: Ink = group(Ink)
    paper: Paper = group(Paper, is_table=True)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Compare two files."""

    before: Path = option("First file.", is_argument=True)
    after: Path = option("Second file.", is_argument=True)
    strict: bool = option("Be strict.", default=False)


class Drawing:
    """Two commands that keep the settings they were run with."""

    def __init__(self) -> None:
        self.ran: list[Any] = []
        draw = SimpleNamespace(Settings=Settings, run=self.run, show=lambda settings, result: None)
        compare = SimpleNamespace(Settings=Placed, run=self.run, show=lambda settings, result: 1)
        self.commands: dict[str, Any] = {"draw": draw, "compare": compare}

    def run(self, settings: Any) -> None:
        if getattr(settings, "copies", 0) == 13:
            raise SettingError("copies", "is 13; give another number")
        if getattr(settings, "copies", 0) == 14:
            raise SettingError("luck", "is bad; try again")
        self.ran.append(settings)


@pytest.fixture
def drawing() -> Drawing:
    return Drawing()


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(
    drawing: Drawing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Run the two commands with words; exit status, standard output, standard error."""

    def called(*given: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["drawing", *map(str, given)])
        with pytest.raises(SystemExit) as end:
            main("drawing", "Drawings of shapes.", drawing.commands)
        streams = capsys.readouterr()
        return int(end.value.code or 0), streams.out, streams.err

    return called


def test_do_flags_win_over_the_file_and_the_file_over_defaults(
    call: Call, drawing: Drawing, tmp_path: Path
) -> None:
    config = tmp_path / "run.toml"
    config.write_text(
        'source = "a.npz"\nshape = "circle"\ncopies = 2\nmenu = [2]\nis_framed = false\n'
        'colour = "red"\nwidth = 1\ninclude = ["q", "k"]\n[paper]\ngrain = 5\n[printing]\nx = 1\n'
    )
    assert call("draw", "--config", config, "--copies", "3", "--include", "v", "--frame")[0] == 0
    assert drawing.ran == [
        Settings(
            source=Path("a.npz"), shape="circle", copies=3, menu=(2,), is_framed=True,
            include=("v",), ink=Ink(colour="red", width=1.0), paper=Paper(grain=5),
        )
    ]  # fmt: skip
    # The default of what neither gives.
    assert drawing.ran[0].machine == "plotter" and drawing.ran[0].fit is None


def test_can_a_command_be_called_in_this_process(drawing: Drawing) -> None:
    assert call_here(drawing.commands, "compare", Path("a"), "b") == 1
    assert drawing.ran == [Placed(before=Path("a"), after=Path("b"))]
    with pytest.raises(InputError, match="--copies is 0"):
        call_here(drawing.commands, "draw", "--source", "a", "--copies", 0)


def test_is_the_exit_status_what_show_returns(call: Call, drawing: Drawing) -> None:
    assert call("compare", "a", "b", "--strict")[0] == 1
    assert drawing.ran == [Placed(before=Path("a"), after=Path("b"), strict=True)]


@pytest.mark.parametrize(
    "settings",
    [
        Settings(source=Path("a b.npz")),
        Settings(source=Path("a"), shape="circle", copies=7, menu=(3, 5), is_framed=False),
        Settings(source=Path("-a"), fit=False, include=("x|y", "--z"), exclude=("w",)),
        Settings(source=Path("a"), fit=True, ink=Ink(colour="red", width=0.1 + 0.2)),
        Settings(source=Path("a"), paper=Paper(grain=2), machine="mine.toml"),
        Placed(before=Path("a"), after=Path("b"), strict=True),
    ],
)
def test_do_the_words_of_settings_give_them_again(
    settings: Any, call: Call, drawing: Drawing
) -> None:
    name = "draw" if isinstance(settings, Settings) else "compare"
    python, flag, package, *again = shlex.split(command_line("drawing", name, settings))
    assert (python, flag, package) == ("python", "-m", "drawing")
    assert call(*again)[2] == ""
    assert drawing.ran == [settings]


def test_do_the_words_leave_out_defaults_and_what_does_not_change_results() -> None:
    settings = Settings(source=Path("a"), json=Path("b.json"))
    assert words(settings) == ["--source", "a"]
    # What None came to is put in by the command.
    resolved = replace(settings, ink=replace(settings.ink, width=0.5))
    assert words(resolved) == ["--source", "a", "--width", "0.5"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--shape", "sqare"], "--shape is 'sqare'; did you mean 'square'?"),
        (["--shape", "x"], "--shape is 'x'; known: circle, square"),
        (["--colour", "rad"], "--colour is 'rad'; did you mean 'red'?"),
        (["--copies", "0"], "--copies is 0; give a whole number from 1 up"),
        (["--copies", "1.5"], "--copies is 1.5; give a whole number from 1 up"),
        (["--copies", "two"], "--copies is 'two'; give a whole number from 1 up"),
        (["--width", "nan"], "--width is nan; give a finite number from 0 to 1"),
        (["--width", "1.5"], "--width is 1.5; give a finite number from 0 to 1"),
        (["--menu", "1,x"], "--menu is 'x'; give a whole number"),
        (["--menu", ""], "--menu is ''; give a whole number"),
        (["--shape", "square", "--shape", "circle"], "is given twice, as square and as circle"),
        (["--menu", "1", "--menu", "2"], "--menu is given twice, as 1 and as 2; give it once"),
        (["--frame", "--no-frame"], "--frame and --no-frame are both given; give one of them"),
        (["--config", "a", "--config", "b"], "--config is given twice, as a and as b"),
        (["--copies", "13"], "--copies is 13; give another number"),
        (["--copies", "14"], "luck is bad; try again"),
        (["--shap", "square"], "--shap"),
        (["--config", "FOLDER/none.toml"], "none.toml does not exist; give a TOML file"),
        (["--config", "FOLDER"], "cannot be read"),
        (["--out", "a.gif"], "--out is a.gif; give the name of a .png file"),
        (["--out", "FOLDER/no/a.png"], "does not exist; create it"),
        (["--out", "FOLDER/in.png"], "it is the input"),
        (["--machine", "FOLDER/in.toml", "--json", "FOLDER/in.toml"], "it is the input"),
        (["--out", "FOLDER/x.png", "--json", "FOLDER/./x.png"], "--out is written there"),
        (["--folder", "FOLDER/in.png"], "--folder FOLDER/in.png is a file; give a folder"),
        (["--folder", "FOLDER/in.png/x"], "cannot be made: FOLDER/in.png is a file"),
        (["--folder", "FOLDER", "--json", "FOLDER/a.json"], "--folder is written there"),
        (["--folder", "FOLDER/b", "--json", "FOLDER/b/a.json"], "does not exist; create it"),
        (["--folder", "FOLDER/" + "x" * 300], "name too long"),
        (["--folder", ""], "--folder is ''; give a path"),
        (["--out", "-"], "--out is -; give the name of a .png file"),
    ],
)
def test_is_what_cannot_be_used_refused_in_one_line(
    given: list[str], said: str, call: Call, drawing: Drawing, tmp_path: Path
) -> None:
    (tmp_path / "in.png").write_text("precious")
    (tmp_path / "in.toml").write_text("")
    filled = [word.replace("FOLDER", str(tmp_path)) for word in given]
    status, out, error = call("draw", "--source", tmp_path / "in.png", *filled)
    assert status == 2 and out == ""
    assert error.startswith("error: ") and error.count("\n") == 1
    assert said.replace("FOLDER", str(tmp_path)) in error
    assert drawing.ran == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.png", "in.toml"]


def test_may_any_setting_be_given_by_its_key(call: Call, drawing: Drawing) -> None:
    words = ["copies=3", "menu=[2, 8]", "is_framed=false", "colour=red", 'include=["q", "k"]']
    given = [part for word in words for part in ("--set", word)]
    assert call("draw", "--source", "a", *given, "--include", "v")[0] == 0
    assert drawing.ran == [
        Settings(
            source=Path("a"), copies=3, menu=(2, 8), is_framed=False, ink=Ink(colour="red"),
            include=("v", "q", "k"),
        )
    ]  # fmt: skip
    for wrong, said in [
        (["copis=3"], "--set copis=3: unknown key 'copis'; did you mean 'copies'?"),
        (["copies"], "--set copies: write KEY=VALUE"),
        (["copies=3", "--copies", "4"], "--copies is given twice, as 4 and as 3"),
        (["copies=0"], "--copies is 0; give a whole number from 1 up"),
    ]:
        assert said in call("draw", "--source", "a", "--set", *wrong)[2]


def test_may_a_share_begin_with_its_point(call: Call, drawing: Drawing) -> None:
    assert call("draw", "--source", ".2", "--width", ".25")[0] == 0
    assert drawing.ran == [Settings(source=Path(".2"), ink=Ink(width=0.25))]


def test_may_the_same_be_said_twice(call: Call, drawing: Drawing) -> None:
    assert call("draw", "--source", "a", "--copies", "2", "--copies", "2")[0] == 0
    assert drawing.ran == [Settings(source=Path("a"), copies=2)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("copis = 2", "unknown key 'copis'; did you mean 'copies'?"),
        ("copies = 0", "copies is 0; give a whole number from 1 up"),
        ('copies = "2"', "copies is '2'; give a whole number from 1 up"),
        ("copies = true", "copies is True; give a whole number from 1 up"),
        ("shape = 3", "shape is 3; known: circle, square"),
        ("source = 3", "source is 3; give a path"),
        ('is_framed = "no"', "is_framed is 'no'; give true or false"),
        ("width = inf", "width is inf; give a finite number from 0 to 1"),
        ("menu = 3", "menu is 3; give a list of values"),
        ("menu = [1, 2.5]", "menu is 2.5; give a whole number"),
        ("grain = 3", "unknown key 'grain'"),
        ("paper = 3", "unknown key 'paper'"),
        ("[paper]\ngrain = 0", "paper.grain is 0; give a whole number from 1 up"),
        ("[paper]\ngrian = 1", "[paper]: unknown key 'grian'; did you mean 'grain'?"),
        ("copies = ", "not TOML"),
        ("copies = 13", "copies is 13; give another number"),
    ],
)
def test_is_a_bad_key_named_with_its_file(
    text: str, said: str, call: Call, drawing: Drawing, tmp_path: Path
) -> None:
    config = tmp_path / "run.toml"
    config.write_text(text)
    status, _, error = call("draw", "--config", config, "--source", "a")
    assert status == 2 and error.count("\n") == 1
    assert error.startswith(f"error: {config}") and said in error
    assert drawing.ran == []


def test_is_what_must_be_given_named(call: Call) -> None:
    assert call("draw")[2] == "error: --source is missing; give it, or a --config with it\n"
    assert "BEFORE is missing" in call("compare")[2]


def test_does_the_help_say_all_that_the_fields_say(call: Call) -> None:
    status, text, _ = call("draw", "--help")
    lines = " ".join(text.split())
    assert status == 0
    for said in (
        "--source PATH File to read. [required]",
        "--shape TEXT Shape to draw. [square, circle; default: square]",
        "--machine TEXT Machine that draws. [plotter, or a .toml file; default: plotter]",
        "--copies INT Number of copies. [from 1 up; default: 1]",
        "--menu INT,… Sizes. [default: 1,4]",
        "--frame / --no-frame Draw a frame. [default: yes]",
        "--fit / --no-fit Fit to the sheet. [default: yes, where it can]",
        "--pens TEXT Pens. [default: fine; repeatable]",
        "--colour TEXT Colour of the lines. [black, red; default: black]",
        "--width FLOAT Width of the lines. [from 0 to 1; default: 0.5]",
        "are taken. [repeatable]",
        "--config FILE TOML file of these settings.",
    ):
        assert said in lines
    # Its own settings stand before those it shares with other commands.
    assert lines.index("--width") < lines.index("--include") < lines.index("--json")


def test_are_summaries_whole_sentences(call: Call) -> None:
    text = " ".join(call("--help")[1].split())
    assert "…" not in text and "..." not in text.replace("[ARGS]...", "")
    assert "so many times as the number of copies says in this sentence. compare" in text
    assert "More is said here." not in text
    assert "More is said here." in call("draw", "--help")[1]


def test_are_choices_looked_up_only_for_the_command_that_is_called(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise AssertionError("looked up")

    monkeypatch.setattr(f"{__name__}.SHAPES", SimpleNamespace(__iter__=fail))
    assert call("--help")[0] == 0
    assert call("compare", "--help")[0] == 0


def test_does_a_name_that_two_settings_have_fail() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Twice(Ink):
        ink: Ink = group(Ink)

    with pytest.raises(AssertionError, match="two settings of one name"):
        settings_of(Twice)


def test_does_a_library_error_name_the_field_in_python() -> None:
    error = SettingError("tokens", "is 0; give a whole number from 1 up")
    assert str(error) == "tokens is 0; give a whole number from 1 up"
