"""Detectors in containers: an image with no tools for it, on a host of the lab, and gone with the lab."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from siplab import topologies
from siplab.experiments.explain.folder import ExplainedFolder
from siplab.experiments.programs import ProgramDetector
from siplab.experiments.trial import runner
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import CapabilityError, UsageError
from siplab.lab.worlds.emulated import containers, keeper
from tests.conftest import ROOT
from tests.experiments.programs import test_confinement
from tests.experiments.programs.test_confinement import GOOD
from tests.waiting import PATIENCE, until

IMAGE = "siplab-test:1"
TOPOLOGY = topologies.load("home")
LABELLED = {"label": keeper.LABEL}


def present(engine: Any) -> list[Any]:
    """The containers of any lab."""
    return list(engine.containers.list(all=True, filters=LABELLED, ignore_removed=True))


def detector(name: str, client: str, timeout: float = 30.0, **more: Any) -> ProgramDetector:
    return ProgramDetector.model_validate(
        {
            "id": name,
            "client": {"image": IMAGE, "command": client, "timeout": timeout},
            "verdict": {"exit": {"clean": 0, "alg": 2, "undecided": 3}},
            **more,
        }
    )


def run(*specs: TrialSpec) -> list[TrialResult]:
    return runner.run_all(specs, world="emulated")


def trial(chosen: ProgramDetector, model: str = "none") -> TrialSpec:
    return TrialSpec("home", model, detector=chosen)


@pytest.mark.needs("emulated", "docker")
def test_a_detector_in_two_containers(engine: Any, tmp_path: Path) -> None:
    chosen = detector(
        "boxes",
        "/detector.sh client {server_ip} {port} {own_ip}",
        server={"image": IMAGE, "command": "/detector.sh server {port}", "ready": {"port": "tcp/5060"}},
    )
    specs = [trial(chosen, model) for model in ("none", "correct", "semicolon-loss", "none")]
    results = runner.run_all(specs, world="emulated", store=ExplainedFolder(tmp_path))
    assert [(each.outcome, each.errors) for each in results] == [
        ("clean", []),
        ("alg", []),
        ("alg", []),
        ("clean", []),
    ]
    assert b"z9hG4bK1" in (tmp_path / "correct__boxes__seed1.pcapng").read_bytes()
    assert present(engine) == []


@pytest.mark.needs("emulated", "docker")
def test_bad_containers_are_errors_and_programs_beside_them_still_run(engine: Any) -> None:
    bad = [
        (detector("hangs", "sleep 600", timeout=0.3), ["still running after 0.3 s"]),
        (detector("missing", "/no/such/program"), ["client could not be started", "/no/such/program"]),
        (detector("fails", "sh -c 'echo no idea >&2; exit 9'"), ["exit status 9", "no idea"]),
        (
            detector("floods", "sh -c 'while :; do echo $(( 10 ** 9 )) $PATH $PATH; done'"),
            ["printed more than"],
        ),
        (
            ProgramDetector.model_validate(
                {"id": "image", "client": {"image": "no-such:1"}, "verdict": {"exit": {"clean": 0}}}
            ),
            ["No such image", "no-such:1", "docker pull"],
        ),
    ]
    # A program of this machine, on a host whose network a container had before.
    native = ProgramDetector.from_options(
        client=f"sh -c '{test_confinement.KNOCK}; ip -o addr | grep -q {{own_ip}}'", clean_exit=0
    )
    results = run(*[trial(each) for each, _ in bad], trial(native))
    for result, (_, words) in zip(results, bad, strict=False):
        assert result.finding is not None
        assert result.finding.verdict == "error", result.finding
        for word in words:
            assert word in result.finding.detail
    assert results[-1].outcome == "clean", results[-1].finding
    assert present(engine) == []


# What a program in a container does to its host's network, if it may.
_BREAKERS = {
    "routes": "ip route del default",
    "addresses": "ip addr flush dev eth0",
    "link": "ip link set eth0 down",
    "settings": "sysctl -w net.ipv4.ip_default_ttl=1",
    "processes": "kill -9 -1",
}


@pytest.mark.needs("emulated", "docker")
def test_no_container_spoils_the_next_trial(
    engine: Any, record_property: Callable[[str, object], None]
) -> None:
    """Without more capabilities it can do nothing; with them the network is thrown away."""
    record_property("tried", 2 * len(_BREAKERS))
    order: list[TrialSpec] = []
    for name, command in _BREAKERS.items():
        for more in ((), ("NET_ADMIN",)):
            chosen = detector(f"{name}{len(more)}", f"sh -c 'busybox {command}; exit 0'")
            client = chosen.client.model_copy(update={"capabilities": more})
            order += [
                trial(chosen.model_copy(update={"client": client})),
                trial(test_confinement.detector(GOOD)),
            ]
    results = run(*order)
    for spec, result in zip(order, results, strict=True):
        assert result.errors == []
        assert result.finding is not None
        if spec.played == "good":
            assert result.finding.verdict == "clean", result.finding
    assert present(engine) == []


@pytest.mark.needs("emulated", "docker")
def test_a_container_that_is_killed_is_named_and_the_run_goes_on(engine: Any) -> None:
    def kill() -> None:
        found = until(lambda: engine.containers.list(filters={"ancestor": IMAGE}), "no container")
        found[0].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    results = run(trial(detector("killed", "sleep 600")), trial(test_confinement.detector(GOOD)))
    killer.join()
    assert [(each.outcome, each.errors) for each in results] == [("error", []), ("clean", [])]
    assert results[0].finding is not None
    assert "ended by SIGKILL" in results[0].finding.detail
    assert present(engine) == []


@pytest.mark.needs("emulated", "docker")
@pytest.mark.parametrize("victim", ["lab", "keeper"])
def test_containers_are_gone_when_the_lab_is_killed(engine: Any, tmp_path: Path, victim: str) -> None:
    experiment = tmp_path / "mine.yaml"
    experiment.write_text(
        "id: mine\nmodels: [none]\ndetectors:\n  id: sleeps\n"
        f"  client: {{image: '{IMAGE}', command: 'sleep 600', timeout: 600}}\n"
        "  verdict: {exit: {clean: 0}}\n"
    )
    command = [
        sys.executable,
        "-m",
        "siplab",
        "run",
        str(experiment),
        "--world",
        "emulated",
    ]
    lab = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        running = {**LABELLED, "status": "running"}
        found = until(
            lambda: len(each := engine.containers.list(filters=running, ignore_removed=True)) == 2 and each,
            "no container began",
        )
        if victim == "keeper":
            # The next keeper removes what the killed one could not.
            keeper_pid = int(found[0].labels["siplab.keeper"].partition("-")[0])
            os.kill(keeper_pid, signal.SIGKILL)
            lab.kill()
            lab.wait(PATIENCE)
            native_image = detector("quick", "sh -c 'busybox nc -w 1 {server_ip} 9; exit 0'")
            assert run(trial(native_image))[0].outcome == "clean"
        else:
            lab.kill()
            lab.wait(PATIENCE)
        until(lambda: not present(engine), "containers outlived the lab")
    finally:
        lab.kill()
        lab.wait(PATIENCE)


# -- where there can be no containers ------------------------------------------------------------------


@pytest.mark.needs("docker")
def test_without_an_engine_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(CapabilityError, match=r"no container engine answers.*DOCKER_HOST") as caught:
        containers.KeeperProcess()
    assert "\n" not in str(caught.value)


def test_an_ordinary_user_is_told_to_be_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    with pytest.raises(CapabilityError, match="container images need root"):
        containers.KeeperProcess()


def test_a_container_knows_no_folders_of_this_machine() -> None:
    chosen = detector("mine", "/detector.sh {here}")
    with pytest.raises(UsageError, match=r"client.command: unknown placeholder '\{here\}'"):
        chosen.check(TOPOLOGY)


@pytest.mark.skipif(platform.system() != "Linux", reason="an executable for Linux")
def test_what_holds_a_network_waits_until_it_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "wait"
    program.write_bytes(keeper.waiter(platform.machine()))
    program.chmod(0o755)
    process = subprocess.Popen([str(program)])
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)
        status = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        assert status[0] == "S"
    finally:
        process.kill()
    assert process.wait(PATIENCE) == -signal.SIGKILL
