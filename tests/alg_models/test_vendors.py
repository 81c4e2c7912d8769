"""The vendors' cards: complete and sourced; wrong ones are refused, with line and field."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from siplab.alg_models import catalogue, profiles, vendors
from siplab.alg_models.profiles import Profile
from siplab.alg_models.samples import cross
from siplab.alg_models.testing import check_example
from siplab.alg_models.vendors.schema import UNKNOWN, VendorProfile, search_key
from siplab.experiments.commands import schemas
from siplab.experiments.trial.run import run
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab import specs
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Evidence
from tools import vendor_table

FOLDER = Path(vendors.__file__).parent
# fmt: off
NAMED_BY_SOURCES = [
    "asus", "avm-fritzbox", "barracuda", "billion", "broadcom-bcm963xx", "bt-home-hub", "check-point",
    "cisco-asa", "cisco-ios", "cisco-rv", "d-link", "dd-wrt", "draytek", "ee-huawei-e5330",
    "fortinet-fortigate", "h3c", "huawei-ar", "huawei-hg633-talktalk", "huawei-hhg2500-vodafone",
    "juniper", "juniper-ssr", "keenetic", "linksys", "linux-netfilter", "microsoft-tmg", "mikrotik",
    "netgear", "nethserver", "openwrt", "opnsense", "palo-alto", "pfsense", "siproxd", "sonicwall",
    "speedtouch", "talktalk", "technicolor-thomson", "tomato", "tozed", "tp-link", "ubee", "ubiquiti",
    "verizon-lte", "virgin-superhub", "vodafone", "vyatta-vyos", "watchguard", "zyxel",
    "zyxel-zywall-usg",
]
WORDS = [
    "fritzbox", "FRITZ!Box", "superhub", "homehub", "dlink", "ddwrt", "e5330", "hg633", "hhg2500",
    "vigor", "srx", "screenos", "routeros", "edgerouter", "unifi", "openmptcprouter", "nethsecurity",
    "vyos", "vyatta", "brocade", "zywall", "usg", "128t", "tmg", "technicolor", "thomson", "tg582",
    "rv042", "fortigate", "linux", "nf_nat_sip", "merlin", "bipac", "firebox",
]
# fmt: on
def cards() -> list[VendorProfile]:
    return [vendors.load(identifier) for identifier in vendors.available()]


def raw(identifier: str) -> dict[str, Any]:
    data = yaml.safe_load((FOLDER / f"{identifier}.yaml").read_text(encoding="utf-8"))
    assert isinstance(data, dict)
    return data


def dicts(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a card, at any depth."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from dicts(each)
    elif isinstance(value, list):
        for each in value:
            yield from dicts(each)


@pytest.fixture(scope="module")
def known() -> catalogue.Catalogue:
    return catalogue.load(plugins=False)


EACH = pytest.mark.parametrize("identifier", vendors.available())


# -- what the cards say ----------------------------------------------------------------------------


def test_every_vendor_of_the_sources_has_a_card() -> None:
    assert set(NAMED_BY_SOURCES) <= set(vendors.available())


@EACH
def test_every_entry_has_a_source_and_a_level(identifier: str) -> None:
    data = raw(identifier)
    entries = [*data.get("claims", []), *data.get("timers", []), *data.get("nat", [])]
    entries += [*data["switch_off"].get("procedures", []), *data["switch_off"].get("workarounds", [])]
    entries += [claim for variant in data.get("variants", []) for claim in variant.get("claims", [])]
    entries += [data["lineage"]] if "lineage" in data else []
    entries += [data["default"]] if data["default"]["state"] != UNKNOWN else []
    for entry in entries:
        assert len(entry["source"]) > 5, entry
        assert entry["evidence"] in {level.value for level in Evidence}, entry
    switch = data["switch_off"]
    if switch["possible"] != UNKNOWN and not switch.get("procedures"):
        assert switch["source"]
        assert switch["evidence"]


@EACH
def test_steps_are_whole(identifier: str) -> None:
    """A comma in an unquoted list of YAML would cut a step in two."""
    profile = vendors.load(identifier)
    switch = profile.switch_off
    steps = [step for row in (*switch.procedures, *switch.workarounds) for step in (*row.steps, *row.check)]
    for text in (*steps, *profile.devices, *profile.aliases):
        assert text.count("(") == text.count(")"), text
        assert not re.match(r"(or|and|where|not|which|but)\b", text), text


@EACH
def test_the_first_articles_are_cited_by_title_and_level(identifier: str) -> None:
    titles = (
        "SIP ALG - Why Does It Need to be Disabled?",
        "What is SIP ALG?",
        "Why SIP ALG is the Hidden VoIP Killer",
    )
    for entry in dicts(raw(identifier)):
        source = entry.get("source", "")
        if entry.get("evidence") == "seed":
            assert any(f'"{each}"' in source for each in titles), entry


@EACH
def test_memory_is_no_level(identifier: str) -> None:
    """Something that is only remembered stands in the notes, with its kind."""
    text = (FOLDER / f"{identifier}.yaml").read_text(encoding="utf-8")
    assert not re.search(r"\b(MEM|INF|REP|SEED\d?|TODO)\b", text)
    assert not re.search(r"\d{3}_[0-9a-f]{16}|/work\b", text)
    for entry in dicts(raw(identifier)):
        for name, value in entry.items():
            if isinstance(value, str) and name != "kind":
                assert "unverified" not in value


@EACH
def test_models_resolve(identifier: str, known: catalogue.Catalogue) -> None:
    for spec in vendors.load(identifier).models:
        assert known.get(spec).id


def test_ids_of_cards_and_models_are_apart(known: catalogue.Catalogue) -> None:
    """``--model`` takes both kinds of ids."""
    assert set(vendors.available()).isdisjoint(model.id for model in known)


@EACH
def test_a_model_of_a_family_stands_on_a_lineage_or_a_claim(identifier: str) -> None:
    """A card with the kernel's ALG has evidence for it: somebody saw it there, or it follows from a claim."""
    card = vendors.load(identifier)
    families = {"linux-gen1": "linux"} | {
        each: each for each in ("linux", "broadcom", "tplink-mt7628", "patch-o-matic")
    }
    family = families.get(specs.parse(specs.split(card.model, "model")[0], "model")[0])
    if family is not None:
        assert card.lineage is not None
        assert card.lineage.of == family
        assert len(card.lineage.source) > 20
    for variant in card.variants:
        if variant.model not in (None, UNKNOWN, "none"):
            assert variant.claims, f"{identifier}, variant {variant.id}: nothing supports its model"


