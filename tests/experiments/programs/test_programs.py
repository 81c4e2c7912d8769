"""Outside programs as detectors: how they are described, run and read, and what becomes of bad ones."""

from __future__ import annotations

import dataclasses
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siplab import topologies
from siplab.experiments.commands import schemas
from siplab.experiments.explain.folder import ExplainedFolder
from siplab.experiments.library import experiment
from siplab.experiments.programs import ProgramDetector, placeholders, verdicts
from siplab.experiments.programs.config import VerdictReading
from siplab.experiments.programs.verdicts import Ended
from siplab.experiments.trial import runner
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from tests.command import siplab
from tests.conftest import ROOT, OrdinaryUser

EXAMPLES = Path(__file__).parents[2] / "data" / "detectors"
HOME = topologies.load("home")


def detector(client: str = "true", **options: Any) -> ProgramDetector:
    values: dict[str, Any] = {"client": client, "clean_exit": 0, "here": str(EXAMPLES), **options}
    return ProgramDetector.from_options(**values)


def trial(chosen: ProgramDetector, model: str = "none", seed: int = 1) -> TrialSpec:
    return TrialSpec("home", model, detector=chosen, seed=seed)


def run(*specs: TrialSpec, jobs: int = 1, folder: Path | None = None) -> list[TrialResult]:
    return runner.run_all(
        specs, world="emulated", jobs=jobs, store=ExplainedFolder(folder) if folder else None
    )


def verdict(result: TrialResult) -> tuple[str, str]:
    assert result.errors == []
    assert result.finding is not None
    return result.finding.verdict, result.finding.detail


# -- descriptions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{id: x, verdict: {exit: {clean: 0}}}", ["detectors.0.client", "required"]),
        ("{id: 'a/b', client: {command: a}, verdict: {exit: {clean: 0}}}", ["detectors.0.id", "'a/b'"]),
        ("{id: x, client: {command: a, hots: b}, verdict: {exit: {clean: 0}}}", ["client.hots", "unknown"]),
        ("{id: x, client: {command: 'a \"'}, verdict: {exit: {clean: 0}}}", ["client.command", "quotation"]),
        ("{id: x, client: {host: phone}, verdict: {exit: {clean: 0}}}", ["client", "command", "image"]),
        ("{id: x, client: {command: a}, verdict: {}}", ["verdict", "exit", "output", "json"]),
        ("{id: x, client: {command: a}, verdict: {exit: {}}}", ["verdict.exit", "name"]),
        ("{id: x, client: {command: a}, verdict: {exit: {alg: 1, clean: [0, 1]}}}", ["exit", "1", "twice"]),
        ("{id: x, client: {command: a}, verdict: {output: {alg: '('}}}", ["verdict.output.alg", "regular"]),
        ("{id: x, client: {command: a, ready: {port: 5060}}, verdict: {exit: {alg: 1}}}", ["udp/5060"]),
        ("{id: x, client: {command: a, ready: {}}, verdict: {exit: {alg: 1}}}", ["client.ready", "port"]),
        ("{id: x, client: {command: a, timeout: 0}, verdict: {exit: {alg: 1}}}", ["client.timeout", "0"]),
        (
            "{id: x, client: {command: 'a {b}'}, verdict: {exit: {alg: 1}}}",
            ["client.command", "{b}", "own_ip"],
        ),
        ("{id: x, client: {command: 'a {'}, verdict: {exit: {alg: 1}}}", ["client.command", "brace"]),
        ("{id: x, client: {command: 'a {port:d}'}, verdict: {exit: {alg: 1}}}", ["client.command", "port:d"]),
        (
            "{id: x, client: {command: a, environment: {A: '{b}'}}, verdict: {exit: {alg: 1}}}",
            ["client.environment.A", "{b}"],
        ),
        (
            "{id: x, client: {command: a, host: moon}, verdict: {exit: {alg: 1}}}",
            ["client.host", "moon", "laptop"],
        ),
        (
            "{id: x, client: {command: a}, server: {command: '{c}'}, verdict: {exit: {alg: 1}}}",
            ["server.command", "{c}"],
        ),
        ("{id: x, agents: [moon], client: {command: a}, verdict: {exit: {alg: 1}}}", ["agents.0", "mirror"]),
    ],
)
def test_a_bad_description_is_refused_by_field(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"id: mine\nmodels: [none]\ndetectors: [{text}]\n")
    with pytest.raises(UsageError) as caught:
        experiment.load(str(path)).trials()
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_page_describes_what_there_is(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "detectors-programs.md").read_text()
    first, _, image = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    path = tmp_path / "mine.yaml"
    path.write_text(first)
    for name in ("client.py", "server.py"):
        (tmp_path / name).touch()
    assert len(experiment.load(str(path)).trials()) == 3
    path.write_text(
        re.sub(r"^    client:\n.*?^    server:", f"    {image}    server:", first, flags=re.M | re.S)
    )
    (spec, *_) = experiment.load(str(path)).trials()
    assert spec.program is not None
    assert spec.program.needs_containers
    for name in (*placeholders.PLAIN, "server_ip", "phone_ip", "far_phone_ip", "laptop_ip", "public_ip"):
        assert f"`{{{name}}}`" in page


