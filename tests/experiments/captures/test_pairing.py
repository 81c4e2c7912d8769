"""Captures of two sides, paired: gaps accuse nobody, rewriting is found, and each message has its own."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest

from siplab.alg_models import catalogue
from siplab.experiments.captures import Datagram
from siplab.experiments.captures.pairing import pair
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from tests.experiments.captures.two_sides import AHEAD, sides, trace_of

SCENARIOS = [
    "register", "outgoing-call", "incoming-call", "hold", "transfer", "message", "re-register", "subscribe",
    "cancel", "call-rejected", "early-media", "late-offer", "tcp-call",
]  # fmt: skip
PHONES = ["", "desk", "linphone", "pjsip"]
Rows = Sequence[Datagram]


def with_gaps(inside: Rows, outside: Rows, rng: random.Random) -> Iterator[tuple[str, Rows, Rows]]:
    """The two captures with something missing: one message, one direction, the begin, the end, both ends."""
    for side, rows in enumerate((inside, outside)):
        both: list[Rows] = [inside, outside]
        for at in range(len(rows)):
            for kind, rest in (
                ("one message", [*rows[:at], *rows[at + 1 :]]),
                ("begin", rows[:at]),
                ("end", rows[at:]),
            ):
                both[side] = rest
                yield kind, both[0], both[1]
        for sender in {each.source.ip for each in rows}:
            both[side] = [each for each in rows if each.source.ip == sender]
            yield "one direction", both[0], both[1]
    for _ in range(12):
        cuts = [sorted(rng.sample(range(len(rows) + 1), 2)) for rows in (inside, outside)]
        yield "middles", inside[slice(*cuts[0])], outside[slice(*cuts[1])]


def accused(scenario: str, phone: str, seed: int) -> tuple[int, list[str]]:
    """Of all gaps in the captures of a clean network how many there are, and which accuse the router."""
    rows = sides(trace_of("none", scenario, phone, seed=seed))
    whole = pair(*rows)
    assert whole.pairs
    assert [whole.missing, whole.strange, whole.changed] == [(), (), []]
    found, tries = [], 0
    for kind, inside, outside in with_gaps(*rows, random.Random(f"{scenario} {phone} {seed}")):
        tries += 1
        pairing = pair(inside, outside)
        if pairing.changed or pairing.made:
            found.append(f"{kind}: {[each.sent.label for each in pairing.changed]}")
    return tries, found


@pytest.mark.parametrize("seed", range(6))
def test_gaps_in_captures_of_clean_networks_accuse_nobody(seed: int) -> None:
    rng = random.Random(seed)
    tries, found = accused(rng.choice(SCENARIOS), rng.choice(PHONES), seed)
    assert tries > 20
    assert found == []


@pytest.mark.deep
def test_no_gap_of_three_thousand_accuses_a_clean_network() -> None:
    results = [accused(scenario, phone, 1) for scenario in SCENARIOS for phone in PHONES]
    assert sum(tries for tries, _ in results) >= 3000
    assert [each for _, found in results for each in found] == []


def rewritten(models: Sequence[str], scenarios: Sequence[str], phones: Sequence[str]) -> list[str]:
    """Where rewriting with one message missing is not found; the models rewrite in every conversation."""
    unseen = []
    for model in models:
        for scenario in scenarios:
            for phone in phones:
                inside, outside = sides(trace_of(model, scenario, phone))
                for at in range(0, len(inside), 3):
                    if not pair([*inside[:at], *inside[at + 1 :]], outside).changed:
                        unseen.append(f"{model} {scenario} {phone} {at}")
    return unseen


def test_rewriting_is_found_though_a_message_is_missing() -> None:
    assert rewritten(["blind-ip-replace"], ["outgoing-call", "register"], ["", "linphone"]) == []


@pytest.mark.deep
def test_blind_rewriting_is_found_in_real_shaped_flows() -> None:
    models = ["blind-ip-replace", "correct", "linux"]
    tries = sum(len(sides(trace_of(m, s, p))[0]) // 3 for m in models for s in SCENARIOS for p in PHONES)
    assert len(rewritten(models, SCENARIOS, PHONES)) <= 0.02 * tries


def paired_as_they_were(model: str, scenario: str) -> list[str]:
    """The messages that are not paired with what the router made of them, or of which it made nothing."""
    trace = trace_of(model, scenario)
    inside, outside = sides(trace)
    truth: dict[tuple[bool, bytes], set[bytes]] = {}
    for passage in trace.passages:
        packet = ip.parse(passage.packet)
        if passage.gateway == "router" and packet.protocol == ip.UDP and not packet.is_fragment:
            left = {
                ip.parse(each.packet).payload for each in passage.emissions if each.side is passage.side.other
            }
            truth.setdefault((passage.side == 0, packet.payload), set()).update(left)
    pairing = pair(inside, outside)
    wrong = [
        each.sent.label
        for each in pairing.pairs
        if each.came.payload not in truth.get((each.sent.outbound, each.sent.payload), set())
    ]
    return wrong + [each.label for each in pairing.missing if truth.get((each.outbound, each.payload))]


@pytest.mark.parametrize("model", ["linux", "sbc-like", "blind-ip-replace", "via-added-proxy"])
def test_each_message_is_paired_with_what_became_of_it(model: str) -> None:
    assert paired_as_they_were(model, "outgoing-call") == []


@pytest.mark.deep
@pytest.mark.parametrize("scenario", ["register", "outgoing-call", "incoming-call"])
def test_all_models_messages_are_paired_with_what_became_of_them(scenario: str) -> None:
    models = [each.id for each in catalogue.load(plugins=False).runnable()]
    assert {model: wrong for model in models if (wrong := paired_as_they_were(model, scenario))} == {}


def test_the_clocks_offset_is_found() -> None:
    pairing = pair(*sides(trace_of("linux", "outgoing-call")))
    assert pairing.offset == pytest.approx(AHEAD, abs=0.2)


def test_another_address_of_the_server_inside_is_no_hindrance() -> None:
    """As with 464XLAT, or a port forwarded to another server."""
    inside, outside = sides(trace_of("none", "outgoing-call"))
    server = "198.51.100.10"

    def moved(each: Endpoint) -> Endpoint:
        return Endpoint("2001:db8:64::a", each.port) if each.ip == server else each

    there = [
        each._replace(source=moved(each.source), destination=moved(each.destination)) for each in outside
    ]
    pairing = pair(inside, there)
    assert len(pairing.pairs) == len({each.payload for each in inside})
    assert [pairing.changed, pairing.missing, pairing.strange] == [[], (), ()]


def test_messages_of_other_clients_of_the_server_are_no_ones_business() -> None:
    inside, outside = sides(trace_of("none", "register"))
    other = [
        each._replace(
            source=Endpoint("203.0.113.99", 5060), payload=each.payload.replace(b";tag=", b";tag=o")
        )
        for each in outside
        if each.source.ip == "203.0.113.7"
    ]
    pairing = pair(inside, [*outside, *other])
    assert [pairing.changed, pairing.strange] == [[], ()]