# -- cards as models -------------------------------------------------------------------------------


def profile_of(known: catalogue.Catalogue, spec: str) -> Profile:
    model = known.get(spec)
    assert isinstance(model, Profile)
    return model


@EACH
def test_a_profile_does_what_its_model_does(identifier: str, known: catalogue.Catalogue) -> None:
    card, profile = vendors.load(identifier), profile_of(known, identifier)
    assert [dict(each) for each in profile.variants] == [{"variant": each.id} for each in card.variants]
    specs_of_it = [(identifier, card.model)]
    specs_of_it += [(f"{identifier}(variant={each.id})", each.model or card.model) for each in card.variants]
    for spec, model in specs_of_it:
        one, other = profile_of(known, spec), known.get("none" if model == UNKNOWN else model)
        assert one.id == spec
        assert one.card.summary.endswith(".")
        assert profiles.is_unknown(one) == (model == UNKNOWN)
        assert card.as_of is not None
        assert card.as_of.isoformat() in profiles.note(one) or model == UNKNOWN
        assert (one.card.kind == "profile") == (other.card.kind != "control")
        for name in ("register", "register-ok", "invite", "invite-ok", "incoming-invite", "incoming-ok"):
            assert cross(one, name) == cross(other, name)
        for example in one.card.examples:
            check_example(one, example)