def test_two_detectors_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    program = "{id: mirror, client: {command: a}, verdict: {exit: {alg: 1}}}"
    path.write_text(f"id: mine\nmodels: [none]\ndetectors: [mirror, {program}]\n")
    with pytest.raises(UsageError, match="two detectors are called 'mirror'"):
        experiment.load(str(path))


def test_a_description_can_be_hashed_and_pickled_and_stands_in_json_by_its_id() -> None:
    spec = trial(detector(id="mine", server="nc -l", ready_port="udp/5060"))
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert len({spec, pickle.loads(pickle.dumps(spec)), dataclasses.replace(spec, seed=2)}) == 2
    assert TrialResult(spec, "emulated").as_json()["detector"] == "mine"
    assert spec.name == "none__mine__seed1"


def test_options_are_refused_in_their_own_words() -> None:
    for wrong, words in (
        ({"alg_exit": 300}, "verdict.exit.alg"),
        ({"ready_port": "5060", "server": "x"}, "server.ready.port"),
        ({"ready_port": "udp/5060"}, "no server"),
        ({"timeout": -1.0}, "client.timeout"),
        ({"client": ""}, "client.command"),
    ):
        with pytest.raises(UsageError, match=words):
            detector(**wrong)


def test_the_schema_for_editors_knows_programs() -> None:
    assert "ProgramDetector" in schemas.schema("experiment")["$defs"]


def test_the_simulated_world_says_that_it_has_no_programs() -> None:
    with pytest.raises(UsageError, match="'mine' is a program: it needs the emulated world"):
        runner.run_all([trial(detector(id="mine"))], world="simulated")


# -- reading a verdict -------------------------------------------------------------------------------


EXIT = {"exit": {"alg": [2], "clean": 0, "undecided": [3, 4]}}
OUTPUT = {"output": {"alg": "^ALG", "clean": "^clean$", "fields": r"changed=(\S+)|was (\S+)"}}
JSON = {"json": {"verdict": "a.0.b", "alg": [True], "clean": False, "undecided": None, "fields": "c.*.name"}}


@pytest.mark.parametrize(
    ("reading", "status", "printed", "expected"),
    [
        (EXIT, 2, b"", "alg"),
        (EXIT, 0, b"", "clean"),
        (EXIT, 4, b"", "undecided"),
        (EXIT, 1, b"", "error"),
        (EXIT, -11, b"", "error"),
        (OUTPUT, 7, b"some\nALG found", "alg"),
        (OUTPUT, 0, b"some\nclean", "clean"),
        (OUTPUT, 0, b"not clean", "error"),
        (OUTPUT, 0, b"clean\nALG", "error"),
        (OUTPUT, -9, b"clean", "error"),
        (JSON, 0, b'{"a": [{"b": true}]}', "alg"),
        (JSON, 0, b'a log line\n{"a": [{"b": false}]}\n', "clean"),
        (JSON, 0, b'{"a": [{"b": null}]}', "undecided"),
        (JSON, 0, b'{"a": [{"b": 1}]}', "error"),  # 1 is not true
        (JSON, 0, b'{"a": []}', "error"),
        (JSON, 0, b"\xff\xfe no json", "error"),
        (JSON, 0, b"[" * 100_000, "error"),
    ],
)
def test_verdicts(reading: dict[str, Any], status: int, printed: bytes, expected: str) -> None:
    found = verdicts.read(VerdictReading.model_validate(reading), Ended(status, printed, b""))
    assert found.verdict == expected
    assert bool(found.detail) or expected != "error"


