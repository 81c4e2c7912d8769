"""Kinds of phones and servers, as a user chooses them, and what they come to."""

from __future__ import annotations

import json
import random
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from siplab.experiments.library import experiment
from siplab.experiments.output import commands
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.worlds.emulated.bubble import Bubble
from tests.command import siplab
from tests.lab.conftest import make_lab
from tests.lab.server.test_server_settings import PRIVATE, SENT_BY, SOURCE, hand_of
from tests.lab.worlds import inside
from tools import endpoint_table

OTHER = b"<sip:alice@203.0.113.9:7>"  # public, and not where she is
PHONES = [each.id for each in registry.phones()]
SERVERS = [each.id for each in registry.servers()]


def run(spec: TrialSpec) -> TrialResult:
    return trial.run(spec)[0]


# -- what a user meets -------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "names"), [("phones", PHONES), ("servers", SERVERS)])
def test_the_lists(command: str, names: list[str]) -> None:
    done = siplab(command, "--json")
    assert done.returncode == 0
    assert [row["id"] for row in json.loads(done.stdout)] == names
    done = siplab(command, "show", names[0])
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 4


def test_a_call_with_both() -> None:
    done = siplab("call", "--world", "simulated", "--model", "none", "--scenario", "register",
        "--phone", "legacy", "--server", "hosted(ping=all)",
    )  # fmt: skip
    assert done.returncode == 0
    assert "phone-legacy" in done.stdout
    assert "server-hosted(ping=all)" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--phone", "legcay"), "unknown phone 'legcay'; did you mean legacy?"),
        (("--server", "hosted(ping=some)"), "server 'hosted', parameter 'ping'"),
        (("--phone", "modern(interval=0)"), "phone 'modern', parameter 'interval'"),
        (("--phone", "plain(x=1)"), "has no parameter 'x'"),
        (("--mitigation", "ipv6"), "has no IPv6 address; use a network with both, such as 'dual-stack'"),
        (("--mitigation", "bridge-mode"), "use one with two, such as 'alg-behind-alg'"),
        (("--topology", "no-nat", "--mitigation", "dmz"), "no NAT is above the phone"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: tuple[str, ...],
    words: str,
) -> None:
    done = siplab("call", "--model", "none", "--scenario", "register", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("siplab: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


def test_an_experiment_with_kinds(tmp_path: Path) -> None:
    file = tmp_path / "kinds.yaml"
    file.write_text(
        "id: kinds\nmodels: [none, correct]\nscenarios: outgoing-call\n"
        "phones: [plain, legacy]\nservers: strict-addresses\nfar_phones: libre\n"
    )
    specs = experiment.load(str(file)).trials()
    assert [(each.phone, each.server, each.far_phone, each.model) for each in specs] == [
        (phone, "strict-addresses", "libre", model)
        for phone in ("plain", "legacy")
        for model in ("none", "correct")
    ]
    done = siplab("run", str(file), "--world", "simulated", "--json", "/dev/null")
    assert done.returncode == 0
    assert "phone legacy, server strict-addresses, far phone libre, with nothing done about it" in " ".join(
        done.stdout.split()
    )
    file.write_text("id: kinds\nmodels: none\nscenarios: register\nphones: [legcay]\n")
    with pytest.raises(UsageError, match="unknown phone 'legcay'"):
        experiment.load(str(file)).trials()


def test_lists_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "short.yaml"
    file.write_text("id: short\nmodels: none\nscenarios: register\nphones: legacy\n")
    server = "proxy-detect(nat_tests=[via-host,via-port])"
    done = siplab("run", str(file), "--world", "simulated", "--phones", "libre,plain",
        "--servers", server, "--servers", "hosted", "--far-phones", "libre",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    out = " ".join(done.stdout.split())
    assert "legacy" not in out
    for phone in ("libre", "plain"):
        for name in (server, "hosted"):
            assert f"phone {phone}, server {name}, far phone libre, with nothing done about it" in out
    done = siplab("run", str(file), "--far-phones", "libre,lbre")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "unknown phone 'lbre'; did you mean libre?" in done.stderr


def test_the_printed_command_plays_the_trial() -> None:
    spec = TrialSpec(
        "nat-full-cone", "correct", "hold(pause=3)", mitigations=("rport",), seed=3,
        phone="spa(keepalive=notify)", server="sbc-hnt(restrict=sdp)", far_phone="polycom",
    )  # fmt: skip
    words = shlex.split(commands.call(spec))
    done = siplab(*words[1:], "--world", "simulated")
    assert done.returncode == 0, done.stderr
    assert spec.name.replace("__", ", ") in " ".join(done.stdout.split())


def test_nothing_named_changes_nothing() -> None:
    bare = TrialSpec("home", "none", "register")
    named = TrialSpec("home", "none", "register", phone="plain", server="rport-aware")
    assert bare.name == "none__register__seed1"
    assert named.name == "none__register__seed1__phone-plain__server-rport-aware"
    row = run(bare).as_json()
    assert "phone" not in row
    assert "server" not in row
    assert run(named).as_json()["phone"] == "plain"


# -- what they come to -------------------------------------------------------------------------------


def test_the_page_has_todays_outcomes() -> None:
    """Some of its cells, others for other kinds; the whole page is tried behind the mark ``deep``."""
    tables = re.findall(
        r"^\| (?:phone|server) \| `.*(?:\n\|.*)+", endpoint_table.PAGE.read_text(), re.MULTILINE
    )
    without, correct, phones, servers = ([_row(line) for line in table.splitlines()] for table in tables)
    assert [row[0] for row in without[2:]] == [row[0] for row in correct[2:]] == PHONES
    assert without[0][1:] == correct[0][1:] == [row[0] for row in servers[2:]] == SERVERS
    assert [row[0] for row in phones[2:]] == PHONES
    rng = random.Random(",".join(PHONES + SERVERS))
    for model, table in (("none", without), ("correct", correct)):
        for row in rng.sample(table[2:], 8):
            at = rng.randrange(1, len(row))
            assert endpoint_table.outcome(row[0], table[0][at], model) == row[at], (row[0], table[0][at])
    for kind, table in (("phone", phones), ("server", servers)):
        for row in rng.sample(table[2:], 4):
            at = rng.randrange(1, len(row))
            assert endpoint_table.behind(table[0][at], kind, row[0]) == row[at], (row[0], table[0][at])


def _row(line: str) -> list[str]:
    return [cell.strip().strip("`") for cell in line.strip("|").split("|")]


@pytest.mark.deep
def test_the_page_has_todays_tables() -> None:
    page = endpoint_table.PAGE.read_text(encoding="utf-8")
    for part in endpoint_table.PARTS:
        assert part.updated(page) == page, "run: python -m tools.endpoint_table"


@pytest.mark.parametrize(
    ("phone", "server", "model", "outcome"),
    [
        # What ALGs were made for.
        ("legacy", "strict-addresses", "none", "not registered"),
        ("legacy", "strict-addresses", "correct", "works"),
        # What is used today needs none.
        ("modern", "hosted", "none", "works"),
        ("modern", "rport-aware", "none", "works"),
        ("stun", "strict-addresses", "none", "works"),
        ("stun", "strict-addresses", "correct", "not registered"),
        ("plain", "rport-aware", "none", "late: no ring"),
    ],
)
def test_who_gets_along(phone: str, server: str, model: str, outcome: str) -> None:
    assert endpoint_table.outcome(phone, server, model) == outcome


def test_stun_is_of_no_use_behind_a_symmetric_nat() -> None:
    spec = TrialSpec("nat-symmetric", "none", "outgoing-call", phone="stun", server="strict-addresses")
    assert run(spec).outcome == "fail"
    spec = TrialSpec("nat-full-cone", "none", "outgoing-call", phone="stun", server="strict-addresses")
    assert run(spec).outcome == "pass"


def test_a_hidden_nat_is_not_kept_alive() -> None:
    late = "incoming-call(idle=70)"
    hidden = TrialSpec("home", "nat-hidden-no-keepalive", late, server="hosted")
    assert run(hidden).outcome == "fail"
    assert run(TrialSpec("home", "none", late, server="hosted")).outcome == "pass"
    remedy = TrialSpec("home", "nat-hidden-no-keepalive", late, server="hosted(ping=all)")
    assert run(remedy).outcome == "pass"


@pytest.mark.parametrize(
    ("detect", "seen"),
    [
        ("both", {"via", "contact"}),
        ("via", {"via"}),
        ("contact", {"contact"}),
        ("always", {"via", "contact", ""}),
    ],
)
def test_what_hosted_takes_for_a_nat(detect: str, seen: set[str]) -> None:
    """Where it sees one, it keeps the phone alive and calls it where its REGISTER came from."""
    settings = registry.servers().get(f"hosted(detect={detect})").settings.server()
    for shows in ("via", "contact", ""):
        hand = hand_of(make_lab, **settings)
        hand.register(
            PRIVATE if shows == "contact" else OTHER, via=b"192.168.1.20" if shows == "via" else SENT_BY
        )
        lab = hand.lab
        lab.net.log.clear()
        lab.net.run(lab.net.now + 26.0)
        pinged = {each.destination for each in lab.net.sent("OPTIONS")}
        lab.net.do(lab.bob, lab.bob.call("alice@lab.test", lab.net.now))
        called = {each.destination for each in lab.net.sent("INVITE") if each.source.ip == "198.51.100.10"}
        assert (SOURCE in pinged, SOURCE in called) == ((shows in seen,) * 2)


def test_a_relay_that_believes_an_sdp_that_looks_true() -> None:
    for latch, outcome in (("always", "pass"), ("untrusted", "fail")):
        spec = TrialSpec("home", "sdp-c-only", "outgoing-call", server=f"hosted(latch={latch})")
        assert run(spec).outcome == outcome


def test_the_forgiving_kinds_are_what_was_measured() -> None:
    """Seen: baresip 1.0 takes a 200 with another Call-ID, Kamailio 5.6 drops a REGISTER without a word."""
    late = TrialSpec("home", "call-id-rewrite", "register")
    assert run(late).outcome == "fail"
    assert run(replace(late, phone="forgiving")).outcome == "pass"
    for server, answered in (("rport-aware", True), ("forgiving", False)):
        trial_of = TrialSpec("home", "semicolon-loss", "register", phone="forgiving", server=server)
        _, trace = trial.run(trial_of)
        assert any(each.payload.startswith(b"SIP/2.0 4") for each in trace.sip()) == answered


def test_compact_names_escape_an_alg_that_does_not_know_them() -> None:
    spec = TrialSpec("home", "compact-form-ignored", "outgoing-call", server="strict-addresses")
    assert run(spec).outcome == "pass"
    spec = TrialSpec(
        "home", "compact-form-ignored", "outgoing-call", phone="compact", server="strict-addresses"
    )
    assert run(spec).outcome == "fail"


@pytest.mark.needs("emulated")
@pytest.mark.parametrize(
    ("phone", "server"),
    [("modern", "hosted"), ("stun", "strict-addresses"), ("legacy", "strict"), ("high-port", "hosted")],
)
@pytest.mark.parametrize("model", ["none", "correct"])
def test_the_worlds_see_the_same(model: str, phone: str, server: str, bubble: Bubble) -> None:
    for scenario in ("outgoing-call", "incoming-call(idle=70)"):
        spec = TrialSpec("home", model, scenario, phone=phone, server=server)
        assert bubble.call(inside.run, spec) == inside.run(spec, emulated=False)
