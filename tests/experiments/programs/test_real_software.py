"""docs/real-software.md: its commands and its file run as they stand."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from siplab.experiments.output.schemas import TrialRow
from siplab.experiments.programs import kinds
from siplab.experiments.programs.endpoints.folder import rendered
from siplab.experiments.programs.endpoints.stage import ProgramStage
from siplab.experiments.trial import run as trial
from siplab.experiments.trial import runner
from siplab.experiments.trial.roles import NotApplicableError
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.gateway.sides import Side
from siplab.lab.worlds.trace import Sent
from tests.command import siplab
from tests.conftest import OrdinaryUser

PAGE = (Path(__file__).parents[3] / "docs" / "real-software.md").read_text()
BARESIP = "program:baresip"


def the_file(folder: Path) -> Path:
    """The YAML file of the page."""
    found = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    path = folder / "sipsak.yaml"
    path.write_text(found[1])
    return path


def command_of(start: str) -> list[str]:
    line = next(each.strip() for each in PAGE.splitlines() if each.strip().startswith(start))
    return line.split()[1:]


# -- the page --------------------------------------------------------------------------------------


@pytest.mark.needs("emulated", "kamailio", "sipsak")
def test_a_program_of_ones_own(tmp_path: Path) -> None:
    the_file(tmp_path)
    arguments = command_of("siplab call --model contact-wrong-port")
    done = subprocess.run(
        [sys.executable, "-m", "siplab", *arguments, "--brief"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "Works"), done.stdout + done.stderr


@pytest.mark.needs("emulated", "kamailio", "sipsak")
def test_what_it_cannot_do_does_not_apply(tmp_path: Path) -> None:
    own = f"program:{the_file(tmp_path)}"
    spec = TrialSpec(model="none", scenario="outgoing-call", phone=own, server="program:kamailio")
    result, _ = runner.run_traced(spec, "emulated")
    assert (result.outcome, result.not_applicable) == ("not applicable", "program 'sipsak' can't call")
    row = result.as_json()
    assert row["real"] is True
    assert row["not_applicable"] == result.not_applicable
    TrialRow.model_validate_json(json.dumps(row))  # what results.json may have


@pytest.mark.needs("emulated", "kamailio", "baresip", "rtpengine")
def test_an_ordinary_user_has_a_whole_call(ordinary_user: OrdinaryUser) -> None:
    done = ordinary_user.run(
        [
            *("-m", "siplab", "call", "--model", "none", "--scenario", "incoming-call", "--brief"),
            *("--phone", BARESIP, "--far-phone", BARESIP, "--server", "program:kamailio(nat=true)"),
        ]
    )
    assert (done.returncode, done.stdout.strip()) == (0, "Works"), done.stdout + done.stderr


@pytest.mark.needs("emulated", "kamailio", "baresip")
def test_what_each_side_heard_is_kept_with_the_configuration(tmp_path: Path) -> None:
    arguments = command_of("siplab call --model correct --scenario outgoing-call")
    done = subprocess.run(
        [sys.executable, "-m", "siplab", *arguments, "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "pass  callee hears" in done.stdout
    assert "pass  caller hears" in done.stdout
    (folder,) = (tmp_path / "out").glob("*.programs")
    assert "outbound=" in (folder / "alice" / "accounts").read_text()
    assert "listen=udp:198.51.100.10:5060" in (folder / "server" / "kamailio.cfg").read_text()
    for user in ("alice", "bob"):
        (recording,) = (folder / user).glob("dump-*-dec.wav")
        assert recording.stat().st_size > 2 * 16000  # seconds of it


@pytest.mark.needs("emulated", "kamailio", "baresip", "rtpengine")
def test_by_tls_a_call_comes_in_where_an_alg_breaks_it(tmp_path: Path) -> None:
    arguments = command_of("siplab call --model semicolon-loss")
    words = shlex.split(" ".join(arguments))
    done = siplab(*words, "--brief", process=True)
    assert (done.returncode, done.stdout.strip()) == (0, "Works"), done.stdout + done.stderr


@pytest.mark.needs("emulated", "kamailio", "linphonec", "baresip")
@pytest.mark.parametrize(
    ("phone", "certificate", "outcome"),
    [
        ("linphonec", "right", "pass"),
        ("linphonec", "wrong-name", "fail"),
        pytest.param("linphonec", "expired", "fail", marks=pytest.mark.deep),
        pytest.param("linphonec", "untrusted", "fail", marks=pytest.mark.deep),
        pytest.param("baresip", "untrusted", "pass", marks=pytest.mark.deep),  # it does not look
    ],
)
def test_a_phone_takes_a_certificate_or_not(phone: str, certificate: str, outcome: str) -> None:
    """An ALG between them is blind either way."""
    spec = TrialSpec(
        model="semicolon-loss",
        scenario="register",
        phone=f"program:{phone}(transport=tls)",
        server=f"program:kamailio(tls=true,certificate={certificate})",
        longest=20.0,
    )
    result, trace = runner.run_traced(spec, "emulated")
    assert (result.outcome, result.errors) == (outcome, []), result.checks
    handshake = b"\x16\x03"  # a record of that kind (RFC 8446 5.1)
    assert any(each.side is Side.INSIDE and handshake in each.packet for each in trace.passages)
    assert result.packets_changed == 0


@pytest.mark.needs("emulated", "kamailio", "baresip", "turnserver")
@pytest.mark.parametrize("relay", ["turn", pytest.param("stun", marks=pytest.mark.deep)])
def test_a_relay_of_coturn_carries_a_call_without_an_alg(relay: str) -> None:
    spec = TrialSpec(
        "nat-symmetric" if relay == "turn" else "home",
        "none",
        scenario="outgoing-call",
        phone=f"program:baresip(relay={relay})",
        server="program:kamailio(turn=true)",
        far_phone=BARESIP,
    )
    result, trace = runner.run_traced(spec, "emulated")
    assert (result.outcome, result.errors) == ("pass", []), result.checks
    ports = {each.remote.port for each in trace.records if isinstance(each, Sent) and each.host == "phone"}
    assert 3478 in ports
    assert {"caller hears", "callee hears"} <= {each.name for each in result.checks}


@pytest.mark.needs("emulated", "turnserver")
def test_coturn_stands_beside_a_program(tmp_path: Path) -> None:
    """As a kind of its own it tells a client behind the router its public address, and relays."""
    command = command_of("siplab exec --with program:coturn")
    done = siplab(*command, process=True)
    assert done.returncode == 0, done.stderr
    assert "UDP reflexive addr: 203.0.113.7:" in done.stdout
    for arguments, said in (
        (("exec", "--with", "program:kamailio", "phone", "--", "true"), "is a server, not a relay"),
        (
            ("call", "--model", "none", "--scenario", "register", "--server", "program:coturn"),
            "is a relay, not a server",
        ),
    ):
        refused = siplab(*arguments)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
        assert said in refused.stderr


@pytest.mark.needs("emulated", "kamailio", "sipsak", "sipp")
@pytest.mark.parametrize(
    "phone", ["sipsak", "sipp", pytest.param("sipp(transport=tcp)", marks=pytest.mark.deep)]
)
def test_those_that_only_register(phone: str) -> None:
    spec = TrialSpec(
        model="none", scenario="register", phone=f"program:{phone}", server="program:kamailio", longest=9.0
    )
    result, _ = runner.run_traced(spec, "emulated")
    assert (result.outcome, result.errors) == ("pass", []), result.checks
    assert result.as_json()["longest"] == 9.0
    assert "longest9" in spec.name


@pytest.mark.deep
@pytest.mark.needs("emulated", "kamailio", "baresip", "rtpengine")
def test_encrypted_media_are_heard_after_a_hold() -> None:
    """The re-INVITE comes in fragments, and no tone is found in what arrives behind it."""
    phone = "program:baresip(srtp=true)"
    spec = TrialSpec(
        model="none",
        scenario="hold(pause=4)",
        phone=phone,
        server="program:kamailio(nat=true)",
        far_phone=phone,
    )
    result, _ = runner.run_traced(spec, "emulated")
    assert (result.outcome, result.errors) == ("pass", []), result.checks


@pytest.mark.needs("emulated", "kamailio", "baresip", "rtpengine")
@pytest.mark.parametrize(
    ("model", "silent"),
    [
        ("none", set()),
        pytest.param("port-overflow(mode=sum)", {"caller hears", "callee hears"}, marks=pytest.mark.deep),
    ],
)
def test_rtpengine_counts_what_neither_recording_nor_tap_tells(
    model: str, silent: set[str], tmp_path: Path
) -> None:
    """A phone that records nothing, with a codec that is not decoded here; the router's fault still shows."""
    own = shutil.copytree(kinds.FOLDER / "baresip", tmp_path / "baresip")
    for name, before, after in (
        ("accounts", "PCMU/8000/1,PCMA/8000/1", "PCMA/8000/1"),
        ("kind.yaml", "heard: {files: dump-*-dec.wav, until_change: true}\n", ""),
    ):
        text = (own / name).read_text()
        assert before in text
        (own / name).write_text(text.replace(before, after))
    phone = f"program:{own / 'kind.yaml'}"
    spec = TrialSpec(
        model=model,
        scenario="outgoing-call",
        phone=phone,
        server="program:kamailio(nat=true)",
        far_phone=phone,
    )
    result, _ = runner.run_traced(spec, "emulated")
    assert result.errors == []
    details = {each.name: each.detail for each in result.checks if not each.passed}
    assert set(details) == silent, details


