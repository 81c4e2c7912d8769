"""What holds for every model and every variant, also for future ones."""

from __future__ import annotations

import hashlib
import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from siplab.alg_models.catalogue import load
from siplab.alg_models.samples import all_samples
from siplab.experiments.output import cards
from siplab.experiments.trial import run as trial
from siplab.lab.gateway.alg import Evidence, Model, Showing
from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.gateway import Emission, Gateway, Side
from siplab.lab.gateway.nat_config import NatConfig
from siplab.lab.wire import ip
from siplab.lab.wire.fragments import fragmented
from siplab.lab.wire.icmp import PORT_UNREACHABLE, icmp_echo, icmp_error, is_icmp_error
from siplab.lab.wire.ip import Endpoint

CATALOGUE = load(plugins=False)
MODELS = CATALOGUE.runnable()
IDS = [model.id for model in MODELS]
# Packets per model: few by default, many in the deep tests.
FEW, MANY = 1_000, 10_000
INSIDE, OUTSIDE = Endpoint("192.168.1.20", 5060), Endpoint("198.51.100.10", 5060)
PUBLIC = Endpoint("203.0.113.7", 5060)
ROOT = Path(__file__).parents[2]
# The first writes nothing; the second changes only some inbound packets, and the traffic has few of these.
SILENT = ("pinholes-only", "one-direction-only(leaves=outbound)")


def gateway(model: Model, seed: int = 0) -> Gateway:
    return Gateway(
        model,
        public_ip=PUBLIC.ip,
        inside_networks=["192.168.1.0/24", "2001:db8:1::/64"],
        inside_addresses=["192.168.1.1"],
        nat=NatConfig(),
        rng=random.Random(seed),
    )


def sound(side: Side) -> list[bytes]:
    """Packets that make sense on that side."""
    ends = (INSIDE, OUTSIDE) if side is Side.INSIDE else (OUTSIDE, PUBLIC)
    six = (Endpoint("2001:db8:1::20", 5060), Endpoint("2001:db8:9::10", 5060))
    found = [
        ip.udp(*ends, b"\x80" + b"x" * 60),
        ip.tcp(*ends, seq=0, flags=ip.SYN if side is Side.INSIDE else ip.SYN | ip.ACK, ack=1),
        icmp_echo(ends[0].ip, ends[1].ip, 5060, 1, b"ping", reply=side is Side.OUTSIDE),
        icmp_error(ends[0].ip, PORT_UNREACHABLE, ip.udp(ends[1], ends[0], b"quoted")),
        *fragmented(ip.udp(*ends, b"f" * 2000, dont_fragment=False), identification=3),
    ]
    for message in (each.payload for each in all_samples().values()):
        found.append(ip.udp(*ends, message))
        found.append(ip.tcp(*ends, message, seq=1, ack=1))
        found.append(ip.udp(*(six if side is Side.INSIDE else six[::-1]), message))
    return found


def damaged(rng: random.Random, packet: bytes) -> bytes:
    """A packet with bytes flipped, removed or inserted; its checksums may or may not be corrected."""
    data = bytearray(packet)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(data))
        kind = rng.randrange(5)
        if kind < 3:
            data[at] = data[at] ^ 1 << rng.randrange(8) if kind else rng.choice(b'\0\r\n :;,<>=@"09\xff')
        elif kind == 3:
            del data[at : at + rng.choice((1, 4, 40))]
        else:
            data[at:at] = data[at : at + rng.choice((1, 4, 400))]
        if not data:
            return b""
    if len(data) >= 20 and data[0] >> 4 == 4 and rng.random() < 0.7:
        data[2:4] = len(data).to_bytes(2, "big")
        if data[9] == ip.UDP and len(data) >= 28:
            data[24:26] = (len(data) - 20).to_bytes(2, "big")
    return bytes(data)


def traffic(seed: int, count: int) -> list[tuple[bytes, Side, float]]:
    """Random, damaged and valid packets on both sides, with their times in seconds."""
    rng = random.Random(seed)
    pool = {side: sound(side) for side in Side}
    found: list[tuple[bytes, Side, float]] = []
    now = 0.0
    for _ in range(count):
        side = rng.choice((Side.INSIDE, Side.OUTSIDE))
        now += rng.choice((0.0, 0.001, 1.0, 40.0))
        kind = rng.random()
        packet = rng.choice(pool[side])
        if kind < 0.15:
            packet = rng.randbytes(rng.randrange(120))
        elif kind < 0.85:
            packet = damaged(rng, packet)
        found.append((packet, side, now))
    return found


@cache
def first_of_traffic(count: int) -> list[tuple[bytes, Side, float]]:
    return traffic(1, count)


def run(model: Model, packets: list[tuple[bytes, Side, float]]) -> list[list[Emission]]:
    router = gateway(model)
    return [router.handle(*each) for each in packets]


@pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.deep)])
@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_any_packet_gets_an_answer(model: Model, count: int) -> None:
    router = gateway(model)
    changed = 0
    for packet, side, now in first_of_traffic(count):
        emissions = router.handle(packet, side, now)
        assert emissions
        for each in emissions:
            assert each.side is not None or each.fate is not Fate.FORWARDED
            assert each.error == ""
            changed += each.changed or each.fate is Fate.DROPPED_BY_MODEL
    if model.steps and model.id not in SILENT:
        assert changed, "no message reached the model"


