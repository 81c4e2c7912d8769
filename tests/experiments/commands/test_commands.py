"""The table of commands, options that repeat, and names as people write them."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest
import typer

from siplab.alg_models import vendors
from siplab.experiments.commands import cli, options
from siplab.experiments.trial import registry
from siplab.lab.errors import UsageError


def siplab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    """Exit status, output and errors of a command, run in here."""
    monkeypatch.setattr(sys, "argv", ["siplab", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0), *capsys.readouterr()


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, _, _, text in cli.COMMANDS])
def test_the_table_says_what_the_command_says(name: str, text: str) -> None:
    command = cli.load(name)
    about = inspect.cleandoc(command.help or "").partition("\n\n")[0].replace("\n", " ")
    # Groups that list say it in the table alone: their help is that of their commands.
    assert about in (text, "")
    assert about or command.commands


def test_help_has_what_stands_in_brackets_and_no_lines_cut_short(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    status, out, _ = siplab(monkeypatch, capsys, "diagnose", "--help")
    assert status == 0
    (line,) = [each for each in out.splitlines() if "Two sides are needed" in each]
    assert "Captures need `pip install 'siplab[captures]'`. Exit status: 0 clean" in line


def test_help_imports_neither_pydantic_nor_the_lab() -> None:
    code = (
        "import sys; sys.argv = ['siplab', '--help']\n"
        "from siplab.experiments.commands.cli import main\n"
        "try:\n    main()\nexcept SystemExit: pass\n"
        "print([m for m in sys.modules if m.startswith(('pydantic', 'yaml', 'siplab.lab.'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *shown, imported = done.stdout.strip().splitlines()
    allowed = {"siplab.lab.counting", "siplab.lab.errors", "siplab.lab.interrupts", "siplab.lab.version"}
    assert set(json.loads(imported.replace("'", '"'))) <= allowed
    for name, *_ in cli.COMMANDS:
        assert any(name in line.split() for line in shown), name


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = siplab(monkeypatch, capsys, "--version")
    assert (status, out.split()[0]) == (0, "siplab")


# -- options -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["a,b", "c"], ["a", "b", "c"]),
        (["a(x=1,y=(2,3)),b"], ["a(x=1,y=(2,3))", "b"]),
        ([" a , b ,"], ["a", "b"]),
        ([], []),
    ],
)
def test_commas_part_names_but_not_in_parentheses(given: list[str], names: list[str]) -> None:
    assert options.split(given) == names


def test_a_path_may_have_a_comma(tmp_path: Path) -> None:
    both = tmp_path / "a,b.py"
    both.write_text("")
    assert options._paths([both, Path("c.py,d.py")]) == [both, Path("c.py"), Path("d.py")]


def test_numbers_are_checked() -> None:
    assert options.as_numbers(["2", "3"], "--alg-exit") == [2, 3]
    with pytest.raises(typer.BadParameter, match="'x' is no number"):
        options.as_numbers(["2", "x"], "--alg-exit")


@dataclass
class Shape:
    size: Annotated[int, typer.Option(help="How big.")] = 1
    colours: Annotated[list[str], options.names("--colour")] = field(default_factory=list)


def test_a_dataclass_is_a_group_of_options() -> None:
    seen = []

    def draw(name: str, shape: Shape) -> None:
        seen.append((name, shape))

    command = options.grouped(draw)
    assert list(inspect.signature(command).parameters) == ["name", "size", "colours"]
    app = typer.Typer(add_completion=False)
    app.command()(command)
    typer.main.get_command(app).main(
        ["x", "--colour", "red,blue", "--colour", "green"], standalone_mode=False
    )
    assert seen == [("x", Shape(1, ["red", "blue", "green"]))]


def test_remedies_by_comma_and_by_another_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = siplab(
        monkeypatch, capsys, *("call", "--model", "none", "--scenario", "register", "--world", "simulated"),
        *("--topology", "double-nat", "--mitigation", "modem-mode,rport", "--brief"),
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "Works"
    assert registry.mitigations().get("modem-mode").id == "bridge-mode"


# -- lists -------------------------------------------------------------------------------------------


def test_models_by_class_scenario_and_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def found(*arguments: str) -> set[str]:
        status, out, _ = siplab(monkeypatch, capsys, "models", *arguments, "--json")
        assert status == 0
        return {row["id"] for row in json.loads(out)}

    every = found()
    state, transport = found("--class", "state"), found("--class", "transport")
    assert "udp-binding-short" in state
    assert found("--class", "state,transport") == state | transport < every
    assert "wrong-inside-port" in found("--breaks", "fax") < every
    assert found("--breaks", "fax", "--class", "state") == found("--breaks", "fax") & state
    assert found("PINHOLE", "browser") == {"pinhole-hijack"}
    status, out, _ = siplab(monkeypatch, capsys, "models")
    assert f"state ({len(state)})" in out
    status, _, err = siplab(monkeypatch, capsys, "models", "--class", "stat")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "state" in err


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("Asus Routers", "asus"),
        ("BT (Homehubs)", "bt-home-hub"),
        ("RV042G", "cisco-rv"),
        ("Cisco RV042G", "cisco-rv"),
        ("Vigor2750", "draytek"),
        ("SonicWALL Firewall", "sonicwall"),
        ("TP-Link Archer C7", "tp-link"),
        ("draytek", "draytek"),
    ],
)
def test_vendors_are_found_as_people_write_them(name: str, identifier: str) -> None:
    assert vendors.load(name).id == identifier


def test_a_name_of_several_vendors_names_them() -> None:
    with pytest.raises(UsageError, match="may be d-link or d-link-dfl or tp-link"):
        vendors.load("Link")


def test_a_vendor_by_name_is_a_router(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = siplab(
        monkeypatch, capsys, *("call", "--model", "Asus Routers", "--scenario", "register"),
        *("--world", "simulated"),
    )  # fmt: skip
    assert status == 0
    assert out.startswith("asus, register, seed1 in the simulated world (asked for)")


def test_asked_for_only_where_somebody_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "small.yaml"
    file.write_text("id: small\nworld: simulated\nmodels: [none]\nscenarios: [register]\n")
    assert "(as the experiment says)" in siplab(monkeypatch, capsys, "run", str(file))[2]
    assert "(asked for)" in siplab(monkeypatch, capsys, "run", str(file), "--world", "simulated")[2]


def test_doctor_fails_where_the_world_asked_for_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from siplab.lab.worlds.emulated import capability

    monkeypatch.setattr(capability, "abilities", lambda: ())
    monkeypatch.setattr(capability, "kernel_ability", lambda: capability.Ability("kernel", False, False))
    monkeypatch.setattr(capability, "obstacle", lambda: "no queue")
    assert siplab(monkeypatch, capsys, "doctor")[0] == 0
    assert siplab(monkeypatch, capsys, "doctor", "--world", "emulated")[0] == 1
    monkeypatch.setattr(capability, "obstacle", lambda: None)
    assert siplab(monkeypatch, capsys, "doctor", "--world", "emulated")[0] == 0


def test_the_demo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = siplab(monkeypatch, capsys, "demo")
    assert status == 0
    assert "72 trials in the " in err
    assert out.index("72 trials: ") < out.index("Fails: 2 of 2 checks") < out.index("REGISTER x11")
