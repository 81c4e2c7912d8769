"""The mitigations: what each changes, cures and does not cure."""

from __future__ import annotations

import random

import pytest

from siplab import topologies
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.gateway.nat_config import StaticMapping
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.emulated.bubble import Bubble
from siplab.lab.worlds.trace import Passage, Segment, Trace
from tests.lab.worlds import inside
from tools import mitigations as table

ALL = [each.id for each in registry.mitigations()]
LATE = "incoming-call(idle=70)"


def play(topology: str, model: str, scenario: str, *mitigations: str) -> tuple[str, Trace]:
    result, trace = trial.run(TrialSpec(topology, model, scenario, mitigations=mitigations))
    assert result.errors == []
    return result.outcome, trace


def outcome(topology: str, model: str, scenario: str, *mitigations: str) -> str:
    return play(topology, model, scenario, *mitigations)[0]


def test_the_page_has_todays_table() -> None:
    page = table.PAGE.read_text(encoding="utf-8")
    assert table.updated(page) == page, "run: python -m tools.mitigations"


def test_each_cures_something_and_none_everything() -> None:
    rows = [line.split("|")[1:-1] for line in table.PAGE.read_text(encoding="utf-8").splitlines()]
    cells = {row[0].strip(" `"): row[1:] for row in rows if len(row) == len(table.SITUATIONS) + 1}
    for name in ALL:
        assert " **yes** " in cells[name], name
        assert {*cells[name]} != {" **yes** "}, name


@pytest.mark.parametrize("name", ALL)
def test_each_says_what_it_does_not_do(name: str) -> None:
    about = " ".join(registry.mitigations().get(name).about.split()).lower()
    assert "not help" in about or "nothing" in about or "not played" in about
    assert "source: " in about


# Each needs a port, or a transport, that the other one needs too.
TOGETHER = [("old-stun", "stun"), ("old-stun", "turn"), ("fork", "tunnel"), ("tcp-call", "outbound")]


