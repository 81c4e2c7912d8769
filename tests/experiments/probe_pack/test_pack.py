"""The probe pack: its script, its pair files, and what it tells apart."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from siplab.alg_models import catalogue, samples
from siplab.alg_models.catalogue import Catalogue
from siplab.experiments.probe_pack import pair_file, ties
from siplab.experiments.probe_pack.routers import router_of
from siplab.experiments.probe_pack.script import HOUR, script
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Gateway
from siplab.lab.gateway.nat_config import NatConfig, PortAllocation
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.worlds.open_loop import Script, play
from siplab.lab.worlds.pair import Pair
from tests.command import siplab
from tools import distinguish

CATALOGUE = catalogue.load()
# The silences are there for these, an hour for the last; the first two are one thing under two names.
ALIKE = {
    "correct",
    "non5060-ignored(match=server)",
    "call-duration-cap",
    "call-duration-cap(seconds=1800.0)",
    "media-idle-blocked(seconds=300.0)",
}


@pytest.fixture(scope="module")
def pair() -> Pair:
    return play(script(), samples.gateway_for(CATALOGUE.get("correct")))


def test_the_script_has_what_it_says() -> None:
    steps = script().steps()
    packets = [ip.parse(step.packet) for _, _, step in steps]
    assert {step.side for _, _, step in steps} == set(Side)
    assert any(each.is_fragment for each in packets)
    assert any(each.protocol == ip.TCP and not each.payload.endswith(b"\r\n\r\n") for each in packets)
    assert {5060, 5062} <= {each.sport for each in packets if each.src == samples.PHONE.ip}
    assert 185 < script().seconds < 240
    assert HOUR < script(HOUR).seconds < HOUR + 60


def test_no_two_conversations_share_a_call() -> None:
    """What one did would be taken for the other's by a router that knows calls."""
    found: dict[bytes, str] = {}
    for _, conversation, step in script().steps():
        for line in step.packet.split(b"\r\n"):
            if line.startswith(b"Call-ID: ") and b"@192.168" in line:
                assert found.setdefault(line, conversation.name) == conversation.name


def test_a_pair_file_holds_all_of_a_pair(pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "pair.json"
    pair_file.write(path, pair)
    read = pair_file.read(path)
    assert [each[1:] for each in read.crossings] == [each[1:] for each in pair.crossings]
    assert [each.at for each in read.crossings] == pytest.approx([each.at for each in pair.crossings])
    assert (read.public, read.whole) == (pair.public, pair.whole)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("packet", "not Base64!", "crossings.0.packet"),
        ("packet", "QUJ", "packet"),
        ("side", "left", "crossings.0.side"),
        ("at", -1, "crossings.0.at"),
        ("more", 1, "crossings.0.more"),
    ],
)
def test_what_is_no_pair_file_is_refused_in_one_line(
    field: str, value: object, named: str, pair: Pair, tmp_path: Path
) -> None:
    data = pair_file.as_json(pair)
    data["crossings"] = [{**data["crossings"][0], field: value}]
    path = tmp_path / "pair.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UsageError) as caught:
        pair_file.read(path)
    assert str(path) in str(caught.value)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def _gateway(model: Model, allocation: PortAllocation) -> Gateway:
    return Gateway(
        model,
        public_ip=samples.PUBLIC.ip,
        inside_networks=["192.168.1.0/24"],
        inside_addresses=[samples.ROUTER],
        nat=NatConfig(port_allocation=allocation, first_port=20000),
        rng=random.Random(3),
    )


@pytest.mark.parametrize("allocation", list(PortAllocation))
def test_a_model_is_in_its_own_tie_whatever_ports_its_nat_chooses(allocation: PortAllocation) -> None:
    """And others are not: of a seeded sample of the catalogue."""
    some = random.Random(f"tie/{allocation}").sample(CATALOGUE.runnable(), 4)
    seen = play(Script(script().conversations[:100]), _gateway(some[0], allocation))
    others = [*some, CATALOGUE.get("none"), CATALOGUE.get("correct")]
    found = ties.tie(seen, others, samples.gateway_for)
    assert some[0] in found.models
    assert len(found.models) < len(others) / 2


@pytest.mark.deep
def test_the_pack_tells_apart_all_but_these() -> None:
    found = ties.classes(script(), CATALOGUE.runnable(), samples.gateway_for)
    assert [{each.id for each in group} for group in found if len(group) > 1] == [ALIKE]
    assert len(found) >= 125


def test_the_page_says_what_the_pack_tells_apart() -> None:
    """Of a seeded sample; all of it in ``deep``."""
    row = next(line for line in distinguish.PAGE.read_text().splitlines() if "the probe pack |" in line)
    alike = [re.findall(r"`([^`]+)`", group) for group in row.rstrip(" |").rpartition("|")[2].split("; ")]
    apart = [each for each in CATALOGUE.runnable() if not any(each.id in group for group in alike)]
    some = random.Random(15).sample(apart, 6)
    two = alike[0][0], alike[0][-1]
    found = distinguish.groups(script(), [*map(CATALOGUE.get, two), *some])
    assert found == [two, *((each.id,) for each in some)]


@pytest.mark.deep
def test_the_page_is_up_to_date() -> None:
    text = distinguish.PAGE.read_text()
    assert distinguish.updated(text) == text


def test_score_plays_the_pack_and_writes_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = [CATALOGUE.get(each) for each in ("none", "correct", "non5060-ignored(match=server)")]
    monkeypatch.setattr(Catalogue, "runnable", lambda self: list(some))
    done = siplab("score", "--probe-pack", "--models", "correct", "--out", str(tmp_path), "--pcap")
    assert "packets to tell 2 of 3 models and variants apart" in done.stdout
    assert "non5060-ignored(match=server)" in done.stdout
    pair = pair_file.read(tmp_path / "correct.pair.json")
    for side in Side:
        capture = (tmp_path / f"correct.pair-{side.name.lower()}.pcapng").read_bytes()
        assert all(each.packet in capture for each in pair.crossings if each.side is side)
        assert all(row.packet in capture for each in pair.crossings for row in each.left if row.side is side)


def test_a_network_that_the_pack_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="double-nat"):
        router_of("double-nat")
