"""Containers in the place of hosts and of the router: a registrar and a phone around an ALG, and an ALG."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from siplab.experiments.explain.folder import ExplainedFolder
from siplab.experiments.trial import runner
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.gateway.sides import Side
from siplab.lab.media.audio import tone, write_wav
from siplab.lab.wire import ip
from siplab.lab.worlds.emulated import keeper
from siplab.lab.worlds.emulated.capability import obstacle
from siplab.lab.worlds.image_spec import ImageSpec
from siplab.lab.worlds.topology import Topology
from siplab.lab.worlds.trace import Passage
from tests.command import interrupted, siplab
from tests.waiting import PATIENCE, until

DATA = Path(__file__).parents[2] / "data" / "containers"
BOXES, ROUTER = str(DATA / "boxes.yaml"), str(DATA / "router.yaml")
REGISTER = ("call", "--topology", ROUTER, "--model", "none", "--scenario", "register")


class Up:
    """A lab that is up with containers in it."""

    def __init__(self, folder: Path) -> None:
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "siplab", "up", BOXES, "--model", "correct"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=self.environment,
            text=True,
        )
        assert self.process.stderr is not None
        self.greeting = self.process.stderr.readline()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        if arguments[0] != "exec":  # which has the real standard output written to
            return siplab(*arguments, XDG_RUNTIME_DIR=self.environment["XDG_RUNTIME_DIR"])
        return subprocess.run(
            [sys.executable, "-m", "siplab", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def close(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def up(engine: Any, tmp_path: Path) -> Iterator[Up]:
    (tmp_path / "run").mkdir()
    made = Up(tmp_path / "run")
    yield made
    made.close()


def labelled(engine: Any) -> list[Any]:
    return list(engine.containers.list(all=True, filters={"label": keeper.LABEL}, ignore_removed=True))


@pytest.mark.needs("emulated", "docker", "kamailio", "sipsak")
def test_a_registrar_and_a_phone_around_an_alg(up: Up, engine: Any, tmp_path: Path) -> None:
    assert "the lab 'lab' is up" in up.greeting
    until(lambda: "registered" in up.run("logs", "phone").stdout, "the phone does not register")
    # The ALG between them wrote the router's address into Contact.
    assert "taken: sip:alice@203.0.113.7:" in up.run("logs", "registrar").stdout
    status = up.run("status").stdout
    assert "container on registrar: siplab-registrar:1, runs" in status
    assert "container on phone: siplab-phone:1, runs" in status

    # Files out and in.
    assert up.run("copy", "registrar:/etc/kamailio/kamailio.cfg", str(tmp_path)).returncode == 0
    assert (tmp_path / "kamailio.cfg").read_text() == (DATA / "kamailio.cfg").read_text()
    (tmp_path / "note").write_text("seen\n")
    assert up.run("copy", str(tmp_path / "note"), "phone:/tmp").returncode == 0
    (tmp_path / "back").mkdir()
    assert up.run("copy", "phone:/tmp/note", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back" / "note").read_text() == "seen\n"

    # One more, for a moment, on a host that was none.
    done = up.run(
        *("exec", "--lab", "lab", "--image", "siplab-phone:1", "laptop", "--"),
        *("sh", "-c", "cat /etc/hosts; sipsak -s sip:lab.test && echo answered >&2; exit 7"),
    )
    assert (done.returncode, done.stderr.strip()) == (7, "answered")
    assert "192.168.1.102\tphone" in done.stdout

    for arguments, complaint in [
        (("logs", "laptop"), "no container on 'laptop'; there are registrar, phone"),
        (("copy", "phone:/none", str(tmp_path)), "Could not find the file /none"),
        (("copy", "a", "b"), "write: siplab copy HOST:/PATH FOLDER"),
        (("exec", "--lab", "lab", "--image", "none:1", "laptop"), "docker pull"),
    ]:
        refused = up.run(*arguments)
        assert refused.returncode == 2
        assert complaint in refused.stderr
        assert refused.stderr.count("\n") == 1

    assert len(labelled(engine)) == 5  # two hosts' and what holds three networks
    up.process.send_signal(signal.SIGKILL)
    until(lambda: not labelled(engine), "containers outlived the lab")


@pytest.mark.needs("emulated", "docker", "kamailio", "sipsak")
def test_a_scenario_with_a_server_in_a_container(engine: Any, tmp_path: Path) -> None:
    """The lab's phones call each other by way of it; who takes no orders can't be a scenario's phone."""
    server_only = tmp_path / "server.yaml"
    text = (DATA / "boxes.yaml").read_text().replace("kamailio.cfg}", f"{DATA / 'kamailio.cfg'}}}", 1)
    begin, end = text.index("    image:\n      name: siplab-phone"), text.index("  laptop:")
    server_only.write_text(text[:begin] + text[end:])
    called, known, phone = runner.run_all(
        [
            TrialSpec(str(server_only), "correct", scenario="outgoing-call"),
            TrialSpec(str(server_only), "none", scenario="register"),
            TrialSpec(BOXES, "none", scenario="register"),
        ],
        world="emulated",
        store=ExplainedFolder(tmp_path / "out"),
    )
    assert called.errors == []
    assert all(check.passed for check in called.checks), called.checks
    assert known.not_applicable == "the image on registrar can't be asked where a user is"
    assert phone.not_applicable == "the image on phone takes no orders, as a phone of a scenario must"
    (kept,) = (tmp_path / "out").glob("*outgoing-call*.programs/registrar/kamailio/kamailio.cfg")
    assert kept.read_text() == (DATA / "kamailio.cfg").read_text()
    assert b"taken:" in (kept.parents[1] / "stderr").read_bytes()
    assert labelled(engine) == []


