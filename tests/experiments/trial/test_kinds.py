"""Cards of phones and servers: what is known of each kind, and that nobody takes a guess for knowledge."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from pydantic import TypeAdapter, ValidationError

from siplab.experiments import phones, servers
from siplab.experiments.output import kind_cards
from siplab.experiments.trial import kind_settings, kinds, refusals, registry
from siplab.experiments.trial.kind_settings import SETTINGS
from siplab.experiments.trial.stage import Setup
from siplab.lab import specs
from siplab.lab.errors import UsageError
from siplab.lab.phone.phone_config import PhoneConfig
from siplab.lab.server.server import ServerConfig
from tests.command import siplab
from tests.conftest import ROOT
from tools import kind_tables

CONFIGS: dict[str, Any] = {"phone": PhoneConfig, "server": ServerConfig}
CARDS = [(kind, card) for kind in SETTINGS for card in kind_cards.shelf(kind)]
EACH_CARD = pytest.mark.parametrize(
    ("kind", "card"), CARDS, ids=[f"{kind}-{card.id}" for kind, card in CARDS]
)

# How much of each is known better than by inference. It may rise; when it falls, something was lost.
MINIMA = {
    "sipp": 0.1,
    "pjsip": 0.9, "linphone": 0.9, "libre": 0.9, "sofia": 0.5, "spa": 0.25, "desk": 0.3, "polycom": 0.2,
    "high-port": 0.05, "proxy-plain": 0.7, "proxy-detect": 0.9, "proxy-always": 0.5, "pbx-nat": 0.8,
    "pbx-plain": 0.7, "freeswitch": 0.65, "sbc-hnt": 0.25, "trunk": 0.05,
}  # fmt: skip


# -- what is known -----------------------------------------------------------------------------------


@EACH_CARD
def test_every_setting_is_known_or_unknown(kind: str, card: kinds.Card) -> None:
    names = [*card.known, *card.unknown]
    assert sorted(names) == sorted(specs.parameters(SETTINGS[kind]()))


@EACH_CARD
def test_the_share_of_evidence(kind: str, card: kinds.Card) -> None:
    assert card.share >= MINIMA[card.id]
    assert (card.kind == "brand") == (card.share >= kinds.BRAND_SHARE)


def test_no_minimum_without_its_card() -> None:
    assert {card.id for _, card in CARDS} == set(MINIMA)


@EACH_CARD
def test_a_source_that_was_read_or_seen_names_what(kind: str, card: kinds.Card) -> None:
    for name, known in card.known.items():
        if known.evidence == "source-code":
            assert re.search(r"@|\.\w+:\d|kazoo-configs-kamailio", known.source), (name, known.source)


@EACH_CARD
def test_the_kind_has_the_cards_values(kind: str, card: kinds.Card) -> None:
    settings = _registry(kind).get(card.id).settings
    for name, known in card.known.items():
        assert getattr(settings, name) == known.value
    for name, origin in kind_cards.shelf(kind).origins(card).items():
        if origin.known is None:
            assert getattr(settings, name) == kind_settings.defaults(kind)[name]
        elif origin.card != card.id:
            assert getattr(settings, name) == origin.known.value


def test_what_is_unknown_is_the_familys() -> None:
    settings = registry.phones().get("spa").settings
    assert settings.response_match == ("branch", "method")
    polycom = registry.phones().get("polycom").settings
    assert polycom.request_uri_check == "none"
    assert polycom.retry == {"else": 60}


# -- what the agents do ------------------------------------------------------------------------------


def test_the_agents_have_each_setting() -> None:
    for kind, settings in SETTINGS.items():
        assert set(specs.parameters(settings())) <= set(get_type_hints(CONFIGS[kind]))


@EACH_CARD
def test_what_is_applied_fits_the_agents(kind: str, card: kinds.Card) -> None:
    hints = get_type_hints(CONFIGS[kind], include_extras=True)
    setup = _registry(kind).get(card.id).settings.apply(Setup({}))
    for name, value in (setup.phone if kind == "phone" else setup.server).items():
        try:
            TypeAdapter(hints[name]).validate_python(value, strict=isinstance(value, str))
        except ValidationError as error:
            pytest.fail(f"{name}={value}: {error}")


def test_a_card_can_be_a_whole_kind() -> None:
    setup = registry.phones().get("high-port(source_port=50933)").settings.apply(Setup({}))
    assert setup.phone == {"source_port": 50933, "rport": False}


# -- parameters --------------------------------------------------------------------------------------


def test_parameters() -> None:
    item = registry.servers().get("proxy-detect(nat_tests=[via-host,via-port], ping_kind=options)")
    assert item.id == "proxy-detect(nat_tests=[via-host,via-port],ping_kind=options)"
    assert item.settings.nat_tests == ("via-host", "via-port")
    assert registry.servers().get(item.id).settings == item.settings
    phone = registry.phones().get("linphone(retry={403: 5, else: never})")
    assert phone.settings.retry == {403: 5, "else": "never"}
    assert registry.phones().get(phone.id).settings == phone.settings


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("spa(keepalive=notfy)", "phone 'spa', parameter 'keepalive': Input should be"),
        ("spa(keep=1)", "phone 'spa' has no parameter 'keep' (parameters: call_id_form, "),
        ("libre(response_match=[brnch])", "phone 'libre', parameter 'response_match"),
    ],
)
def test_a_wrong_parameter(spec: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        registry.phones().get(spec)


# -- files -------------------------------------------------------------------------------------------

CARD = """id: mine
summary: A phone of mine.
about: Nothing.
kind: family
version: one
settings:
  expires: {value: 60, evidence: seen, source: "watched"}