def test_profiles_are_in_no_list(known: catalogue.Catalogue) -> None:
    """The models that they run are in the catalogue already."""
    known.get("draytek")
    assert not {model.id for model in known.runnable()} & set(vendors.available())


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("vigor", "as a vendor's profile it is 'draytek'"),
        ("draytec", "did you mean draytek"),
        ("openwrt(variant=snapshot)", "no variant 'snapshot' (variants: main, with-nathelper-extra"),
        ("mikrotik(variant=main)", "model 'mikrotik' has no parameter 'variant' (parameters: alg, kernel, "),
        (
            "huawei-ar(seconds=3)",
            "model 'huawei-ar' has no parameter 'seconds' (parameters: hypothesis, alg)",
        ),
        ("draytek(sum=3)", "model 'draytek' has no parameter 'sum' (parameters: variant, hypothesis, alg)"),
        ("huawei-ar+port-overflow", "'huawei-ar' can't be combined"),
        ("port-overflow+huawei-ar", "'huawei-ar' can't be combined"),
    ],
)
def test_profiles_that_make_no_sense(spec: str, words: str, known: catalogue.Catalogue) -> None:
    with pytest.raises(UsageError, match=re.escape(words)) as caught:
        known.get(spec)
    assert "\n" not in str(caught.value)


def test_a_profile_takes_the_parameters_of_its_model(known: catalogue.Catalogue) -> None:
    assert known.get("zyxel-zywall-usg").id == "zyxel-zywall-usg"
    changed = profile_of(known, "zyxel-zywall-usg(seconds=30)")
    assert changed.parameters == {"alg": "on", "seconds": 30.0}
    assert changed.steps == known.get("media-idle-blocked(seconds=30)").steps
    assert changed.id == "zyxel-zywall-usg(seconds=30)"
    assert changed.behind is not None
    assert changed.behind.id == "media-idle-blocked(seconds=30)"
    assert (
        "as the model linux(ports=5060 5061,kernel=3.4) (" in known.get("mikrotik(kernel=3.4)").card.summary
    )
    again = changed.with_parameters({"seconds": 40})
    assert again.steps == known.get("media-idle-blocked(seconds=40)").steps
    with pytest.raises(UsageError, match="parameter 'seconds'"):
        known.get("zyxel-zywall-usg(seconds=-1)")
    tozed = profile_of(known, "tozed(variant=silent)")
    assert tozed.parameters == {"variant": "silent", "alg": "on", "proxy": "silent"}
    assert (
        tozed.with_parameters({"proxy": "relays"}).steps == known.get("port5060-hijack(proxy=relays)").steps
    )
    both = known.get("zyxel-zywall-usg+semicolon-loss")
    assert both.steps == known.get("media-idle-blocked(seconds=300)+semicolon-loss").steps


def test_results_say_that_a_router_is_unknown() -> None:
    unknown = run(TrialSpec("home", "huawei-ar", "register"))[0]
    assert unknown.outcome == "unknown"
    (note,) = unknown.as_json()["notes"]
    assert note.startswith("'huawei-ar' is unknown: ")
    assert "runs as a router without one" in note
    (note,) = run(TrialSpec("home", "draytek", "register"))[0].notes
    assert "; draytek(variant=vigor-2750-2130) can run; draytek(hypothesis=first) can run as a guess" in note
    assert "notes" not in run(TrialSpec("home", "none", "register"))[0].as_json()
    (note,) = run(TrialSpec("home", "dd-wrt", "register"))[0].notes
    assert note.startswith("'dd-wrt' runs none, known by seed, as of ")


def test_words_on_cards_are_told_apart() -> None:
    found = vendors.index(cards())
    assert len(found) == sum(len(card.search_keys) for card in cards())


@pytest.mark.parametrize(
    ("identifier", "commands"),
    [
        ("asus", ["nvram set nf_sip=0", "nvram commit"]),
        ("draytek", ["sys sip_alg 0", "sys commit"]),
        ("draytek", ["kmodule_ctl nf_nat_sip disable", "kmodule_ctl nf_conntrack_sip disable"]),
        ("fortinet-fortigate", ["config voip profile", "config sip", "set status disable", "end"]),
        ("juniper", ["configure", "set security alg sip disable", "commit"]),
        ("speedtouch", ["connection unbind application=SIP port=5060", "saveall"]),
        ("technicolor-thomson", ["connection unbind application=SIP port=5060", "saveall", "exit"]),
        ("ubiquiti", ["set system conntrack modules sip disable", "commit", "save"]),
        ("vyatta-vyos", ["set system conntrack modules sip disable", "commit", "save"]),
        ("zyxel", ["ip nat service sip active 0"]),
        ("cisco-ios", ["no ip nat service sip udp port 5060"]),
        ("mikrotik", ["/ip firewall service-port set sip disabled=yes"]),
    ],
)
def test_commands_letter_by_letter(identifier: str, commands: list[str]) -> None:
    procedures = vendors.load(identifier).switch_off.procedures
    assert any(set(commands) <= set(row.steps) for row in procedures)