@pytest.mark.parametrize("count", [200, pytest.param(FEW, marks=pytest.mark.deep)])
@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_same_seed_same_bytes(model: Model, count: int) -> None:
    packets = first_of_traffic(count)
    assert run(model, packets) == run(model, packets)


def digest(count: int) -> str:
    """A digest of what all models do with some traffic."""
    total = hashlib.sha256()
    for model in MODELS:
        total.update(repr(run(model, first_of_traffic(count))).encode())
    return total.hexdigest()


@pytest.mark.parametrize(
    ("seed", "count"),
    [("2", 100), *(pytest.param(seed, 300, marks=pytest.mark.deep) for seed in ("1", "2"))],
)
def test_hash_seeds_change_nothing(seed: str, count: int) -> None:
    """Nothing depends on the order of a set."""
    code = (
        "import importlib.util as u, sys\n"
        f"spec = u.spec_from_file_location('whole_catalogue', {str(Path(__file__))!r})\n"
        "module = sys.modules[spec.name] = u.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        f"print(module.digest({count}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == digest(count) + "\n"


@pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.deep)])
@pytest.mark.parametrize("model", [model for model in MODELS if not model.steps], ids=lambda each: each.id)
def test_without_steps_no_payload_changes(model: Model, count: int) -> None:
    packets = first_of_traffic(count)
    for (packet, side, _), emissions in zip(packets, run(model, packets), strict=True):
        for each in emissions:
            assert not each.changed
            if each.side is not side.other:
                continue
            if ip.parse(packet).is_fragment:
                continue
            assert ip.parse(each.packet).payload == ip.parse(packet).payload or is_icmp_error(
                ip.parse(packet)
            )


@pytest.mark.parametrize("model", list(CATALOGUE), ids=lambda each: each.id)
def test_every_card_is_complete(model: Model) -> None:
    card = model.card
    assert card.summary.strip() == card.summary != ""
    assert card.summary.endswith(".")
    assert card.kind in ("control", "fault", "reference-implementation", "profile")
    assert card.examples
    assert all(example.sample in all_samples() for example in card.examples)
    assert card.sources
    for source in card.sources:
        assert source.text.strip()
        assert isinstance(source.evidence, Evidence)
        assert not source.url or source.url.startswith(("http://", "https://"))
    if card.kind == "fault":
        assert card.rules
        assert card.symptom
        assert any(example.before != example.after or example.answer for example in card.examples)


SHOWINGS = [(model, showing) for model in CATALOGUE for showing in model.card.shows]


@pytest.mark.parametrize(
    ("model", "showing"), SHOWINGS, ids=[f"{model.id}-{showing.scenario}" for model, showing in SHOWINGS]
)
def test_a_fault_shows_where_its_card_says(model: Model, showing: Showing) -> None:
    spec = cards.showing_spec(model, showing)
    # If the fault is in a router without an ALG, compare with such a router.
    fixed = trial.run(replace(spec, model="correct" if model.recipe.base else "none"))[0]
    assert fixed.outcome == "pass", fixed.first_failure
    result = trial.run(spec)[0]
    assert result.outcome == "fail"
    assert result.first_failure is not None
    assert result.first_failure.name == showing.fails


def own_failures(model: Model) -> set[str]:
    """The scenarios that a model breaks with any endpoints, without those that the correct ALG breaks."""
    right = {(each.phone, each.server): set(each.breaks) for each in CATALOGUE.get("correct").card.sufferers}
    return {
        scenario
        for each in model.card.sufferers
        for scenario in each.breaks
        if scenario not in right.get((each.phone, each.server), ())
    }


@pytest.mark.parametrize("model", list(CATALOGUE), ids=lambda each: each.id)
def test_a_symptom_shows_or_the_card_says_why_not(model: Model) -> None:
    """Controls have no symptoms."""
    card = model.card
    shown = bool(own_failures(model)) or any(not each.variant for each in card.shows)
    assert (card.kind == "control") + shown + (card.not_shown is not None) == 1


def test_the_docs_name_the_faults_without_a_symptom_in_the_lab() -> None:
    silent = [
        (model.id, model.card.not_shown.text)
        for model in CATALOGUE
        if model.card.kind == "fault" and model.card.not_shown is not None
    ]
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    table = text.partition("## Faults without a symptom in the lab")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", table, re.MULTILINE) == silent


@pytest.mark.parametrize("model", list(CATALOGUE), ids=lambda each: each.id)
def test_every_variant_is_a_model_of_its_own(model: Model) -> None:
    variants = [model.with_parameters(values) for values in model.variants]
    assert len({each.id for each in (model, *variants)}) == 1 + len(variants)
    for each in variants:
        assert each.recipe != model.recipe
        assert each == CATALOGUE.get(each.id)


def test_the_controls_are_there() -> None:
    assert {"none", "correct"} <= {model.id for model in CATALOGUE if model.card.kind == "control"}
    assert len(IDS) == len(set(IDS))
