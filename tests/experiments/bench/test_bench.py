"""A router on the bench: kernels and models, unknown to it, are told from each other; cards come back."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import yaml

from siplab.alg_models import samples
from siplab.alg_models.catalogue import load
from siplab.alg_models.vendors.schema import VendorProfile
from siplab.experiments.bench import findings
from siplab.experiments.bench.dhcp import Client, Lease, Server
from siplab.experiments.captures.comparison import Verdict
from siplab.experiments.learning.candidates import Observed, distance
from siplab.experiments.learning.cards import Subject
from siplab.experiments.learning.nat_settings import with_nat
from siplab.experiments.probe_pack import pair_file
from siplab.experiments.probe_pack.script import script
from siplab.lab.gateway.alg import Evidence
from siplab.lab.wire import ip
from siplab.lab.wire.ip import is_private
from siplab.lab.worlds.open_loop import Script, play
from siplab.lab.worlds.pair import Pair
from tests.command import siplab
from tests.conftest import ROOT

STANDIN = Path(__file__).with_name("standin.py")
MACHINE = Path(__file__).with_name("machine.py")
CATALOGUE = load()
# What stands on the bench, and which model does the same to datagrams.
ROUTERS = {
    "masquerade": "none",
    "random-ports": "none",
    "sip-helper": "linux",
    "semicolon-loss": "semicolon-loss",
    "blind-ip-replace": "blind-ip-replace",
}
OTHERS = ("none", "correct", "linux", "semicolon-loss", "sdp-c-only", "blind-ip-replace")
only_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may move network cards")


def _machine(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["unshare", "--net", sys.executable, *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _pairs(kinds: list[str], folder: Path) -> dict[str, Pair]:
    """What the bench saw of routers, side by side."""
    running = {each: _machine(str(STANDIN), each, str(folder / each)) for each in kinds}
    for kind, each in running.items():
        _, said = each.communicate(timeout=240)
        assert each.returncode == 0, f"{kind}: {said}"
    return {each: pair_file.read(folder / each) for each in kinds}


def _datagrams(pair: Pair) -> Pair:
    """Without TCP, in which the kernel's ALG differs from its model in two conversations."""
    return pair.only([each.conversation for each in pair.crossings if each.packet[9] == ip.UDP])


@pytest.mark.needs("emulated", "unshare", "kernel-alg")
@only_root
def test_routers_on_the_bench_are_told_from_each_other(tmp_path: Path) -> None:
    for kind, pair in _pairs(list(ROUTERS), tmp_path).items():
        assert len(pair.crossings) > 50
        seen = with_nat(Observed((_datagrams(pair),)))
        apart = {each: distance(seen, CATALOGUE.get(each)) for each in OTHERS}
        assert [each for each, far in apart.items() if not far] == [ROUTERS[kind]], (kind, apart)


@pytest.mark.deep
@pytest.mark.needs("emulated", "unshare")
@only_root
def test_twenty_models_on_the_bench(tmp_path: Path) -> None:
    known = [each.id for each in CATALOGUE if each.card.kind == "fault"]
    kinds = random.Random(15).sample(known, 20)
    missed = []
    for at in range(0, len(kinds), 4):
        for kind, pair in _pairs(kinds[at : at + 4], tmp_path).items():
            if distance(with_nat(Observed((pair,))), CATALOGUE.get(kind)):
                missed.append(kind)
    assert len(missed) <= 1, missed


@pytest.mark.needs("emulated", "unshare")
@only_root
def test_cards_come_back_when_the_command_is_killed(tmp_path: Path) -> None:
    machine = _machine(str(MACHINE), "masquerade", str(tmp_path), "kill")
    told, said = machine.communicate(timeout=180)
    assert machine.returncode == 0, said
    seen = json.loads(told)
    assert (seen["during"], seen["status"]) == ({}, -9), (tmp_path / "said").read_text()
    assert seen["after"] == seen["before"]
    assert ["192.0.2.0/24", "10.9.0.1"] in seen["after"]["lan0"][3]
    assert ["default", "10.9.1.1"] in seen["after"]["wan0"][3]


