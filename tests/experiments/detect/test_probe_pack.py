"""The probe pack between a detection server and its client: what the pair says is what the router did."""

from __future__ import annotations

import json
import random
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siplab.alg_models import catalogue
from siplab.experiments.detect import live_script
from siplab.experiments.detect.live_script import Site, for_sockets
from siplab.experiments.detect.probe_pack import PackRequest, Played, announcement, play, tie_of
from siplab.experiments.detect.script_player import ScriptPlayer
from siplab.experiments.probe_pack import pair_file
from siplab.experiments.probe_pack.script import script
from siplab.lab.errors import UsageError
from siplab.lab.gateway.sides import Side
from siplab.lab.probing.probe_wire import pack, unpack
from siplab.lab.probing.script_desk import LARGEST
from siplab.lab.sip.base import Listen, Send
from siplab.lab.wire import ip
from siplab.lab.worlds.emulated.bubble import Bubble
from siplab.lab.worlds.open_loop import Script
from siplab.lab.worlds.pair import Pair
from tests.command import siplab
from tests.conftest import ROOT
from tests.experiments.detect import packs
from tests.experiments.detect.packs import CONTROL, OWN_CONTROL, PHONE, SERVER, Outcome
from tests.experiments.detect.test_detect import own_loopback, serving

CATALOGUE = catalogue.load()
_WHOLE, _ = for_sockets(script(), Site(PHONE, SERVER, 6060))
_SHORT = Script(_WHOLE.conversations[:3])
_FEW = (100, 125)  # of the conversations
_SOME = random.Random("probe pack").sample([each.id for each in CATALOGUE.runnable()], 3)


def _rows(pair: Pair) -> list[tuple[packs.Seen, tuple[packs.Seen, ...]]]:
    return [
        (packs.seen(each.side, each.packet), tuple(packs.seen(*row) for row in each.left))
        for each in pair.crossings
    ]


def _as_it_was(outcome: Outcome) -> bool:
    """Whether the pair has each packet that entered the router, and all that arrived of those that left."""
    return _rows(outcome.pair) == outcome.passages


# -- simulated -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["none", "options-answered-locally", *_SOME])
def test_a_pair_is_what_the_router_did(model: str) -> None:
    found = packs.simulated(model, *_FEW)
    assert found.problem == ""
    assert len(found.pair.crossings) > 60
    assert {each.side for each in found.pair.crossings} == set(Side)
    assert _as_it_was(found)
    assert found.counts.get("answers withheld", 0) == found.counts.get("too often", 0) == 0


@pytest.mark.parametrize("model", ["record-route-mangled", "semicolon-loss", *_SOME])
def test_the_router_is_in_its_own_tie(model: str) -> None:
    found = packs.simulated(model, 0, 40)
    played = Played("", PHONE, found.pair, len(found.pair.crossings))
    others = [CATALOGUE.get(each) for each in dict.fromkeys((model, "none", "correct", "linux"))]
    tie = tie_of(played, others)
    assert model in [each.id for each in tie.models]
    assert len(tie.models) < len(others) - 1


def test_silences_are_kept() -> None:
    """And the server is told now and then that the script goes on."""
    found = packs.simulated("none", len(_WHOLE.conversations) - 5, len(_WHOLE.conversations))
    rows = [each for each in found.pair.crossings if each.conversation == "silence-185"]
    assert rows[1].at - rows[0].at == pytest.approx(185, abs=1)
    assert _as_it_was(found)
    assert found.counts["questions"] > 2 * len(found.pair.crossings)


def test_what_has_no_time_left_is_left_out() -> None:
    names = [each.name for each in _WHOLE.conversations[-5:]]
    found = packs.simulated("none", len(_WHOLE.conversations) - 5, len(_WHOLE.conversations), limit=60)
    assert (found.problem, found.skipped) == ("", names[1:])
    assert found.pair.conversations == (names[0],)


def test_lost_packets_end_nothing() -> None:
    found = packs.simulated("none", *_FEW, topology="lossy")
    assert found.problem == ""
    assert len(found.pair.crossings) > 60
    assert not all(each.left for each in found.pair.crossings)


def test_nobody_there() -> None:
    assert packs.simulated("none", *_FEW, serve=False).problem == "refused"


# -- hostile servers ----------------------------------------------------------------------------------------


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("198.51.100.10"),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["t", "you", "from", "rows"]), _VALUES), st.binary(max_size=50))
@settings(max_examples=100, deadline=None)
def test_nothing_that_a_server_says_ends_the_player(answer: dict[str, object], noise: bytes) -> None:
    player = ScriptPlayer(_SHORT, OWN_CONTROL, CONTROL, "s", 60.0)
    player.start(0.0)
    player.receive(noise, CONTROL, OWN_CONTROL, 0.0)
    player.receive(pack({"s": "s", "n": 1, "t": "step"} | answer), CONTROL, OWN_CONTROL, 0.0)
    good = pack({"s": "s", "n": 1, "t": "step", "you": ["203.0.113.7", 7], "from": 0, "rows": []})
    actions = player.receive(good, CONTROL, OWN_CONTROL, 0.0)
    assert all(isinstance(each, Listen | Send) for each in actions)
    assert player.over or player.public


