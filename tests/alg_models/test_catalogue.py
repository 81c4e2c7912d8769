"""Finding models by id, by entry point and by path; every error names the place and the fix."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from siplab.alg_models.catalogue import Catalogue, load
from siplab.alg_models.controls import CORRECT, NONE
from siplab.alg_models.samples import cross
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Card, Model, Recipe, Step

# A model as a user writes one: annotations as text, and a dataclass for the parameters.
PLUGIN = """
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.lab.gateway.alg import Card, Context, Model, Recipe
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class Shout:
    volume: int = 3
    mode: Literal["high", "low"] = "high"

    def recipe(self) -> Recipe:
        return Recipe(last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        message.start_line = message.start_line.upper()


MODEL = Model("{id}", Card("Shouts."), fault=Shout())
"""


def plugin(path: Path, identifier: str = "shout") -> Path:
    path.write_text(PLUGIN.replace("{id}", identifier))
    return path


def ids(catalogue: Catalogue) -> list[str]:
    return [model.id for model in catalogue]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load(plugins=False)


# -- ids and parameters ----------------------------------------------------------------------------


def test_models_by_id(catalogue: Catalogue) -> None:
    for spec, model in (("none", NONE), (" correct ", CORRECT)):
        assert replace(catalogue.get(spec), card=model.card) == model  # cards are told what models break
    assert len(catalogue) == len(ids(catalogue)) == len(set(ids(catalogue)))
    assert ids(catalogue)[:2] == ["none", "correct"], "the controls come first"


@pytest.mark.parametrize(
    ("wanted", "fix"),
    [("corect", "did you mean correct"), ("call-id-rewrit", "did you mean call-id-rewrite"), ("zzzzzz", ";")],
)
def test_an_unknown_id(catalogue: Catalogue, wanted: str, fix: str) -> None:
    with pytest.raises(UsageError, match=f"unknown model '{wanted}'.*{re.escape(fix)}"):
        catalogue.get(wanted)


@pytest.mark.parametrize(
    ("spec", "identifier", "parameters"),
    [
        ("port-overflow", "port-overflow", {"mode": "sentinel", "offset": 20832}),
        ("port-overflow()", "port-overflow", {"mode": "sentinel", "offset": 20832}),
        ("port-overflow(mode=sum)", "port-overflow(mode=sum)", {"mode": "sum", "offset": 20832}),
        (
            "port-overflow( mode = wrap , offset=5 )",
            "port-overflow(mode=wrap,offset=5)",
            {"mode": "wrap", "offset": 5},
        ),
        ("blind-ip-replace(reverse=true)", "blind-ip-replace(reverse=true)", {"reverse": True}),
    ],
)
def test_parameters(catalogue: Catalogue, spec: str, identifier: str, parameters: dict[str, object]) -> None:
    model = catalogue.get(spec)
    assert (model.id, model.parameters) == (identifier, parameters)
    assert isinstance(model.fault, Step)
    assert model.fault in model.steps
    assert catalogue.get(model.id) == model
    assert catalogue.get("port-overflow").parameters["mode"] == "sentinel", "the catalogue's own stays"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("port-overflow(mode=loud)", "model 'port-overflow', parameter 'mode'.*'sentinel', 'sum' or 'wrap'"),
        ("port-overflow(offset=many)", "model 'port-overflow', parameter 'offset'.*integer"),
        ("port-overflow(size=1)", "no parameter 'size' .parameters: mode, offset."),
        ("correct(size=1)", "model 'correct' has no parameter 'size' .parameters: none."),
        ("port-overflow(mode)", "'mode' is not written parameter=value"),
        ("port-overflow(offset=[1)", "can't be read as a value"),
        ("port-overflow(mode=sum", "not written ID or ID.parameter=value."),
        ("", "not written ID"),
        ("two words", "not written ID"),
        ("(mode=sum)", "not written ID"),
    ],
)
def test_wrong_specs_are_refused_with_their_reason(catalogue: Catalogue, spec: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        catalogue.get(spec)
    assert "\n" not in str(caught.value)


def test_runnable_lists_each_model_and_then_its_variants(catalogue: Catalogue) -> None:
    names = [model.id for model in catalogue.runnable()]
    at = names.index("port-overflow")
    assert names[at : at + 3] == ["port-overflow", "port-overflow(mode=sum)", "port-overflow(mode=wrap)"]
    assert len(names) == len(set(names))


# -- what may be registered ------------------------------------------------------------------------


def test_a_clash_names_both_places(tmp_path: Path) -> None:
    first, second = plugin(tmp_path / "one.py"), plugin(tmp_path / "two.py")
    with pytest.raises(UsageError, match="model id 'shout' is taken by") as caught:
        load([first, second], plugins=False)
    assert str(first) in str(caught.value)
    assert str(caught.value).startswith(f"{second}: ")


def test_the_projects_own_ids_are_taken(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'correct' is taken by siplab\.alg_models\.controls"):
        load([plugin(tmp_path / "mine.py", "correct")], plugins=False)


@pytest.mark.parametrize("identifier", ["", "Upper", "-begins", "with space", "par(en)", "new\n"])
def test_malformed_ids(identifier: str) -> None:
    with pytest.raises(UsageError, match="must be lower-case letters"):
        Catalogue([Model(identifier, Card(""))])


def test_something_else_than_a_model() -> None:
    with pytest.raises(UsageError, match=r"here: MODEL must be a siplab\.lab\.gateway\.alg\.Model, not str"):
        Catalogue().add("correct", "here")  # type: ignore[arg-type]


# -- paths -----------------------------------------------------------------------------------------


def test_a_file(tmp_path: Path) -> None:
    found = load([plugin(tmp_path / "mine.py")], plugins=False)
    assert ids(found)[-1] == "shout"
    assert found.get("shout(volume=11,mode=low)").parameters == {"volume": 11, "mode": "low"}
    with pytest.raises(UsageError, match="parameter 'volume'"):
        found.get("shout(volume=loud)")


def test_a_folder_in_the_order_of_names(tmp_path: Path) -> None:
    plugin(tmp_path / "b.py", "second")
    plugin(tmp_path / "a.py", "first")
    (tmp_path / "notes.txt").write_text("no model")
    assert ids(load([tmp_path], plugins=False))[-2:] == ["first", "second"]


def test_files_of_one_name_do_not_share_a_module(tmp_path: Path) -> None:
    paths = []
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        paths.append(plugin(tmp_path / name / "mine.py", f"shout-{name}"))
    assert ids(load(paths, plugins=False))[-2:] == ["shout-x", "shout-y"]


def test_models_in_the_plural(tmp_path: Path) -> None:
    path = plugin(tmp_path / "mine.py")
    path.write_text(path.read_text() + "MODELS = (Model('more', Card('')), Model('most', Card('')))\n")
    assert ids(load([path], plugins=False))[-3:] == ["more", "most", "shout"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("MODEL = = 1\n", "SyntaxError"),
        (
            "import no_such_module_anywhere\n",
            "ModuleNotFoundError: No module named 'no_such_module_anywhere'",
        ),
        ("MODEL = 1 / 0\n", "ZeroDivisionError"),
        ("PROTOTYPE = 1\n", "no MODEL or MODELS in it"),
        ("MODELS = []\n", "no MODEL or MODELS in it"),
        ("MODEL = 5\n", "not int"),
    ],
)
def test_a_file_that_is_no_model(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    before = set(sys.modules)
    with pytest.raises(UsageError, match=re.escape(says)) as caught:
        load([path], plugins=False)
    assert str(path) in str(caught.value)
    if "Error" in says:
        assert set(sys.modules) == before


def test_paths_without_models(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.py"):
        with pytest.raises(UsageError, match=r"no such file, or a folder without \.py files"):
            load([path], plugins=False)
    (tmp_path / "notes.txt").write_text("no model")
    with pytest.raises(UsageError, match="not a Python file"):
        load([tmp_path / "notes.txt"], plugins=False)


# -- entry points ----------------------------------------------------------------------------------


def distribution(folder: Path, name: str, points: str) -> None:
    """Make the metadata of an installed package."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[siplab.models]\n{points}\n")


