"""What cards say about repositories, switches and hypotheses, and which models run because of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from siplab.alg_models import catalogue, profiles, samples, vendors
from siplab.alg_models.vendors.schema import (
    MAIN,
    UNKNOWN,
    Default,
    Note,
    SwitchOff,
    Variant,
    VendorProfile,
)
from siplab.experiments.output import provenance, vendor_cards
from siplab.experiments.score import plan
from siplab.experiments.trial.run import run
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Evidence
from tests.command import siplab

KNOWN = catalogue.load(plugins=False)
CARDS = [vendors.load(each) for each in vendors.available()]
GUESSING = [card for card in CARDS if card.hypotheses]
README = Path(__file__).parents[2] / "README.md"


# -- every card ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.id)
def test_spot_checks(card: VendorProfile) -> None:
    """Every source can be looked up, and evidence from source code names the place."""
    assert card.as_of is not None
    for entry in card.entries():
        assert len(entry.source) > 5
        if entry.evidence is Evidence.SOURCE_CODE:
            assert entry.url or re.search(r"public|module|script", entry.source), entry.source
        if entry.evidence is Evidence.SEED:
            assert "article" in entry.source
        assert not entry.url or re.match(r"https?://[\w.:-]+/", entry.url)
    places: list[VendorProfile | Variant] = [card, *card.variants]
    for where in places:
        if where.repository is not None:
            assert where.repository.place
            assert where.model not in (None, UNKNOWN)
            named = f"https://github.com/{where.repository.name}"
            urls = [entry.url for entry in card.entries()]
            assert named in urls, f"{card.id}: nothing on the card cites {named}"


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.id)
def test_what_is_awaited_is_in_no_catalogue(card: VendorProfile) -> None:
    models = {model.id for model in KNOWN}
    for each in card.awaits:
        assert each.model not in models, f"{card.id} awaits {each.model}, which is there"
    raw = yaml.safe_load((Path(vendors.__file__).parent / f"{card.id}.yaml").read_text(encoding="utf-8"))
    assert not any("waits a model" in note["text"] for note in raw.get("notes", []))


# Parts of cards that need no source: names, what the lab's model does, and unknowns.
UNSOURCED = {
    "Awaited": "claims",  # claims on the card document the awaited behaviour
    "Confirmation": "hypotheses",  # what somebody can try
    "NotShown": "",  # about the lab itself
}


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.id)
def test_no_sentence_is_without_a_source(card: VendorProfile) -> None:
    """Every part with a text has a source and an evidence level beside it, or says that it is unknown."""
    for each in _parts(card):
        text = getattr(each, "text", None) or getattr(each, "claim", None)
        if text is None or type(each).__name__ in UNSOURCED:
            continue
        if isinstance(each, Note) and each.kind in ("gap", "unverified"):
            assert each.source is None
            continue
        if isinstance(each, SwitchOff) and each.source is None:
            assert each.possible == UNKNOWN or each.procedures
            continue
        if isinstance(each, Default) and each.source is None:
            assert each.state == UNKNOWN
            continue
        assert getattr(each, "source", None), f"{card.id}: '{text}'"
        assert getattr(each, "evidence", None), f"{card.id}: '{text}'"
    if card.awaits:
        assert any(claim.evidence is not Evidence.INFERENCE for claim in card.claims)
    for variant in card.variants:
        own = (*variant.claims, variant.default, variant.switch, variant.repository)
        assert any(each is not None for each in own), f"{card.id}: nothing says why '{variant.id}' is there"
    for guess in card.hypotheses:
        assert guess.source


def _parts(value: object) -> Iterator[BaseModel]:
    """Every part of a card that is itself a model of pydantic."""
    if isinstance(value, BaseModel):
        yield value
        for name in type(value).model_fields:
            yield from _parts(getattr(value, name))
    elif isinstance(value, tuple):
        for each in value:
            yield from _parts(each)


# A formatter, or a comma in a YAML list, can cut a sentence in two: the second half begins like this.
_TORN = re.compile(r"(?:and|or|which|with|but|then|so|that) |[,;:.)]")


@pytest.mark.parametrize("folder", [Path(vendors.__file__).parent, Path(vendors.__file__).parents[1]])
def test_no_sentence_is_torn(folder: Path) -> None:
    for file in sorted(folder.glob("*.yaml")):
        for row in _rows(yaml.safe_load(file.read_text(encoding="utf-8"))):
            for each in row:
                assert not isinstance(each, str) or not _TORN.match(each), f"{file.name}: '{each}'"
                assert not isinstance(each, str) or each.count("(") == each.count(")"), (
                    f"{file.name}: '{each}'"
                )


def _rows(value: object) -> Iterator[list[object]]:
    """Every list in a document."""
    if isinstance(value, list):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _rows(each)


def test_thirty_cards_behave_by_more_than_inference() -> None:
    data = vendor_cards.counted()
    assert data["behave by more than inference"] >= 30
    text = README.read_text(encoding="utf-8")
    assert f"{data['behave by more than inference']} of {data['cards']} cards" in text
    printed = siplab("vendors", "count").stdout
    assert f"behave by more than inference: {data['behave by more than inference']}\n" in printed


# -- what a switch really does ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("router", "spec", "outcome"),
    [
        ("d-link(variant=dir-850l)", "d-link(variant=dir-850l,alg=off)", "fail"),
        ("d-link(variant=alpha)", "d-link(variant=alpha,alg=off)", "pass"),
        ("realtek-sdk", "realtek-sdk(alg=off)", "fail"),
        ("semicolon-loss", "none", "pass"),
    ],
)
def test_alg_off_does_what_the_switch_does(router: str, spec: str, outcome: str) -> None:
    result = run(TrialSpec("home", router, "register", mitigations=("alg-off",)))[0]
    assert set(result.models.values()) == {spec}
    assert result.outcome == outcome


def test_off_that_drops_says_so() -> None:
    result = run(TrialSpec("home", "realtek-sdk", "register", mitigations=("alg-off",)))[0]
    (note,) = result.notes
    assert "switched off: SIP over UDP port 5060 is dropped (source-code)" in note
    moved = TrialSpec("home", "realtek-sdk", "register", mitigations=("alg-off", "non-standard-port"))
    assert run(moved)[0].outcome == "pass"


def test_a_switch_without_effect_leaves_the_model() -> None:
    fake = profiles.of_card(vendors.load("belkin"), KNOWN.get).with_parameters(
        {"variant": "f6d4230", "alg": "off"}
    )
    assert isinstance(fake, profiles.Profile)
    assert fake.behind is not None
    assert fake.behind.id == "none"
    assert "the switch has no effect" in fake.note
    hub = KNOWN.get("virgin-superhub(hypothesis=first)")
    assert isinstance(hub, profiles.Profile)


@pytest.mark.parametrize("value", ["maybe", "1.5", "[off]"])
def test_alg_is_on_or_off(value: str) -> None:
    with pytest.raises(UsageError, match=r"parameter 'alg': '.*' is neither on nor off"):
        KNOWN.get(f"mikrotik(alg={value})")


# -- hypotheses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("card", GUESSING, ids=lambda card: card.id)
def test_a_hypothesis_is_marked_wherever_it_shows(card: VendorProfile) -> None:
    for guess in card.hypotheses:
        spec = f"{card.id}(hypothesis={guess.id})"
        model = KNOWN.get(spec)
        assert model.id == spec
        assert f"unknown; a hypothesis ({guess.sure})" in model.card.summary
        assert "is a hypothesis" in profiles.note(model)
        assert profiles.about(model)["evidence"] == "inference"
        assert guess.confirm


def test_hypotheses_never_count() -> None:
    card = vendors.load("cisco-rv")
    assert card.hypotheses
    assert card.behaviour() is None
    assert not card.behaves
    assert KNOWN.get("cisco-rv").card.summary.endswith("unknown; runs as a router without an ALG.")
    ids = {model.id for model in KNOWN.select(["vendors"])}
    assert not any("hypothesis" in each for each in ids)
    both = {model.id for model in KNOWN.select(["vendors+hypotheses"])}
    assert both - ids == {
        f"{card.id}(hypothesis={guess.id})" for card in GUESSING for guess in card.hypotheses
    }


def test_a_hypothesis_runs_when_it_is_asked_for() -> None:
    options = ("--world", "simulated", "--brief", "--hypothesis", "--scenario", "fax")
    done = siplab("call", *options, "--model", "cisco-rv")
    assert "is a hypothesis (possible)" in done.stderr
    done = siplab("call", *options, "--model", "netgear")
    assert done.returncode == 2
    assert "the card 'netgear' has no hypothesis" in done.stderr


def test_unknown_is_neither_green_nor_a_control() -> None:
    result = run(TrialSpec("home", "ubee", "register"))[0]
    assert result.outcome == "unknown"
    assert all(check.passed for check in result.checks)
    assert "ubee" not in {subject.id for subject in plan.subjects(["ubee", "semicolon-loss"])}
    assert plan.not_scored(["ubee", "semicolon-loss"]) == ["ubee"]


def test_results_say_which_device_and_how_well() -> None:
    result = run(TrialSpec("home", "zyxel", "register"))[0]
    (told,) = provenance.vendors(result).values()
    assert told["id"] == "zyxel"
    assert told["evidence"] == "source-code"
    assert "P2812-class" in told["covers"]
    assert told["as_of"] in result.notes[0]
    assert "P2812-class" in result.notes[0]


def test_what_nobody_knows_is_listed() -> None:
    data = vendor_cards.unknown()
    ids = [row["id"] for row in data["routers"]]
    assert ids == [card.id for card in CARDS if card.model == UNKNOWN]
    printed = siplab("vendors", "unknown").stdout
    for card in GUESSING:
        if card.model == UNKNOWN:
            assert f"hypothesis {card.hypotheses[0].id}" in printed
    assert "siplab detect run" in printed


# -- faults on vendors' ALGs -----------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["linux", "broadcom", "fortinet-fortigate", "d-link(variant=alpha)"])
def test_a_fault_stands_on_another_alg(base: str) -> None:
    both = KNOWN.get(f"{base}+semicolon-loss")
    steps = KNOWN.get(base).steps
    assert both.steps[: len(steps)] == steps
    assert len(both.steps) > len(steps)
    with pytest.raises(UsageError, match="the fault is in a step that only the correct ALG has"):
        KNOWN.get(f"{base}+sdp-c-only")


@pytest.mark.parametrize("spec", ["nethserver", "linux-netfilter(variant=shorewall)"])
def test_shorewall_s_setting_takes_any_host_s_media_for_the_phone_s(spec: str) -> None:
    """``sip_direct_media=0``: media of another inside host are expected and translated, too."""
    model = KNOWN.get(spec)
    assert isinstance(model, profiles.Profile)
    assert model.behind is not None
    assert model.behind.parameters["sip_direct_media"] is False
    for each, public in ((model, True), (KNOWN.get("linux"), False)):
        sent = samples.cross(each, "headers-pbx-invite").after
        assert (b"\r\nc=IN IP4 203.0.113.7\r\n" in sent) is public


def test_every_variant_has_a_level_where_it_has_a_model() -> None:
    for card in CARDS:
        for name in (MAIN, *(each.id for each in card.variants)):
            where = card.variant(name)
            model = (where.model if where is not None else None) or card.model
            assert (card.behaviour(name) is None) == (model == UNKNOWN)