def test_changed_fields_are_read_beside_any_verdict() -> None:
    printed = b"changed=Via\nwas Contact\nchanged=Via\nALG"
    assert verdicts.read(VerdictReading.model_validate(OUTPUT), Ended(0, printed, b"")).changed == (
        "Via",
        "Contact",
    )
    both = {**EXIT, "output": {"fields": "^- (.*)$"}}
    assert verdicts.read(VerdictReading.model_validate(both), Ended(2, b"", b"- Via\n- \n- To")).changed == (
        "Via",
        "To",
    )
    document = {"a": [{"b": True}], "c": [{"name": "Via"}, {"name": 3}, {"name": ["To", "Via"]}]}
    read = verdicts.read(VerdictReading.model_validate(JSON), Ended(0, json.dumps(document).encode(), b""))
    assert read.changed == ("Via", "To")


@given(
    st.sampled_from([EXIT, OUTPUT, JSON]),
    st.integers(-70, 255),
    st.binary(max_size=200) | st.sampled_from([b"ALG", b"clean", b'{"a": [{"b": true}]}', b"[" * 9000]),
    st.binary(max_size=50),
)
def test_whatever_is_printed_there_is_one_line_and_one_verdict(
    reading: dict[str, Any], status: int, stdout: bytes, stderr: bytes
) -> None:
    found = verdicts.read(VerdictReading.model_validate(reading), Ended(status, stdout, stderr))
    assert found.verdict in ("alg", "clean", "undecided", "error")
    assert found.detail.isprintable()
    assert len(found.detail) < 500
    assert found.verdict == "error" or status >= 0


# -- running -----------------------------------------------------------------------------------------


@pytest.mark.needs("emulated", "sipsak", "node")
def test_detectors_in_three_languages(tmp_path: Path) -> None:
    """Each finds what touches its requests; none cries wolf at plain NAT."""
    chosen = experiment.load(str(EXAMPLES / "detectors.yaml"))
    models = ["none", "correct", "content-length-stale", "semicolon-loss"]
    specs = chosen.model_copy(update={"models": models}).trials()
    results = {(each.spec.model, each.spec.played): each for each in run(*specs, jobs=2, folder=tmp_path)}
    assert [each.errors for each in results.values()] == [[]] * len(specs)
    for language in ("sipsak", "python", "node"):
        assert results["none", language].outcome == "clean"
        assert results["correct", language].outcome == "alg"
    found = results["correct", "python"].finding
    assert found is not None
    assert found.changed == ("Via", "Contact", "Content-Length", "o", "c", "m")
    found = results["content-length-stale", "python"].finding
    assert found is not None
    assert "Content-Length" not in found.changed
    assert "c" in found.changed
    found = results["correct", "sipsak"].finding
    assert found is not None
    assert found.changed == ("Via", "Contact")
    # What is left for a reader: the capture, the trace, and what each program printed.
    stem = "correct__python__seed1"
    assert b"192.168.1.102" in (tmp_path / f"{stem}.pcapng").read_bytes()
    records = [json.loads(line) for line in (tmp_path / f"{stem}.trace.jsonl").read_text().splitlines()]
    assert [each["kind"] for each in records] == ["trial", *["passage"] * 4]
    programs = tmp_path / f"{stem}.programs"
    assert json.loads((programs / "client.stdout").read_text())["result"]["alg"] is True
    assert (programs / "server.stdout").read_text() == "listening\n"
    outcome = json.loads((programs / "outcome.json").read_text())
    assert outcome["verdict"] == "alg"
    assert outcome["programs"]["client"]["status"] == 0


BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({"client": "sleep 600", "timeout": 0.2}, ["still running after 0.2 s"]),
    ({"client": "sh -c 'trap : TERM INT; while :; do sleep 9; done'", "timeout": 0.2}, ["still running"]),
    ({"client": "sh -c 'echo half a >&2; kill -SEGV $$'"}, ["SIGSEGV", "half a"]),
    ({"client": "sh -c 'echo no such option; exit 9'"}, ["exit status 9", "no such option"]),
    ({"client": "yes"}, ["printed more than 4 MiB"]),
    ({"client": "sh -c 'yes >&2 & exec yes'"}, ["printed more than 4 MiB"]),
    # What never sent a packet did not look at the router, whatever it ends with.
    ({"client": "python3 /no/such-file.py"}, ["sent no packet", "exit status 2", "can't open file"]),
    ({"client": "python3 {here}/usage.py --moon", "alg_exit": 2}, ["sent no packet", "arguments: --moon"]),
    ({"client": "true"}, ["exit status 0 and had sent no packet"]),
    ({"client": "{here}/no-interpreter.sh"}, ["client could not be started", "interpreter.sh' can't be run"]),
    ({"server": "{here}/no-interpreter.sh"}, ["server could not be started"]),
    ({"server": "sh -c 'echo in use >&2; exit 3'", "ready_port": "udp/5060"}, ["exit status 3", "in use"]),
    ({"server": "true", "ready_port": "udp/5060"}, ["server ended with exit status 0 before it was ready"]),
    ({"server": "sleep 600", "ready_port": "udp/5060", "ready_timeout": 0.2}, ["udp/5060", "registrar"]),
    ({"server": "sleep 600", "ready_log": "^up$", "ready_timeout": 0.2}, ["not ready within 0.2 s", "^up$"]),
    ({"server": "sh -c 'kill -9 $$'", "client": "sleep 600"}, ["server was ended by SIGKILL before"]),
]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"client": "no-such-program"}, "field client.command: no program 'no-such-program' here"),
        ({"client": "{here}/sipsak.sh"}, "sipsak.sh' is not executable: chmod +x"),
        (
            {"client": "true", "server": "/no/kamailio -f x"},
            "field server.command: no program '/no/kamailio'",
        ),
    ],
)
def test_a_program_that_is_not_there_is_told_before_anything_starts(
    options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(complaint)):
        runner.run_all([trial(detector(**options))], world="emulated")


@pytest.mark.parametrize(
    ("client", "complaint"),
    [
        ("command: 'python3 {here}/gone.py'", "field client.command: no file '{tmp}/gone.py'"),
        ("command: 'a --rules={here}/gone.txt'", "field client.command: no file '{tmp}/gone.txt'"),
        ("command: a, environment: {R: '{here}/gone'}", "field client.environment.R: no file '{tmp}/gone'"),
        ("command: 'a {here}/there.py {here}/{model}.log {here}/out/a.log', writable: ['{here}/out']", ""),
    ],
)
def test_a_file_beside_the_description_has_to_be_there(tmp_path: Path, client: str, complaint: str) -> None:
    (tmp_path / "there.py").touch()
    (tmp_path / "out").mkdir()
    path = tmp_path / "mine.yaml"
    path.write_text(
        "id: mine\nmodels: [none]\ndetectors:\n"
        f"  - {{id: x, client: {{{client}}}, verdict: {{exit: {{alg: 1}}}}}}\n"
    )
    if not complaint:
        assert experiment.load(str(path)).trials()
        return
    with pytest.raises(UsageError, match=re.escape(complaint.format(tmp=tmp_path))):
        experiment.load(str(path)).trials()


@pytest.mark.needs("emulated")
def test_bad_programs_are_errors_and_the_next_trial_does_not_notice(
    record_property: Callable[[str, object], None],
) -> None:
    record_property("tried", len(BAD))
    good = detector(
        "sh -c 'python3 {here}/knock.py {server_ip}; test -z \"$(ls {folder})\"'",
        server="cat {here}/server.py",
    )
    specs: list[TrialSpec] = []
    for number, (options, _) in enumerate(BAD):
        specs += [trial(detector(**{"id": f"bad{number}", **options})), trial(good, seed=number)]
    results = run(*specs)
    for (options, words), bad, after in zip(BAD, results[::2], results[1::2], strict=True):
        found, detail = verdict(bad)
        assert found == "error", options
        for word in words:
            assert word in detail, options
        assert "\n" not in detail
        assert verdict(after)[0] == "clean", (options, after.finding)


@pytest.mark.needs("emulated")
def test_nothing_of_a_trial_is_there_in_the_next() -> None:
    """No process, no bound port, no NAT binding, no TCP connection that still says goodbye."""
    leaves = detector(
        "sh -c 'python3 {here}/knock.py {server_ip}; setsid sleep 600 & setsid setsid sleep 601 & exit 0'",
        server="sh -c 'setsid python3 {here}/server.py {own_ip} {port} & sleep 600'",
        ready_port="udp/5060",
        id="leaves",
    )
    connects = detector(
        'python3 -c \'import socket; socket.create_connection(("{server_ip}", 5060)).send(b"x")\'',
        server=["python3", "-c", 'import socket; socket.create_server(("", 5060)).accept()[0].recv(9)'],
        ready_port="tcp/5060",
        id="connects",
    )
    looks = detector(
        "sh -c 'python3 {here}/knock.py {server_ip}; found=$(ps -e -o comm=); echo $found'", id="looks"
    )
    results = run(*[trial(each) for each in (looks, leaves, leaves, connects, connects, looks)])
    assert [verdict(each)[0] for each in results] == ["clean"] * 6
    assert verdict(results[0])[1].split().count("ps") == 1
    assert verdict(results[0]) == verdict(results[-1])
    exchange = trial(detector("python3 {here}/client.py {server_ip} {port} {own_ip}", agents=["mirror"]))
    first, second = (
        [(each.source, each.destination) for each in runner.run_traced(exchange, "emulated")[1].sip()]
        for _ in range(2)
    )
    assert first == second != []