def test_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin(tmp_path / "siplab_test_shout.py")
    plugin(tmp_path / "siplab_test_whisper.py", "whisper")
    distribution(tmp_path, "shouters", "z = siplab_test_shout\na = siplab_test_whisper")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert ids(load())[-2:] == ["whisper", "shout"], "in the order of their names"
    assert not {"whisper", "shout"} & {*ids(load(plugins=False))}
    with pytest.raises(UsageError, match=r"'shout' is taken by entry point 'z' \(siplab_test_shout\)"):
        load([plugin(tmp_path / "again.py")])


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("siplab_test_absent", "ModuleNotFoundError"),
        ("siplab_test_empty", "no MODEL or MODELS in it"),
        ("siplab_test_broken", "SyntaxError"),
    ],
)
def test_a_broken_entry_point_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, says: str
) -> None:
    (tmp_path / "siplab_test_empty.py").write_text("")
    (tmp_path / "siplab_test_broken.py").write_text("MODEL = =\n")
    distribution(tmp_path, "broken", f"bad = {value}")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match=rf"entry point 'bad' \({value}\): .*{says}"):
        load()


# -- combinations ----------------------------------------------------------------------------------


def test_two_faults_in_one_router(catalogue: Catalogue) -> None:
    both = catalogue.get("semicolon-loss+port-overflow(mode=sum)")
    assert both.id == "semicolon-loss+port-overflow(mode=sum)"
    assert both.card.kind == "combination"
    before, after, *_ = cross(both, "register")
    assert b"192.168.1.20:5060;rport" in before
    assert b"Via: SIP/2.0/UDP 203.0.113.7:61002rport" in after
    assert b"Contact: <sip:alice@203.0.113.7:25892>" in after


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("none+semicolon-loss", "'none' can't be combined"),
        ("semicolon-loss+correct", "'correct' can't be combined"),
        ("semicolon-loss+semicolon-loss", "twice is no other router than once"),
        ("semicolon-loss+", "both sides of '+'"),
        ("semicolon-loss+nonesuch", "unknown model 'nonesuch'"),
    ],
)
def test_combinations_that_make_no_sense(catalogue: Catalogue, spec: str, reason: str) -> None:
    with pytest.raises(UsageError, match=re.escape(reason)):
        catalogue.get(spec)


def test_faults_that_change_the_same_thing_exclude_each_other() -> None:
    @dataclass(frozen=True)
    class Ports:
        port: int

        def recipe(self) -> Recipe:
            return Recipe(policy={"ports": frozenset({self.port})})

    one, other = (Model(f"port-{port}", Card("For a test."), fault=Ports(port)) for port in (5060, 5080))
    with pytest.raises(UsageError, match="both change the policy ports"):
        one.plus(other)


def test_a_fault_without_a_recipe_is_refused() -> None:
    @dataclass(frozen=True)
    class Bare:
        pass

    with pytest.raises(UsageError, match="Bare needs a method recipe"):
        Model("bare", Card("For a test."), fault=Bare())  # type: ignore[arg-type]