@pytest.mark.needs("emulated", "docker", "baresip")
def test_a_phone_in_a_container_plays_its_role(engine: Any, tmp_path: Path) -> None:
    """It registers, calls, holds and hangs up by the lab's orders."""
    own = shutil.copytree(DATA, tmp_path / "containers")
    frames = tone(440).frames
    write_wav(own / "baresip" / "tone.wav", (frames[at % len(frames)] for at in range(50 * 60)))
    topology = str(own / "baresip.yaml")
    held, refused, second = runner.run_all(
        [
            TrialSpec(topology, "none", scenario="hold(pause=2)"),
            TrialSpec(topology, "semicolon-loss", scenario="register"),
            TrialSpec(topology, "none", scenario="register", mitigations=("outbound-proxy",)),
        ],
        world="emulated",
    )
    assert held.errors == []
    assert {each.name: each.detail for each in held.checks if not each.passed} == {}
    assert {"caller hears before", "callee hears before"} <= {each.name for each in held.checks}
    assert (refused.outcome, refused.errors) == ("fail", []), refused.checks
    assert second.not_applicable == "the image on phone is not told of another server"
    assert labelled(engine) == []


@pytest.mark.needs("emulated", "docker", "sipsak")
def test_an_image_for_a_moment(engine: Any, tmp_path: Path) -> None:
    """In a lab of its own, with the lab's server; its exit status and its output are siplab's."""
    trace = tmp_path / "trace.jsonl"
    words = ("sh", "-c", "sipsak -s sip:$SIPLAB_REGISTRAR_IP && echo answered; exit 5")
    options = ("--image", "siplab-phone:1", "--with", "server", "--model", "correct", "--trace", str(trace))
    done = siplab("exec", *options, "phone", "--", *words)
    assert (done.returncode, done.stdout) == (5, "answered\n"), done.stderr
    assert trace.read_text().count('"passage"') >= 2  # the request and its answer crossed the router
    assert labelled(engine) == []

    # Ctrl-C is for the program.
    waiting = ("sh", "-c", "trap 'exit 7' INT; echo begun; while :; do sleep 0.1; done")
    status, said = interrupted("exec", "--image", "siplab-phone:1", "phone", "--", *waiting)
    assert status == 7, said
    nothing = siplab("exec", "phone")
    assert (nothing.returncode, nothing.stderr.count("\n")) == (2, 1)
    assert "name a program to run" in nothing.stderr