@pytest.mark.needs("emulated")
def test_placeholders_and_variables() -> None:
    script = (
        'test "{public_ip} {phone_ip} {laptop_ip} {far_phone_ip} {host} {port} {model}" = '
        '"203.0.113.7 192.168.1.102 192.168.1.103 198.51.100.20 laptop 5080 none" && '
        'test "$SIPLAB_REGISTRAR_IP $SIPLAB_HOST $SIPLAB_FOLDER" = "{server_ip} laptop {folder}" && '
        'test "$WHO" = "{{x}}" && '
        "ip -o addr | grep -q {own_ip} && "
        f"python3 {EXAMPLES}/knock.py {{server_ip}}"
    )
    chosen = ProgramDetector.model_validate(
        {
            "id": "mine",
            "client": {"command": ["sh", "-c", script], "host": "laptop", "environment": {"WHO": "{{x}}"}},
            "verdict": {"exit": {"clean": 0}},
        }
    )
    (result,) = run(dataclasses.replace(trial(chosen), mitigations=("non-standard-port",)))
    assert verdict(result)[0] == "clean"


@pytest.mark.needs("emulated")
def test_labs_side_by_side_do_not_meet() -> None:
    command = "python3 {here}/client.py {server_ip} {port} {own_ip}"
    server = "python3 {here}/server.py {own_ip} {port}"
    chosen = ProgramDetector.model_validate(
        {
            "id": "mine",
            "client": {"command": command},
            "server": {"command": server, "ready": {"port": "udp/5060"}},
            "verdict": {"json": {"verdict": "result.alg", "alg": True, "clean": False}},
            "here": str(EXAMPLES),
        }
    )
    models = ["none", "correct"] * 4
    results = run(*[trial(chosen, model, seed) for seed, model in enumerate(models)], jobs=4)
    assert [verdict(each)[0] for each in results] == ["clean", "alg"] * 4


@pytest.mark.needs("emulated")
def test_an_ordinary_user_can_have_programs_too(ordinary_user: OrdinaryUser) -> None:
    command = "python3 {here}/client.py {server_ip} {port} {own_ip}"
    script = (
        "from siplab.experiments.trial import runner\nfrom siplab.experiments.trial.spec import TrialSpec\n"
        "from siplab.experiments.programs import ProgramDetector\n"
        f"made = ProgramDetector.from_options(client='{command}', agents=['mirror'], clean_exit=0,\n"
        f"    here='{ordinary_user.project}/tests/data/detectors')\n"
        "specs = [TrialSpec('home', 'correct', detector=made)] * 2\n"
        "for each in runner.run_all(specs, world='emulated'): print(each.outcome, each.packets_changed)\n"
    )
    done = ordinary_user.run(["-c", script])
    assert done.stdout.splitlines() == ["clean 4", "clean 4"], done.stderr


@pytest.mark.needs("emulated")
def test_the_command_runs_an_experiment_with_a_program(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "id: mine\nmodels: [none]\ndetectors:\n"
        '  id: mine\n  client: {command: "sh {here}/look.sh {server_ip}"}\n  verdict: {exit: {clean: 0}}\n'
    )
    (tmp_path / "look.sh").write_text(f"exec python3 {EXAMPLES}/knock.py $1\n")
    out = tmp_path / "out"
    done = siplab("run", str(tmp_path / "mine.yaml"), "--world", "emulated", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert "mine says" in done.stdout
    results = json.loads((out / "results.json").read_text())
    assert [(each["detector"], each["outcome"]) for each in results["trials"]] == [("mine", "clean")]
    assert (out / "none__mine__seed1.programs" / "outcome.json").exists()