# -- finding them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("word", WORDS)
def test_found_by_what_people_call_it(word: str) -> None:
    assert search_key(word) in vendors.load(word).search_keys


def test_loaded_once() -> None:
    assert vendors.load("draytek") is vendors.load("draytek")
    assert vendors.load("vigor") is vendors.load("draytek")
    listed = vendors.available()
    listed.clear()
    assert vendors.available()


@pytest.mark.parametrize(
    ("word", "fix"),
    [("draytec", "draytek"), ("fritzbux", "fritzbox"), ("qqqq", "siplab vendors")],
)
def test_unknown_names(word: str, fix: str) -> None:
    with pytest.raises(UsageError, match=f"unknown vendor '{word}'.*{fix}") as caught:
        vendors.load(word)
    assert "\n" not in str(caught.value)


def test_a_word_that_means_several() -> None:
    with pytest.raises(UsageError, match=r"'link' may be .*d-link.*tp-link; write which one"):
        vendors.load("link")


def test_two_cards_of_one_word_are_refused() -> None:
    twin = vendors.load("draytek").model_copy(update={"id": "drayton"})
    with pytest.raises(UsageError, match="vendors 'draytek' and 'drayton' are both found as 'vigor'"):
        vendors.index([vendors.load("draytek"), twin])


def test_cards_travel_with_the_package() -> None:
    files = {each.name for each in resources.files("siplab.alg_models.vendors").iterdir()}
    assert {f"{identifier}.yaml" for identifier in vendors.available()} <= files
    assert len(vendors.available()) >= 50


# -- broken cards ----------------------------------------------------------------------------------

CARD = """\
id: acme
name: Acme
aliases: [roadrunner]
model: none
claims:
  - text: It has no ALG.
    source: Acme 3000 manual
    evidence: vendor-documentation
default:
  state: absent
  source: Acme 3000 manual
  evidence: vendor-documentation
switch_off:
  possible: "yes"
  procedures:
    - for: Acme 3000
      kind: cli
      steps: [no sip alg]
      source: Acme 3000 manual
      evidence: seed
timers:
  - {name: udp, seconds: 60, source: Acme 3000 manual, evidence: capture}
"""


def card(path: Path, text: str = CARD, name: str = "acme") -> str:
    file = path / f"{name}.yaml"
    file.write_text(text)
    return str(file)