@pytest.mark.deep
@pytest.mark.needs("emulated", "unshare")
@only_root
def test_the_command_ends_with_a_verdict_a_model_and_a_card(tmp_path: Path) -> None:
    machine = _machine(
        str(MACHINE), "semicolon-loss", str(tmp_path), "--name", "Acme R1", "--firmware", "1.2"
    )
    told, said = machine.communicate(timeout=1800)
    assert machine.returncode == 0, said
    seen, text = json.loads(told), (tmp_path / "said").read_text()
    assert seen["status"] == 1, text
    assert seen["after"] == seen["before"]
    assert "it does as semicolon-loss" in text
    out = tmp_path / "out"
    card = VendorProfile.model_validate(yaml.safe_load((out / "card.yaml").read_text()))
    assert card.model == "semicolon-loss"
    assert load([out / "router.py"], plugins=False).get("learnt-acme-r1")
    done = siplab("learn", str(out / "lan.pcapng"), str(out / "wan.pcapng"), "--depth", "1")
    assert done.returncode == 0, done.stderr


def test_what_the_bench_found_becomes_a_model_and_a_card(tmp_path: Path) -> None:
    pack = script(5.0)
    pair = play(Script(pack.conversations[::12]), samples.gateway_for(CATALOGUE.get("semicolon-loss")))
    captures = [tmp_path / "lan.pcapng", tmp_path / "wan.pcapng"]
    for each in captures:
        each.write_bytes(each.name.encode())
    found = findings.found_in(pair, [], tmp_path / "pack.pair.json", depth=1)
    assert found.verdict is Verdict.ALG
    subject = Subject("Acme R1", "1.2", date(2026, 11, 28), tuple(captures))
    model, path = findings.write(found, tmp_path, subject)
    card = VendorProfile.model_validate(yaml.safe_load(path.read_text()))
    assert card.id == "acme-r1"
    assert {each.evidence for each in card.claims} == {Evidence.CAPTURE}
    for part in ("2026-11-28", "firmware 1.2", "lan.pcapng sha256:"):
        assert part in card.claims[0].source
    assert card.default.state == card.switch_off.possible == "unknown"
    assert distance(found.learnt.observed, load([model], plugins=False).get("learnt-acme-r1")) == 0


def test_a_lease_is_asked_for_and_given() -> None:
    lease = Lease("203.0.113.7", "255.255.255.0", "203.0.113.1")
    server, client = Server(lease), Client(b"\x02siplb")
    stranger = Client(b"\x02other")
    offer = server.take(client.start())
    assert offer is not None
    assert stranger.take(offer) is None, "an answer to somebody else"
    request = client.take(offer)
    assert request is not None
    assert client.lease is None
    answer = server.take(request)
    assert answer is not None
    assert client.take(answer) is None
    assert client.lease == lease
    assert server.given == b"\x02siplb"
    assert not is_private(client.lease.address)


@pytest.mark.parametrize("junk", [b"", b"E", bytes(300)])
def test_what_is_no_dhcp_is_let_alone(junk: bytes) -> None:
    packet = ip.udp(ip.Endpoint("192.0.2.1", 68), ip.Endpoint("255.255.255.255", 67), junk)
    server = Server(Lease("203.0.113.7", "255.255.255.0", "203.0.113.1"))
    assert server.take(packet) is None
    assert server.take(junk) is None
    assert server.given == b""


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--lan", "lo", "--wan", "lo"), "--lan and --wan are two cards"),
        (("--lan", "a9", "--wan", "b9", "--lan-address", "here"), "--lan-address 'here' is no IPv4 address"),
        (("--lan", "a9", "--wan", "b9", "--lan-router", "10.0.0.1"), "--lan-router goes with --lan-address"),
        (("--lan", "a9", "--wan", "b9"), "this machine has no interface 'a9'"),
    ],
)
@only_root
def test_bad_input_is_one_line(options: tuple[str, ...], complaint: str, tmp_path: Path) -> None:
    done = siplab("bench-router", *options, "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