def test_another_script_of_this_address_is_said() -> None:
    player = ScriptPlayer(_SHORT, OWN_CONTROL, CONTROL, "s", 60.0)
    (_, question) = player.start(0.0)
    assert isinstance(question, Send)
    asked = unpack(question.payload)
    assert asked is not None
    player.receive(pack({"s": "s", "n": asked["n"], "t": "busy"}), CONTROL, OWN_CONTROL, 0.0)
    assert player.over
    assert "another script from this address" in player.problem


# -- what sockets can play --------------------------------------------------------------------------------


def test_sockets_play_nearly_all_of_the_pack_and_the_rest_is_named() -> None:
    whole = script()
    part, left_out = for_sockets(whole, Site("10.20.30.40", SERVER, 6060))
    assert set(left_out) == {live_script.TCP, live_script.FRAGMENTS, live_script.IPV6, live_script.HOSTS}
    assert len(part.conversations) + sum(left_out.values()) == len(whole.conversations)
    assert len(part.conversations) > 0.9 * len(whole.conversations)
    assert sum(b"SIP/2.0/UDP 10.20.30.40:5060" in step.packet for _, _, step in part.steps()) > 200
    for _, _, step in part.steps():
        packet = ip.parse(step.packet)
        near, far = packet.source, packet.destination
        if step.side is Side.OUTSIDE:
            near, far = far, near
        assert near.ip in ("10.20.30.40", part.public)
        assert far.ip == part.public or (far.ip == SERVER.ip and far.port in (5060, 6060, 40400))
        assert len(packet.payload) <= LARGEST


def test_it_is_said_how_long_it_takes() -> None:
    said = announcement(_WHOLE)
    assert "silences of 40, 65, 185 s at once" in said


# -- real sockets, and the kernel -------------------------------------------------------------------------


def test_on_a_network_without_nat(tmp_path: Path) -> None:
    with serving() as server:
        done = siplab(
            *("detect", "run", server.ip, "--probe-pack", "--timeout", "4", "--json"),
            *("--out", str(tmp_path), "--pcap"),
        )
        last = server.stop()
    assert done.returncode == 0, done.stderr
    assert "packets in about" in done.stderr
    report = json.loads(done.stdout)
    assert (report["format"], report["problem"], report["tie"]) == ("siplab-detect-pack", "", None)
    assert report["skipped"]
    pair = pair_file.read(tmp_path / "probe-pack.pair.json")
    assert not pair.whole
    assert 20 < len(pair.crossings) == report["played"]
    for each in pair.crossings:  # nothing stands between: what was sent arrives as it was
        assert [row[3] for row in (packs.seen(*left) for left in each.left)] == [
            ip.parse(each.packet).payload
        ]
    assert (tmp_path / "probe-pack.pair-inside.pcapng").stat().st_size > 1000
    assert last["packets of scripts"] > 10
    assert last.get("problems", 0) == 0


def test_a_server_that_is_not_there_is_undecided() -> None:
    done = siplab("detect", "run", own_loopback(), "--probe-pack", "--timeout", "2")
    assert done.returncode == 3
    assert "no time was left" in done.stdout


def test_ipv6_is_refused() -> None:
    with pytest.raises(UsageError, match="IPv4"):
        play(PackRequest("::1"))


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("model", ["none", "correct", "record-route-mangled"])
def test_behind_an_emulated_router(model: str, bubble: Bubble) -> None:
    """Packet by packet the same as in the simulated world, and what the router did."""
    found = bubble.call(packs.emulated, model, 0, 20)
    assert found.problem == ""
    assert _as_it_was(found)
    assert _rows(found.pair) == _rows(packs.simulated(model, 0, 20).pair)


@pytest.mark.deep
@pytest.mark.needs("emulated")
@pytest.mark.parametrize("model", ["none", "record-route-mangled"])
def test_the_commands_behind_a_router(model: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "siplab"]
    serve = shlex.join(["registrar=" + command[0], *command[1:], "detect", "serve"])
    arguments = [
        "exec",
        "--model",
        model,
        "--also",
        serve,
        "phone",
        "--",
        *command,
        "detect",
        "run",
        SERVER.ip,
    ]
    done = subprocess.run(
        [*command, *arguments, "--probe-pack", "--timeout", "20", "--json", "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert "{" in done.stdout, done.stderr
    report = json.loads(done.stdout[done.stdout.index("{") : done.stdout.rindex("}") + 1])
    assert model in report["tie"]["models"]
    assert report["tie"]["differing"] < 0.02 * report["tie"]["of"]