def test_a_card_of_ones_own(tmp_path: Path) -> None:
    profile = vendors.load(card(tmp_path))
    assert (profile.id, profile.models) == ("acme", ("none",))
    assert profile.evidence == (Evidence.VENDOR_DOCUMENTATION, Evidence.CAPTURE, Evidence.SEED)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("id: acme", "id: acne", 1, ["'id'", "'acne'", "'acme'"]),
        ("id: acme", "id: Acme Inc", 1, ["'id'"]),
        ("name: Acme\n", "name: ''\n", 2, ["'name'"]),
        ("name: Acme\n", "names: Acme\n", 1, ["'name'", "required"]),
        ("[roadrunner]", "[roadrunner, Road-Runner]", 3, ["'aliases'", "Road-Runner"]),
        ("[roadrunner]", "[A.C.M.E.]", 3, ["'aliases'", "A.C.M.E."]),
        ("model: none", "model: none(", 4, ["'model'", "ID(parameter=value)"]),
        ("model: none", "model: none+", 4, ["'model'", "both sides of '+'"]),
        ("model: none", "model: unknown\ncovers: Much.", 1, ["'covers'", "unknown"]),
        ("timers:", "variants: [{id: main, summary: All.}]\ntimers:", 21, ["'variants'", "'main'"]),
        ("    source: Acme 3000 manual\n    evidence: v", "    evidence: v", 6, ["'claims.0.source'"]),
        ("    evidence: vendor-documentation", "    evidence: MEM", 8, ["'claims.0.evidence'", "seed"]),
        ("state: absent", "state: perhaps", 10, ["'default.state'", "varies"]),
        ("state: absent\n  source: Acme 3000 manual\n", "state: absent\n", 9, ["'default'", "source"]),
        ("state: absent", "state: unknown", 9, ["'default'", "neither"]),
        ('possible: "yes"', 'possible: "no"', 13, ["'switch_off'", "procedures"]),
        ("kind: cli", "kind: rumour", 17, ["'switch_off.procedures.0.kind'", "telnet"]),
        ("steps: [no sip alg]", "steps: []", 18, ["'switch_off.procedures.0.steps'"]),
        ("seconds: 60", "seconds: 0", 22, ["'timers.0.seconds'"]),
        ("seconds: 60", "seconds: soon", 22, ["'timers.0.seconds'"]),
        ("timers:", "timer:", 21, ["'timer'", "unknown field", "timers"]),
        ("    - for: Acme 3000", "    - fur: Acme 3000", 16, ["'switch_off.procedures.0.for'", "required"]),
    ],
)  # fmt: skip
def test_mistakes_are_told_by_file_line_and_field(
    tmp_path: Path, old: str, new: str, line: int, words: list[str]
) -> None:
    assert old in CARD
    file = card(tmp_path, CARD.replace(old, new, 1))
    with pytest.raises(UsageError) as caught:
        vendors.load(file)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{file}:{line}: field "), text
    for word in words:
        assert word in text, (word, text)


def test_a_model_needs_a_claim(tmp_path: Path) -> None:
    text = re.sub(r"claims:\n(  .*\n)+", "", CARD)
    with pytest.raises(UsageError, match="model 'none' needs a claim or a lineage that supports it"):
        vendors.load(card(tmp_path, text))
    assert vendors.load(card(tmp_path, text.replace("model: none", "model: unknown"), "acme")).claims == ()


@pytest.mark.parametrize(("bare", "meant"), [("on", "on"), ("off", "off"), ("yes", "on")])
def test_bare_words_of_yaml_are_understood(tmp_path: Path, bare: str, meant: str) -> None:
    assert (
        vendors.load(card(tmp_path, CARD.replace("state: absent", f"state: {bare}"))).default.state == meant
    )


# -- the schema and the page -----------------------------------------------------------------------


@EACH
def test_cards_survive_a_round_trip(identifier: str) -> None:
    profile = vendors.load(identifier)
    dumped = profile.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert VendorProfile.model_validate(dumped) == profile


@EACH
def test_cards_fit_the_json_schema(identifier: str) -> None:
    try:
        jsonschema = importlib.import_module("jsonschema")
    except ImportError:
        # If there is no validator: check at least that each card has all required fields and no unknown ones.
        schema = schemas.schema("vendor")
        data = raw(identifier)
        assert set(schema["required"]) <= set(data) <= set(schema["properties"])
        for claim in data.get("claims", []):
            fields = schema["$defs"]["Claim"]
            assert set(fields["required"]) <= set(claim) <= set(fields["properties"])
        return
    as_json = json.loads(json.dumps(raw(identifier), default=str))  # YAML has dates, JSON has none
    jsonschema.validate(as_json, schemas.schema("vendor"))


def test_the_page_is_up_to_date() -> None:
    page = vendor_table.PAGE.read_text(encoding="utf-8")
    assert vendor_table.updated(page) == page, "run: python -m tools.vendor_table"
    with pytest.raises(SystemExit, match="marks"):
        vendor_table.updated("a page without them")


def test_the_card_of_the_page_is_valid(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```", vendor_table.PAGE.read_text(), re.MULTILINE | re.DOTALL)
    profile = vendors.load(card(tmp_path, text))
    assert profile.lineage is not None
    assert specs.parse(profile.model, "model") == (UNKNOWN, {})
