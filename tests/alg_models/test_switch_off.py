"""How ALGs are switched off: the file, searching it, and what the lab found about the workarounds."""

from __future__ import annotations

import shlex

import pytest

from siplab.alg_models import switch_off, vendors
from siplab.alg_models.vendors.schema import search_key
from siplab.experiments.output import vendor_off
from siplab.experiments.trial.run import run
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Evidence
from tests.command import siplab

KNOWN = switch_off.load()


@pytest.mark.parametrize("brand", KNOWN.brands, ids=lambda brand: brand.aliases[0])
def test_a_brand_is_found_by_what_people_call_it(brand: switch_off.Brand) -> None:
    for alias in brand.aliases:
        assert KNOWN.brand(alias) is brand
    for each in brand.procedures:
        assert len(each.source) > 5
        assert each.evidence is not Evidence.SEED


def test_brands_and_cards_are_apart() -> None:
    words = {key for each in vendors.available() for key in vendors.load(each).search_keys}
    aliases = [search_key(alias) for each in KNOWN.brands for alias in each.aliases]
    assert len(aliases) == len(set(aliases))
    assert not words & set(aliases)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("ZTE ZXHN", "sendcmd 1 DB set FWALG 0 IsSIPAlg 0"),
        ("sophos", "system system_modules sip unload"),
        ("FRITZ!Box", "siplab call --model semicolon-loss --scenario register --mitigation pseudo-tls"),
        ("draytek", "sys sip_alg 0"),
    ],
)
def test_off_shows_the_commands_whole(name: str, command: str) -> None:
    done = siplab("vendors", "off", name)
    assert done.returncode == 0, done.stderr
    assert command in done.stdout
    assert "ipconfig" in done.stdout
    assert "DMZ" in done.stdout


def test_off_says_what_the_switch_does() -> None:
    data = vendor_off.off("d-link")
    effects = {each["variant"]: each["effect"] for each in data["switches"]}
    assert effects["dir-850l"] == "drops-sip"
    assert effects["alpha"] == "all-flows"


def test_an_unknown_name_is_one_line() -> None:
    with pytest.raises(UsageError, match="unknown vendor 'nobody'"):
        vendor_off.off("nobody")
    with pytest.raises(UsageError, match="write which one"):
        vendor_off.off("link")


OUTCOMES = {"tls": "pass", "ipv6": "pass", "dmz": "fail", "another-router": "pass"}


@pytest.mark.parametrize("name", OUTCOMES)
def test_what_the_lab_found_is_so(name: str) -> None:
    (told,) = (each for each in KNOWN.workarounds if each.name == name)
    words = shlex.split(told.tried)
    options = {flag.removeprefix("--"): value for flag, value in zip(words[2::2], words[3::2], strict=True)}
    remedies = (options.pop("mitigation"),) if "mitigation" in options else ()
    topology = options.pop("topology", "home")
    spec = TrialSpec(topology, options["model"], options["scenario"], mitigations=remedies)
    assert run(spec)[0].outcome == OUTCOMES[name]