@pytest.mark.parametrize("share", [12, pytest.param(1, marks=pytest.mark.deep)])
def test_every_scenario_goes_with_every_mitigation(share: int) -> None:
    every = [(scenario.id, name) for scenario in registry.scenarios() for name in ALL]
    drawn = random.Random(share).sample(every, len(every) // share)
    specs = [TrialSpec("home", "none", scenario, mitigations=(name,)) for scenario, name in TOGETHER + drawn]
    errors = {spec.name: trial.run(spec)[0].errors for spec in specs if _can_be(spec)}
    assert {name: each for name, each in errors.items() if each} == {}
    assert len(errors) > len(TOGETHER)


def _can_be(spec: TrialSpec) -> bool:
    """Whether the network has what the mitigation needs."""
    try:
        trial.network_of(spec)
    except UsageError:
        return False
    return True


@pytest.mark.parametrize("scenario", ["fork", "long-uptime", "phone-restart"])
def test_a_phone_that_comes_later_has_a_tunnel_too(scenario: str) -> None:
    assert outcome("home", "none", scenario, "tunnel") == "pass"


def test_outbound_over_tcp_pings_with_crlf() -> None:
    """RFC 5626 section 3.5: STUN is for datagrams."""
    ending, trace = play("home", "none", "tcp-call", "outbound")
    assert ending == "pass"
    segments = [each for each in trace if isinstance(each, Segment) and each.host == "phone" and each.leaving]
    assert b"\r\n\r\n" in [ip.parse(each.packet).payload for each in segments]


# -- the network -------------------------------------------------------------------------------------


def test_dmz_and_port_forward_reach_through_every_router() -> None:
    spec = TrialSpec("double-nat", "none", "register", mitigations=("dmz",))
    gateways = trial.network_of(spec).topology.gateways
    assert gateways["router"].nat.dmz_host == "192.168.1.102"
    assert gateways["hub"].nat.dmz_host == "10.0.0.2"
    spec = TrialSpec("double-nat", "none", "register", mitigations=("port-forward",))
    gateways = trial.network_of(spec).topology.gateways
    assert StaticMapping(5060, "192.168.1.102") in gateways["router"].nat.static_mappings
    assert StaticMapping(5060, "10.0.0.2") in gateways["hub"].nat.static_mappings


def test_what_a_router_had_stays() -> None:
    spec = TrialSpec("nat-static-port", "none", "register", mitigations=("port-forward", "dmz"))
    nat = trial.network_of(spec).topology.gateways["router"].nat
    assert [each.port for each in nat.static_mappings] == [5060, 49170, 49171, 49172, 49173]
    assert nat.dmz_host == "192.168.1.102"
    assert topologies.load("nat-static-port").gateways["router"].nat.dmz_host == "", "the file's own stays"


def test_dmz_needs_ports_that_are_kept() -> None:
    assert outcome("home", "none", LATE, "dmz") == "fail"
    assert outcome("home(port_allocation=preserve)", "none", LATE) == "fail"
    assert outcome("home(port_allocation=preserve)", "none", LATE, "dmz") == "pass"


def test_bridge_mode_takes_the_hub_away_and_leaves_the_own_router() -> None:
    hub = "none,hub=via-branch-altered"
    assert outcome("alg-behind-alg", hub, "outgoing-call") == "fail"
    ending, trace = play("alg-behind-alg", hub, "outgoing-call", "bridge-mode")
    assert ending == "pass"
    assert {each.gateway for each in trace if isinstance(each, Passage)} == {"router"}
    assert any(each.source.ip == "203.0.113.7" for each in trace.sip()), "with the hub's public address"
    own = "via-branch-altered,hub=none"
    assert outcome("alg-behind-alg", own, "outgoing-call", "bridge-mode") == "fail"


def test_ipv6_leaves_nothing_to_translate() -> None:
    assert outcome("dual-stack", "blind-ip-replace", "outgoing-call") == "fail"
    ending, trace = play("dual-stack", "blind-ip-replace", "outgoing-call", "ipv6")
    assert ending == "pass"
    assert all(":" in each.source.ip for each in trace.sip())


# -- phones and servers ------------------------------------------------------------------------------


@pytest.mark.parametrize("hiding", ["tls", "pseudo-tls", "non-standard-port", "outbound-proxy"])
def test_an_alg_does_nothing_to_what_it_does_not_see(hiding: str) -> None:
    assert outcome("home", "semicolon-loss", "outgoing-call") == "fail"
    ending, trace = play("home", "semicolon-loss", "outgoing-call", hiding)
    assert ending == "pass"
    changed = [
        emission
        for each in trace
        if isinstance(each, Passage)
        for emission in each.emissions
        if emission.changed
    ]
    assert changed == []


@pytest.mark.parametrize("name", ["tls", "pseudo-tls"])
def test_tls_leaves_nothing_to_read_at_the_router(name: str) -> None:
    _, trace = play("home", "none", "outgoing-call", name)
    assert list(trace.sip()) == []
    _, trace = play("home", "none", "outgoing-call")
    assert list(trace.sip())


def test_the_kind_of_keep_alive_matters() -> None:
    swallowed = "keepalive-crlf-swallowed"
    assert outcome("home", swallowed, LATE, "keep-alive") == "fail"
    assert outcome("home", swallowed, LATE, "keep-alive(method=options)") == "pass"
    assert outcome("home", "none", LATE, "keep-alive(interval=90)") == "fail", "too seldom for 60 s"


def test_mitigations_go_over_the_kind_of_phone() -> None:
    spec = TrialSpec("home", "none", "outgoing-call", phone="legacy", mitigations=("rport", "symmetric-rtp"))
    setup = trial.setup_of(spec, trial.network_of(spec))
    assert setup.phone["rport"] is True
    assert setup.phone["rtp_source_offset"] == 0
    assert trial.run(spec)[0].outcome == "pass"


def test_an_outbound_proxy_stands_on_its_own_host_where_there_is_one() -> None:
    _, trace = play("proxied", "none", "register", "outbound-proxy")
    assert {each.destination.port for each in trace.sip() if each.destination.ip == "198.51.100.5"} == {5090}
    _, trace = play("home", "none", "register", "outbound-proxy")
    asked = {each.destination for each in trace.sip() if each.source.ip == "192.168.1.102"}
    assert asked == {Endpoint("198.51.100.10", 5090)}


@pytest.mark.needs("emulated")
@pytest.mark.parametrize(
    ("topology", "mitigation"),
    [
        *(("home", each) for each in ALL if each not in ("ipv6", "bridge-mode", "firewall-open")),
        ("firewall-no-media", "firewall-open"),
        ("dual-stack", "ipv6"),
        ("alg-behind-alg", "bridge-mode"),
    ],
)
def test_the_worlds_see_the_same(topology: str, mitigation: str, bubble: Bubble) -> None:
    for model in ("none", "blind-ip-replace"):
        spec = TrialSpec(topology, model, "outgoing-call", mitigations=(mitigation,))
        emulated, simulated = bubble.call(inside.run, spec), inside.run(spec, emulated=False)
        if trial.reproducible(spec):
            assert emulated == simulated
        else:
            assert emulated.result["checks"] == simulated.result["checks"]
            assert emulated.result["outcome"] == simulated.result["outcome"] == "pass"