def test_who_waits_too_long_is_told_of_the_option() -> None:
    """The limit is the one that was asked for, and a call that may last so long is not cut short."""
    stage = object.__new__(ProgramStage)
    stage.longest = 2.0
    with pytest.raises(NotApplicableError, match=r"waits 3 s by the wall clock; 2 s is the longest"):
        stage.idle(3.0)


# -- what is wrong with a name or a file ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        (TrialSpec(scenario="register", phone="program:barsip"), "did you mean baresip"),
        (TrialSpec(scenario="register", phone="program:kamailio"), "is a server, not a phone"),
        (TrialSpec(scenario="register", server="program:baresip"), "is a phone, not a server"),
        (TrialSpec(scenario="register", server="program:kamailio(net=true)"), "has no parameter 'net'"),
        (TrialSpec(scenario="register", server="program:kamailio(nat=1)"), "choose one of false, true"),
        (TrialSpec(scenario="register", phone="program:/nowhere/x.yaml"), "no such file"),
        (TrialSpec(scenario="register", phone="program:sipp(scenario=gone.xml)"), "no file 'gone.xml'"),
        (
            TrialSpec(scenario="register", far_phone="program:sipp(scenario=/)"),
            "no file '/'; name a path from",
        ),
    ],
)
def test_a_wrong_name_is_told(spec: TrialSpec, complaint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(complaint)):
        trial.check_spec(spec)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("can: [register]", "can: [fly]", "field 'can.0"),
        ("once: true", "once: true\n    when: nat", "field 'programs.0.when': there is no parameter 'nat'"),
        ("program: sipsak}", "program: other}", "there is no program 'other'"),
        ("role: phone", "role: phone\nfiles: {a: missing}", "no file 'missing' beside it"),
        (
            "role: phone",
            "role: phone\nfiles: {a: latin-1}",
            "latin-1: can't be read: it is not a text in UTF-8",
        ),
        (
            "expires: {default: 300",
            "expires: {default: none.xml, file: true",
            "no file 'none.xml'; name a path",
        ),
        ("expires: {default: 300", "expires: {default: 1, file: true, values: {1: a}", "leave 'values' out"),
        ("role: phone", "role: phone\nfiles: {../a: b}", "a relative path without '..'"),
        ("role: phone", "role: gateway", "field 'role'"),
        ("id: sipsak", "id: [", "not YAML"),
        ("once: true", "ready: {rpc: a}", "field 'programs.0.ready.rpc': needs a 'control' of kind jsonrpc"),
        ("once: true", "ready: {rpc: a, log: b}", "name one of 'port'"),
        ("once: true", "when: {nat: 1}", "field 'programs.0.when': there is no parameter 'nat'"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, before: str, after: str, complaint: str) -> None:
    path = the_file(tmp_path)
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    (tmp_path / "latin-1").write_bytes(b"caf\xe9")
    with pytest.raises(UsageError) as caught:
        kinds.get(f"program:{path}", "phone")
    (line,) = str(caught.value).splitlines()
    assert complaint in line
    assert str(tmp_path) in line


def test_programs_need_the_emulated_world() -> None:
    spec = TrialSpec(model="none", scenario="register", server="program:kamailio")
    with pytest.raises(UsageError, match="the server 'program:kamailio' is a program"):
        runner.run_all([spec], world="simulated")


def test_a_template_with_an_unknown_name_is_told() -> None:
    assert (
        rendered("sip:@USER@@@DOMAIN@ a@b", {"user": "ann", "domain": "x.test"}, "f") == "sip:ann@x.test a@b"
    )
    with pytest.raises(UsageError, match="f: unknown placeholder '@USR@'; known are USER"):
        rendered("@USR@", {"user": "ann"}, "f")


def test_the_shelf_is_whole() -> None:
    """Every file of the shelf is one, and names a kind of the lab where it is made after one."""
    for kind in kinds.shipped().values():
        chosen = kinds.get(kind.id, kind.role)
        assert set(chosen.texts()) == set(kind.parameters)
        if kind.role == "relay":
            continue  # the lab has none to lay beside it
        is_phone = kind.role == "phone"
        spec = (
            TrialSpec(scenario="register", phone=chosen.like)
            if is_phone
            else TrialSpec(scenario="register", server=chosen.like)
        )
        trial.check_spec(spec)
