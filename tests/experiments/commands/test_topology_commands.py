"""``siplab topologies``, ``--topology`` and ``--model`` as a user meets them; what works on which network."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from siplab import topologies
from siplab.experiments.output import drawing
from siplab.experiments.trial import assignment
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.pairs import STRICT
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.wire.sip import SipMessage
from siplab.lab.worlds.trace import Passage
from tests.command import siplab
from tools import topology_table

ROOT = Path(__file__).parents[3]


# -- drawings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", topologies.available())
def test_a_drawing_shows_everybody_and_every_network(name: str) -> None:
    topology = topologies.load(name)
    text, svg = drawing.as_text(topology), drawing.as_svg(topology)
    root = ElementTree.fromstring(svg)
    written = [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")]
    for node, network, address in topology.attachments():
        for words in (node, f"{network} {address}"):
            assert words in text
            assert any(words in each for each in written), words
    for network, spec in topology.networks.items():
        assert drawing.network_label(network, spec) in text
        assert drawing.network_label(network, spec) in written
    assert "href" not in svg, "it needs nothing else"


@pytest.mark.parametrize("name", topologies.available())
def test_nothing_is_drawn_over_something_else(name: str) -> None:
    plan = drawing.layout(topologies.load(name))
    for box in plan.boxes:
        assert box.x >= 0
        assert box.x + box.width <= plan.width
        assert box.y + box.height <= plan.height
        assert box.height == len(box.lines) + 2
        for bar in plan.bars:
            assert not box.y <= bar.y < box.y + box.height
    for one, other in combinations(plan.boxes, 2):
        beside = one.x + one.width <= other.x or other.x + other.width <= one.x
        below = one.y + one.height <= other.y or other.y + other.height <= one.y
        assert beside or below
    # Nor does a line run through somebody else's box.
    for one in plan.boxes:
        ends = [plan.bars[number].y for number in one.bars]
        for other in plan.boxes:
            if other is not one and other.x <= one.x + 3 < other.x + other.width:
                assert max(ends) <= other.y or min(ends) >= other.y + other.height


def test_a_drawing_says_what_is_special() -> None:
    words = {
        "nat-symmetric": "NAT: symmetric",
        "nat-adm-eif": "mapping address-dependent",
        "nat-no-hairpin": "no hairpinning",
        "nat-static-port": "udp 5060 is 192.168.1.102:5060",
        "dmz": "DMZ host 192.168.1.102",
        "cgnat": "ALG: none",
        "home(mtu=1280)": "MTU 1280",
        "home(refresh=both)": "refreshed by both traffic",
        "ipv6": "IPv6 filter: address-and-port-dependent",
        "lossy": "delay 40 ± 15 ms, loss 2 %, reorder 2 %, duplicate 1 %",
    }
    for name, expected in words.items():
        assert expected in drawing.as_text(topologies.load(name)), name


def test_the_whole_of_a_small_drawing() -> None:
    drawn = drawing.as_text(topologies.load("no-nat"))
    assert drawn == (
        "no-nat: A phone on a public address; nothing translates.\n"
        "\n"
        "       access 203.0.113.0/24\n"
        "═════●════════════════════════════●════════════════════════════●══════════════════════\n"
        "     │                            │                            │\n"
        "  ┌──┴────────────────────┐    ┌──┴───────────────────┐     ┌──┴───────────────────┐\n"
        "  │ internet              │    │ phone (phone)        │     │ laptop               │\n"
        "  │ access 203.0.113.1    │    │ access 203.0.113.102 │     │ access 203.0.113.103 │\n"
        "  │ provider 198.51.100.1 │    └──────────────────────┘     └──────────────────────┘\n"
        "  └──┬────────────────────┘\n"
        "     │\n"
        "     │ provider 198.51.100.0/24\n"
        "═════●════════════════════════════●═══════════════════════════════════════════════════\n"
        "     │                            │\n"
        "  ┌──┴─────────────────────┐   ┌──┴─────────────────────┐\n"
        "  │ registrar (server)     │   │ far-phone (far-phone)  │\n"
        "  │ provider 198.51.100.10 │   │ provider 198.51.100.20 │\n"
        "  └────────────────────────┘   └────────────────────────┘\n"
    )


# -- the commands --------------------------------------------------------------------------------------


def test_the_list() -> None:
    done = siplab("topologies", "--json")
    assert done.returncode == 0
    assert [row["id"] for row in json.loads(done.stdout)] == topologies.available()
    done = siplab("topologies")
    assert done.returncode == 0
    assert all(name in done.stdout for name in topologies.available())


def test_show(tmp_path: Path) -> None:
    file = tmp_path / "net.svg"
    done = siplab("topologies", "show", "home(loss=0.5)", "--svg", str(file))
    assert done.returncode == 0
    assert done.stdout == drawing.as_text(topologies.load("home(loss=0.5)"))
    assert file.read_text() == drawing.as_svg(topologies.load("home(loss=0.5)"))
    done = siplab("topologies", "show", "cgnat", "--json")
    assert json.loads(done.stdout)["routers"]["cgn"]["alg"] == "none"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("topologies", "show", "hoem"), "unknown topology 'hoem'; did you mean home?"),
        (("topologies", "show", "home", "--svg", "/no/such/folder/x.svg"), "No such file"),
        (
            ("call", "--topology", "home", "--model", "hub=none", "--scenario", "register"),
            "no gateway 'hub'",
        ),
        (
            ("call", "--topology", "no-nat", "--model", "correct", "--scenario", "register"),
            "topology 'no-nat' has no router that could have the model 'correct': use 'none'",
        ),
        (
            ("call", "--topology", "cgnat", "--model", "none,cgn=no-such", "--scenario", "register"),
            "unknown model 'no-such'",
        ),
        (
            ("call", "--topology", "home(loss=7)", "--model", "none", "--scenario", "register"),
            "parameter 'loss'",
        ),
    ],
)
def test_a_mistake_is_one_line(
    arguments: tuple[str, ...],
    words: str,
) -> None:
    done = siplab(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("siplab: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


@pytest.mark.needs("emulated")
def test_exec_takes_a_model_for_each_gateway() -> None:
    """Programs see the network too, with two gateways and a bad line."""
    done = siplab(
        *("exec", "--topology", "double-nat(delay=0.01)", "--model", "none,hub=correct", "phone"),
        *("--", "sh", "-c", "echo $SIPLAB_REGISTRAR_IP"),
        process=True,
    )
    assert (done.returncode, done.stdout) == (0, "198.51.100.10\n"), done.stderr


# -- which model sits where ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topology", "text", "models"),
    [
        ("home", "correct", {"router": "correct"}),
        (
            "home",
            "semicolon-loss+port-overflow(mode=sum)",
            {"router": "semicolon-loss+port-overflow(mode=sum)"},
        ),
        ("home", "router=correct", {"router": "correct"}),
        ("no-nat", "none", {}),
        ("double-nat", "correct", {"router": "correct", "hub": "none"}),
        ("double-nat", "hub=correct", {"router": "none", "hub": "correct"}),
        ("double-nat", "blind-ip-replace, hub=correct", {"router": "blind-ip-replace", "hub": "correct"}),
        ("alg-behind-alg", "correct", {"router": "correct", "hub": "correct"}),
        ("alg-behind-alg", "correct,hub=none", {"router": "correct", "hub": "none"}),
        ("alg-behind-alg", "hub=a(x=1,y=2)+b", {"router": "none", "hub": "a(x=1,y=2)+b"}),
    ],
)
def test_models_of(topology: str, text: str, models: dict[str, str]) -> None:
    assert assignment.models_of(text, topologies.load(topology)) == models


@pytest.mark.parametrize("text", ["correct,none", "router=,hub=none", "router=none,", "hub=none,,"])
def test_an_assignment_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="is not written SPEC or GATEWAY=SPEC"):
        assignment.models_of(text, topologies.load("double-nat"))


def test_each_gateway_does_what_its_model_does() -> None:
    changing = {}
    for model in ("correct", "hub=correct", "correct,hub=correct"):
        result, trace = trial.run(TrialSpec("double-nat", model, "register"))
        assert result.outcome == "pass"
        changing[model] = {
            each.gateway
            for each in trace
            if isinstance(each, Passage) and any(emission.changed for emission in each.emissions)
        }
    # The inner router's public address is an inside one to the hub.
    assert changing == {
        "correct": {"router"},
        "hub=correct": {"hub"},
        "correct,hub=correct": {"router", "hub"},
    }


def test_trials_on_other_networks_have_other_names() -> None:
    assert TrialSpec("home", "none", "register").name == "none__register__seed1"
    assert TrialSpec("lossy", "none", "register").name == "lossy__none__register__seed1"
    assert TrialSpec("/tmp/x/mine.yaml", "none", "register").name == "mine__none__register__seed1"


# -- an outbound proxy ---------------------------------------------------------------------------------


def test_the_outbound_proxy_is_honest() -> None:
    """It adds its Via, counts Max-Forwards down, and shows the phone its own Contact."""
    result, trace = trial.run(TrialSpec("proxied", "none", "register"))
    assert result.outcome == "pass"
    messages = [(each.tap, each.leaving, SipMessage.parse(each.payload)) for each in trace.sip()]
    sent = next(m for tap, leaving, m in messages if (tap, leaving) == ("phone", True))
    relayed = next(m for tap, leaving, m in messages if (tap, leaving) == ("registrar", False))
    assert int(relayed.value(b"max-forwards") or 0) == int(sent.value(b"max-forwards") or 0) - 1
    assert len(relayed.all(b"via")) == len(sent.all(b"via")) + 1
    assert relayed.body == sent.body
    answers = [m for tap, leaving, m in messages if (tap, leaving) == ("phone", False)]
    assert [m.status for m in answers] == [401, 200]
    assert all(len(m.all(b"via")) == 1 for m in answers)
    assert b"alias" not in (answers[-1].value(b"contact") or b"")
    assert not any(b"siplab-proxy" in (m.value(b"server") or b"") for m in answers)


@pytest.mark.parametrize("scenario", ["outgoing-call", "incoming-call"])
@pytest.mark.parametrize("topology", ["proxied", "branch-sbc"])
def test_the_phone_speaks_to_the_outbound_proxy_alone(topology: str, scenario: str) -> None:
    result, trace = trial.run(TrialSpec(topology, "none", scenario))
    assert result.outcome == "pass", result.first_failure
    (proxy,) = (h.address for h in topologies.load(topology).hosts.values() if h.role == "outbound-proxy")
    met = {each.destination.ip for each in trace.sip() if each.tap == "phone" and each.leaving}
    assert met == {proxy}


# -- what works where ----------------------------------------------------------------------------------


def test_the_table_of_what_works_is_up_to_date() -> None:
    page = topology_table.PAGE.read_text(encoding="utf-8")
    assert topology_table.updated(page) == page, "run: python -m tools.topology_table"
    with pytest.raises(SystemExit, match="the marks around the table are missing"):
        topology_table.updated("a page without them")


def test_a_failure_needs_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topology_table, "REASONS", ())
    with pytest.raises(SystemExit, match="without a known reason"):
        topology_table.table()


def test_every_reason_is_used_and_true() -> None:
    page = topology_table.PAGE.read_text(encoding="utf-8")
    assert all(each.text in page for each in topology_table.REASONS)
    for model, outcome in (("correct,far-router=correct", "pass"), ("correct", "fail")):
        for scenario in ("outgoing-call", "incoming-call"):
            spec = TrialSpec("two-sites", model, scenario).between(STRICT)
            assert trial.run(spec)[0].outcome == outcome


def test_the_page_names_every_topology() -> None:
    text = topology_table.PAGE.read_text(encoding="utf-8").partition("<!-- the table is made by")[0]
    for name in topologies.available():
        assert f"`{name}`" in text, name


def test_the_files_on_the_page_are_right(tmp_path: Path) -> None:
    text = topology_table.PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for number, block in enumerate(blocks):
        file = tmp_path / f"{number}.yaml"
        file.write_text(block)
        assert topologies.load(str(file)).summary