unknown: [refresh]
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("value: 60", "value: 0", ":7: field 'settings.expires.value': Input should be greater than 0"),
        (
            "evidence: seen",
            "evidence: guess",
            ":7: field 'settings.expires.evidence': Input should be 'seen',",
        ),
        ("expires:", "expirs:", ":7: field 'settings.expirs': unknown field; did you mean expires"),
        ("source: ", "sourc: ", ":7: field 'settings.expires.sourc"),
        ("[refresh]", "[refrsh]", ":8: field 'unknown.0': there is no setting 'refrsh'"),
        ("[refresh]", "[refresh, expires]", ":8: field 'unknown.1': 'expires' has a value above"),
        ("kind: family", "kind: brand", ":4: field 'kind': a brand knows at least 50% of the settings"),
        ("id: mine", "id: yours", ":1: field 'id': 'yours' must be the file's name, 'mine'"),
        ("kind: family", "kind: family\nfamily: nobody", "field 'family': 'nobody': there is no such card"),
        ("kind: family", "kind: family\nfamily: mine", "field 'family': 'mine': it is a family of its own"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(CARD)
    (card,) = kinds.Shelf("phone", tmp_path)
    assert card.known["expires"].value == 60
    file.write_text(CARD.replace(old, new))
    with pytest.raises(UsageError) as error:
        kinds.Shelf("phone", tmp_path)
    message = str(error.value)
    assert words in message
    assert message.startswith(str(file))
    assert "\n" not in message


# -- what a user meets -------------------------------------------------------------------------------


def test_show() -> None:
    done = siplab("phones", "show", "linphone")
    assert done.returncode == 0, done.stderr
    out = done.stdout
    assert "call_id_form: token  [seen]" in out
    assert "answers_to: unknown\n    runs with asked, from the lab's plain phone" in out
    for name in specs.parameters(SETTINGS["phone"]()):
        assert f"  {name}: " in out
    done = siplab("servers", "show", "proxy-detect(ping_kind=options)", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)["settings"]}
    assert rows["ping_kind"] == {"name": "ping_kind", "value": "options", "evidence": "chosen"}
    assert rows["rport"]["source"].startswith("Kamailio 5.6.3")
    assert rows["only_source_port"]["evidence"] == "unknown"


@pytest.mark.parametrize("kind", ["phone", "server"])
def test_the_schema_has_each_setting(kind: str) -> None:
    done = siplab("schema", kind)
    assert done.returncode == 0, done.stderr
    out = done.stdout
    schema = json.loads(out)
    settings = schema["$defs"][f"{kind.capitalize()}CardSettings"]["properties"]
    assert list(settings) == list(specs.parameters(SETTINGS[kind]()))
    assert all(each["description"] for each in settings.values())


def test_the_page_has_todays_tables() -> None:
    page = kind_tables.PAGE.read_text(encoding="utf-8")
    for part in kind_tables.PARTS:
        assert part.updated(page) == page, "run: python -m tools.kind_tables"


# -- what programs refuse ----------------------------------------------------------------------------


def test_refusals() -> None:
    seen = refusals.load(phones)
    assert seen.refused("pjsua")["register-ok-via-port-65536"] == "silence"
    assert "register-ok-via-port-65536" not in seen.refused("baresip")
    assert seen.refused("linphonec")["register-ok-length-long"] == "silence"
    kamailio = refusals.load(servers).refused("kamailio")
    assert (kamailio["register-length-wrong"], kamailio["reply-length-wrong"]) == ("400", "silence")


def _registry(kind: str) -> registry.Registry[Any]:
    return registry.phones() if kind == "phone" else registry.servers()


def _given_in_tests() -> set[str]:
    """The settings that tests of agents and of predictions give: as arguments, keys, or in specs."""
    files = [
        *(ROOT / "tests" / "lab").rglob("test_*.py"),
        *Path(__file__).parent.glob("test_*predictions.py"),
    ]
    found: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg is not None:
                found.add(node.arg)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.update(re.findall(r"[a-z_0-9]+(?=\Z|=)", node.value))
    return found


@pytest.mark.parametrize("kind", SETTINGS)
def test_every_setting_is_given_in_a_test_that_shows_it(kind: str) -> None:
    """A setting that is new comes with a test that it shows on the wire, or in what becomes of a call."""
    assert {each.name for each in fields(SETTINGS[kind])} <= _given_in_tests()