@pytest.mark.needs("emulated", "docker", "iptables-nft")
def test_a_router_in_a_container(engine: Any) -> None:
    """It translates by itself; the taps on its two sides are the trace."""
    with pytest.raises(UsageError, match="no router that could have the model 'correct'"):
        runner.run_traced(TrialSpec(ROUTER, "correct", scenario="register"), "emulated")
    result, trace = runner.run_traced(TrialSpec(ROUTER, "none", scenario="register"), "emulated")
    assert result.errors == []
    assert all(check.passed for check in result.checks), result.checks
    first = next(each for each in trace.records if isinstance(each, Passage))
    (left,) = first.emissions
    assert (first.gateway, first.side, left.side) == ("router", Side.INSIDE, Side.OUTSIDE)
    assert ip.parse(first.packet).src == "192.168.1.102"
    assert ip.parse(left.packet).src == "203.0.113.7"
    assert labelled(engine) == []


@pytest.mark.needs("emulated", "docker", "iptables-nft")
def test_one_that_does_not_get_ready_is_told(engine: Any, tmp_path: Path) -> None:
    text = (DATA / "router.yaml").read_text()
    slow = text.replace("command:", "timeout: 0.5\n      command:").replace("touch /ready", "true")
    cases = {
        "slow": (slow, "its HEALTHCHECK says 'starting'"),
        "ends": (text.replace("touch /ready", "exit 3"), "exit status 3"),
        "none": (text.replace("siplab-router:1", "no-such:1"), "docker pull"),
    }
    specs = []
    for name, (changed, _) in cases.items():
        assert changed != text
        (tmp_path / f"{name}.yaml").write_text(changed)
        specs.append(TrialSpec(str(tmp_path / f"{name}.yaml"), "none", scenario="register"))
    for result, (_, words) in zip(runner.run_all(specs, world="emulated"), cases.values(), strict=True):
        assert any(words in each and "the image on router" in each for each in result.errors), result.errors
    assert labelled(engine) == []


# -- what is said without an engine ----------------------------------------------------------------------


def test_a_drawing_names_the_images() -> None:
    for topology, names in ((BOXES, ["siplab-registrar:1", "siplab-phone:1"]), (ROUTER, ["siplab-router:1"])):
        shown = siplab("topologies", "show", topology).stdout
        assert all(f"image {name}" in shown for name in names), shown


def test_images_need_the_emulated_world() -> None:
    done = siplab(*REGISTER, "--world", "simulated")
    assert done.returncode == 2
    assert "needs the emulated world" in done.stderr


@pytest.mark.skipif(obstacle() is not None, reason="no emulated world here")
def test_an_ordinary_user_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    done = siplab(*REGISTER, "--world", "emulated")
    assert done.returncode == 2
    assert done.stderr.startswith("siplab: container images need root")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("node", "complaint"),
    [
        ({"name": ""}, "at least 1 character"),
        ({"name": "a", "command": 'x "'}, "not a command line"),
        ({"name": "a", "files": {"etc/x": "x"}}, "must be the path of a file in the container"),
        ({"name": "a", "keep": ["/a/../../b"]}, "must be the path of a file in the container"),
        ({"name": "a", "ready": "5060"}, "match pattern"),
        ({"name": "a", "port": 1}, "Extra inputs"),
        ({"name": "a", "kind": "baresip"}, "match pattern"),
    ],
)
def test_a_bad_image_is_told(node: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ImageSpec.model_validate(node)


def test_an_image_is_a_gateway_or_a_host_and_has_no_model() -> None:
    networks = {"lan": {"subnet": "10.0.0.0/24"}, "wan": {"subnet": "10.0.1.0/24"}}
    base: dict[str, Any] = {"id": "x", "summary": "x", "networks": networks, "hosts": {}}
    sides = {"inside": {"lan": "10.0.0.1"}, "outside": {"wan": "10.0.1.1"}}
    made = Topology.model_validate({**base, "routers": {"box": {**sides, "image": "name:1"}}})
    assert made.images == {"box": ImageSpec(name="name:1")}
    own: list[tuple[dict[str, Any], str]] = [
        ({"alg": "none"}, "no 'alg' here"),
        ({"nat": {"hairpinning": False}}, "no 'nat'"),
    ]
    for more, complaint in own:
        with pytest.raises(ValueError, match=complaint):
            Topology.model_validate({**base, "routers": {"box": {**sides, "image": "name:1", **more}}})
    plain = {"interfaces": {"lan": "10.0.0.1", "wan": "10.0.1.1"}, "image": "name:1"}
    with pytest.raises(ValueError, match="needs 'inside' and 'outside'"):
        Topology.model_validate({**base, "routers": {"box": plain}})
