"""The command line as a user meets it: what it prints, what it exits with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import one_line_error, siplab
from tests.conftest import ROOT

RECORDS = ("sent", "received", "passage", "lost", "skipped-packets", "remark", "noted", "checked")


def test_quickstart_table_tells_what_breaks_and_what_helps(tmp_path: Path) -> None:
    done = siplab("run", "quickstart", "--world", "simulated", "--json", str(tmp_path / "r.json"))
    assert done.returncode == 0, done.stderr
    assert "with nothing done about it" in done.stdout
    assert "unregistered" in done.stdout
    assert "with non-standard-port" in done.stdout
    trials = json.loads((tmp_path / "r.json").read_text())["trials"]
    assert len(trials) == 72
    untouched = [row for row in trials if "mitigations" not in row]
    broken = {row["model"] for row in untouched if row["outcome"] == "fail"}
    assert broken == {"blind-ip-replace", "semicolon-loss", "port-overflow", "call-id-rewrite"}
    verdicts = {row["model"]: row["outcome"] for row in untouched if "detector" in row}
    assert verdicts.pop("none") == "clean"
    assert set(verdicts.values()) == {"alg"}
    remedied = [row for row in trials if row.get("mitigations")]
    assert {row["outcome"] for row in remedied} == {"pass", "clean"}


def test_results_do_not_depend_on_the_number_of_jobs(tmp_path: Path) -> None:
    for jobs in ("1", "2"):
        file = tmp_path / f"{jobs}.json"
        done = siplab("run", "quickstart", "--world", "simulated", "-j", jobs, "--json", str(file))
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_seed_decides_the_bytes(tmp_path: Path) -> None:
    traces = []
    for folder, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        out = tmp_path / folder
        done = siplab(
            *("call", "--model", "none", "--scenario", "register", "--world", "simulated"),
            *("--seed", seed, "--out", str(out)),
        )
        assert done.returncode == 0, done.stderr
        (trace,) = out.glob("*.trace.jsonl")
        traces.append(trace.read_text())
    assert traces[0] == traces[1]
    assert traces[0] != traces[2]


def test_out_holds_results_traces_and_captures(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text("id: small\nmodels: [none, semicolon-loss]\nscenarios: [register]\ndetectors: [mirror]\n")
    done = siplab(
        *("run", str(file), "--world", "simulated", "--out", str(tmp_path / "out"), "--traces", "all")
    )
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert "results.json" in names
    for kind in (".inside.pcapng", ".outside.pcapng"):
        assert len([name for name in names if name.endswith(kind)]) == 4
    assert len([name for name in names if name.endswith(".pcapng")]) == 3 * 4
    assert "provenance.json" in names
    assert len([name for name in names if name.endswith(".trace.jsonl")]) == 4
    head, *lines = (tmp_path / "out" / "none__register__seed1.trace.jsonl").read_text().splitlines()
    assert json.loads(head)["models"] == {"router": "none"}
    for line in lines:
        assert json.loads(line)["kind"] in RECORDS


def test_call_shows_the_change_and_the_rule() -> None:
    done = siplab("call", "--model", "semicolon-loss", "--scenario", "register", "--world", "simulated")
    assert done.returncode == 0, done.stderr
    for part in ("REGISTER", "RFC 3261 25.1", "discarded"):
        assert part in done.stdout


KINDS = ["models", "topologies", "scenarios", "detectors", "mitigations", "phones", "servers", "experiments"]


@pytest.mark.parametrize("kind", KINDS)
def test_lists_and_cards(kind: str) -> None:
    listed = json.loads(siplab(kind, "--json").stdout)
    plain = siplab(kind)
    assert plain.returncode == 0
    assert listed
    for row in listed:
        assert row["id"] in plain.stdout
    identifier = listed[0]["id"]
    assert json.loads(siplab(kind, "show", identifier, "--json").stdout)["id"] == identifier
    shown = siplab(kind, "show", identifier)
    assert shown.returncode == 0
    assert identifier in shown.stdout


def test_a_list_leaves_room_for_the_summary() -> None:
    """On a narrow terminal columns go, and are named; no word is cut off."""
    narrow = siplab("models", COLUMNS="80").stdout
    assert "…" not in narrow
    assert max(map(len, narrow.splitlines())) <= 80
    assert "parameters" in narrow.splitlines()[-1]
    assert "parameters" in siplab("models", COLUMNS="200").stdout.splitlines()[0]


def test_a_card_is_folded_at_words() -> None:
    lines = siplab("detectors", "show", "combined", COLUMNS="60").stdout.splitlines()
    about = lines[lines.index("about") + 1 : lines.index("", lines.index("about") + 5)]
    assert all(not line or line.startswith("  ") for line in about)
    assert max(map(len, about)) <= 60
    assert sum(len(line) > 45 for line in about) >= len(about) - 3


def test_models_show_prints_bytes_rule_symptom_source_and_evidence() -> None:
    text = siplab("models", "show", "semicolon-loss").stdout
    for part in (
        "- Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK74",
        "+ Via: SIP/2.0/UDP 203.0.113.7:61002rport;branch=z9hG4bK74",
        "RFC 3261 25.1",
        "400 Bad Request",
        "[seed]",
        "[user-report]",
    ):
        assert part in text


def test_doctor_lists_abilities_with_mends() -> None:
    rows = json.loads(siplab("doctor", "--json").stdout)
    assert {"name", "present", "needed", "detail", "fix"} <= rows[0].keys()
    assert any("queue" in row["name"] for row in rows)
    without = json.loads(siplab("doctor", "--json", PATH="/nonexistent").stdout)
    missing = {row["name"]: row["fix"] for row in without if not row["present"]}
    assert "apt-get install mininet" in missing["mnexec"]
    assert "apt-get install sip-tester" in missing["sipp"]


# -- bad input -------------------------------------------------------------------------------------

BOXES = str(ROOT / "tests" / "data" / "containers" / "boxes.yaml")
CALL = ["call", "--model", "none", "--scenario", "register"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["call", "--model", "semicolon-los", "--scenario", "register"],
            ["'semicolon-los'", "semicolon-loss?"],
        ),
        (["call", "--model", "none", "--scenario", "regster"], ["unknown scenario 'regster'", "register"]),
        (["call", "--model", "none", "--scenario", "incoming-call(idle=-1)"], ["'idle'", "incoming-call"]),
        (["call", "--model", "none", "--scenario", "incoming-call(hold=1)"], ["no parameter 'hold'", "idle"]),
        (["call", "--model", "none", "--scenario", "incoming-call("], ["not written ID"]),
        (
            ["call", "--model", "port-overflow(mode=odd)", "--scenario", "register"],
            ["port-overflow", "'mode'"],
        ),
        (["call", "--model", "port-overflow(mode)", "--scenario", "register"], ["parameter=value"]),
        ([*CALL, "--mitigation", "pray"], ["mitigation 'pray'"]),
        ([*CALL, "--topology", "moon"], ["topology 'moon'", "siplab topologies"]),
        ([*CALL, "--model-path", "/nonexistent.py"], ["/nonexistent.py"]),
        (["call", "--model", "none", "--scenario", "incoming-call(idle=inf)"], ["'inf'", "finite"]),
        (["call", "--model", "none", "--scenario", "long-call(duration=1e30)"], ["1e+30 s", "ten years"]),
        ([*CALL, "--compare", "stun"], ["--compare", "--report FILE.html"]),
        ([*CALL, "--out", "/dev/null"], ["--out /dev/null", "not a folder"]),
        (["call", "--model", "none"], ["--scenario", "--detector"]),
        (["run", "nonesuch"], ["unknown experiment 'nonesuch'", "quickstart"]),
        (["run", "/nonexistent.yaml"], ["/nonexistent.yaml", "no such file"]),
        (["models", "show", "nonesuch"], ["unknown model 'nonesuch'"]),
        (["exec", "moon", "--", "true"], ["no host 'moon'", "phone"]),
        (["exec", "--also", "registrar", "phone", "--", "true"], ["--also", "HOST=COMMAND"]),
        (["exec", "--also", 'registrar=echo "x', "phone", "--", "true"], ["--also", "quotation"]),
        (["exec", "--pcap", "/nonexistent/x.pcapng", "phone", "--", "true"], ["/nonexistent/x.pcapng"]),
        (["exec", "--with", "magic", "phone", "--", "true"], ["--with magic", "far-phone"]),
        (["exec", "--with", "program:baresip", "phone", "--", "true"], ["baresip"]),
        (["up", "--with", "mirror,server"], ["--with mirror", "server's place"]),
        (["up", "--to", "lan"], ["--to", "--attach IFACE"]),
        (["up", BOXES, "--phone", "desk"], ["can't be 'desk'", "the image on phone"]),
        (
            ["call", "--topology", BOXES, "--phone", "desk", "--scenario", "register", "--model", "none"],
            ["can't be 'desk'", "the image on phone"],
        ),
        (["alg"], ["'what'", "set, off"]),
        (["down", "--lab", "nine"], ["no lab 'nine' is up"]),
        (["agree", "--cells", "/nonexistent.tsv"], ["/nonexistent.tsv: no such file"]),
        (["verify", "/nonexistent"], ["/nonexistent: no such folder", "--parquet"]),
        (["frob"], ["'frob'", "siplab", "--help"]),
        (["run"], ["EXPERIMENT", "run --help"]),
        (["run", "quickstart", "--jobs", "0"], ["--jobs", "1"]),
        (["run", "quickstart", "--seed", str(2**53)], ["--seed", str(2**53 - 1)]),
        (["matrix", "--seed", str(2**64)], ["--seed", str(2**53 - 1)]),
        ([*CALL, "--world", "moon"], ["--world", "'moon'", "simulated"]),
        ([*CALL, "--modle", "none"], ["--modle", "call --help"]),
        (["models", "shwo", "none"], ["'shwo'", "models --help"]),
    ],
)
def test_bad_names_are_refused_in_one_line(arguments: list[str], words: list[str]) -> None:
    one_line_error(siplab(*arguments), *words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "id: x\nmodels: [none]\nscenarioz: [register]\n",
            [":3:", "'scenarioz'", "unknown field", "scenarios"],
        ),
        ("id: x\nmodels: [none]\nscenarios: [register]\nseed: -4\n", [":4:", "'seed'"]),
        (f"id: x\nmodels: [none]\nscenarios: [register]\nseed: {2**64}\n", [":4:", "'seed'"]),
        ("id: x\nmodels: [none]\n", ["at least one scenario or detector"]),
        ("id: [x\n", ["not YAML"]),
        ("- id\n", [":1:", "key: value"]),
        ("id: x\nmodels: [nope]\nscenarios: [register]\n", ["unknown model 'nope'"]),
        ("id: x\ntopology: /nonexistent.yaml\nscenarios: [register]\n", ["/nonexistent.yaml"]),
    ],
)
def test_broken_experiment_files_name_line_and_field(tmp_path: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    one_line_error(siplab("run", str(file)), *words)


TOPOLOGY = (ROOT / "topologies" / "home.yaml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("udp_timeout: 60", "udp_timeout: -60", ["nat", "udp_timeout"]),
        ("mapping: endpoint-independent", "mapping: full-cone", ["router.nat.mapping", "address-dependent"]),
        ("address: 192.168.1.103", "address: 192.168.1.102", ["192.168.1.102", "laptop"]),
        ("address: 192.168.1.103", "address: 10.0.0.1", ["10.0.0.1", "192.168.1.0/24"]),
        ("network: lan, address: 192.168.1.103", "network: lam, address: 192.168.1.103", ["'lam'"]),
        ("  laptop:", "  Laptop Computer:", ["Laptop Computer"]),
        ("subnet: 192.168.1.0/24", "subnet: 192.168.1.7/24", ["networks.lan.subnet"]),
    ],
)  # fmt: skip
def test_broken_topologies_name_the_field(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    assert old in TOPOLOGY
    file = tmp_path / "broken.yaml"
    file.write_text(TOPOLOGY.replace(old, new, 1))
    one_line_error(siplab(*CALL, "--topology", str(file)), str(file), *words)


def test_unwritable_output_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = siplab("run", "quickstart", "--world", "simulated", "--out", str(tmp_path / "file" / "x"))
    one_line_error(done, "--out")
    done = siplab("run", "quickstart", "--world", "simulated", "--json", str(tmp_path / "no" / "x.json"))
    one_line_error(done, "no/x.json", "No such file")


def test_emulated_world_asked_for_in_vain() -> None:
    """Without the programs that it needs, the emulated world is refused, and 'auto' goes on without it."""
    done = siplab(*CALL, "--world", "emulated", PATH="/nonexistent")
    one_line_error(done, "no emulated world here", "apt-get install")
    done = siplab(*CALL, PATH="/nonexistent")
    assert done.returncode == 0
    assert "in the simulated world (no emulated world here" in " ".join(done.stdout.split())


def test_a_model_that_raises_voids_the_trial_and_stops_nothing(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text(
        "from dataclasses import dataclass\n"
        "from siplab.lab.gateway.alg import Card, Model, Recipe\n"
        "@dataclass(frozen=True)\n"
        "class Bad:\n"
        "    def apply(self, message, context):\n"
        "        raise KeyError('oops')\n"
        "MODEL = Model(id='bad', card=Card('Raises.'), recipe=Recipe(last=(Bad(),)))\n"
    )
    done = siplab(
        *(
            "call",
            "--model",
            "bad",
            "--model-path",
            str(file),
            "--scenario",
            "register",
            "--world",
            "simulated",
        )
    )
    assert done.returncode == 1, done.stderr
    assert "KeyError" in done.stdout
