"""``siplab score`` as a user meets it, and the files that it writes."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from siplab.experiments.score import junit, outputs
from siplab.experiments.score.plan import Subject
from siplab.experiments.score.tally import Row, Score
from siplab.experiments.trial.pairs import DEFAULT
from siplab.experiments.trial.rates import percent
from tests.command import Done, one_line_error, siplab
from tests.conftest import ROOT

WRONG = "experiments/detectors/wrong"
SOME = ("--models", "correct", "--models", "semicolon-loss", "--models", "keepalive-crlf-swallowed")
SIMULATED = ("--world", "simulated")
MINE = ("score", "--world", "simulated", "--detector", "mine", *SOME)
MIRROR = ("score", "--world", "simulated", "--detector", "mirror", *SOME)


def test_tables_say_who_is_good_at_what() -> None:
    done = siplab(
        *("score", "--world", "simulated", "--detector-path", WRONG, *SOME),
        *("--detector", "mirror", "--detector", "always-alg", "--detector", "echo-only"),
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    order = [words[0] for words in lines if words and words[0] in ("mirror", "always-alg", "echo-only")]
    assert order[:3] == ["mirror", "echo-only", "always-alg"]  # best first
    assert "echo-only misses correct" in done.stdout
    assert "always-alg accuses keepalive-crlf-swallowed, plain-nat" in done.stdout


def test_files(tmp_path: Path) -> None:
    done = siplab(*MIRROR, "--out", str(tmp_path / "out"), "--repeat", "2", "-j", "2", "--traces", "all")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out"

    data = json.loads((folder / "score.json").read_text())
    assert (data["format"], data["version"], data["repeat"]) == ("siplab-score", 1, 2)
    (detector,) = data["detectors"]
    rows = {row["id"]: row for row in detector["rows"]}
    assert rows["correct"]["outcomes"] == {"caught": 2}
    assert "Via" in rows["correct"]["changed"]
    assert rows["keepalive-crlf-swallowed"]["outcome"] == "out-of-reach"
    assert detector["detection"] | {"low": 0, "high": 0} == {
        "count": 4,
        "of": 4,
        "rate": 1.0,
        "low": 0,
        "high": 0,
    }
    assert detector["coverage"]["of"] == 6

    with (folder / "score.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["id"] for line in lines} == set(rows)
    assert {line["trials"] for line in lines} == {"2"}

    suite = ElementTree.fromstring((folder / "score.xml").read_text()).find("testsuite")
    assert suite is not None
    assert suite.get("name") == "mirror"
    assert suite.get("tests") == str(len(rows))
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("0", "0", "1")
    assert "| mirror | " in (folder / "score.md").read_text()
    # Two seeds of every row, each with its own trace: no two of a name.
    traces = [each.name.removesuffix(".trace.jsonl") for each in folder.glob("*.trace.jsonl")]
    assert len(traces) == 2 * len(rows)
    assert all((folder / f"{name}.pcapng").exists() for name in traces)


def test_the_same_again_whatever_the_number_of_jobs(tmp_path: Path) -> None:
    for jobs in ("1", "2"):
        done = siplab(*MIRROR, "-j", jobs, "--json", str(tmp_path / jobs))
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_it_says_between_which_endpoints(tmp_path: Path) -> None:
    file = tmp_path / "score.json"
    done = siplab(*MIRROR, "--json", str(file))
    assert f"phone {DEFAULT.phone}, server {DEFAULT.server}" in " ".join(done.stderr.split())
    data = json.loads(file.read_text())
    assert (data["phone"], data["server"]) == (DEFAULT.phone, DEFAULT.server)


@pytest.mark.needs("emulated")
def test_the_same_in_both_worlds(tmp_path: Path) -> None:
    found = []
    for world in ("simulated", "emulated"):
        file = tmp_path / f"{world}.json"
        done = siplab(*MIRROR, "--world", world, "--repeat", "2", "--json", str(file))
        assert done.returncode == 0, done.stderr
        data = json.loads(file.read_text())
        assert data.pop("world") == world
        found.append(data)
    assert found[0] == found[1]


def test_a_badge_alone_on_standard_output() -> None:
    done = siplab(*MIRROR, "--badge", "-")
    badge = json.loads(done.stdout)
    assert badge["schemaVersion"] == 1
    assert badge["message"] == "100 % of 2 in reach, 0 false alarms"
    assert badge["color"] == "brightgreen"


def test_a_vendor_of_whom_nothing_is_known_is_neither_model_nor_control(tmp_path: Path) -> None:
    file = tmp_path / "score.json"
    done = siplab("score", "--models", "ubee", "--detector", "mirror", "--json", str(file), *SIMULATED)
    assert done.returncode == 0, done.stderr
    assert "ubee is not scored: nothing is known" in done.stderr
    (detector,) = json.loads(file.read_text())["detectors"]
    assert "ubee" not in [row["id"] for row in detector["rows"]]
    assert detector["coverage"]["of"] == 0


def test_a_score_has_to_be_reached() -> None:
    for least, status in (("0.5", 0), ("0.9", 1)):
        done = siplab(*MIRROR, "--fail-under", least)
        assert done.returncode == status, done.stderr
        assert ("mirror has a score of 0.6667: less than 0.9" in done.stdout) is bool(status)
    assert siplab(*MIRROR, "--fail-under", "7").returncode == 2


def test_junit_has_times_and_captures(tmp_path: Path) -> None:
    out = tmp_path / "a folder"
    done = siplab(*MIRROR, "--out", str(out), "--traces", "all")
    assert done.returncode == 0, done.stderr
    suite = ElementTree.fromstring((out / "score.xml").read_text()).find("testsuite")
    assert suite is not None
    assert float(suite.get("time", "0")) == pytest.approx(
        sum(float(each.get("time", "0")) for each in suite), abs=0.05
    )
    assert float(suite.get("time", "0")) > 0
    for case in suite:
        text = case.findtext("system-out") or ""
        assert text.startswith("[[ATTACHMENT|")
        assert Path(text[13:-2]).is_file()


# -- baselines -------------------------------------------------------------------------------------


def test_a_baseline_fails_on_what_was_lost(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    done = siplab(*MIRROR, "--baseline", str(file), "--update-baseline")
    assert done.returncode == 0, done.stderr
    done = siplab(*MIRROR, "--baseline", str(file))
    assert done.returncode == 0, done.stdout
    assert "no worse than" in done.stdout

    # An earlier detector that saw more than this one does.
    data = json.loads(file.read_text())
    data["detectors"]["mirror"]["keepalive-crlf-swallowed"] = "caught"
    file.write_text(json.dumps(data))
    done = siplab(*MIRROR, "--baseline", str(file))
    assert done.returncode == 1
    assert "mirror no longer reaches keepalive-crlf-swallowed" in done.stdout

    done = siplab(*MIRROR, "--baseline", str(file), "--update-baseline")
    assert done.returncode == 0
    assert siplab(*MIRROR, "--baseline", str(file)).returncode == 0


def test_a_baseline_fails_on_a_new_accusation(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"

    def score(verdict: str, *options: str) -> Done:
        mine = tmp_path / verdict / "mine.py"
        mine.parent.mkdir()
        mine.write_text(
            "from dataclasses import dataclass\n"
            "from siplab.experiments.trial.registry import Item\n"
            "from siplab.experiments.trial.stage import Finding\n"
            "@dataclass(frozen=True)\n"
            "class Mine:\n"
            "    def run(self, stage):\n"
            f"        return Finding('{verdict}')\n"
            "ITEM = Item('mine', 'For a test.', Mine())\n"
        )
        return siplab(*MINE, "--detector-path", str(mine), "--baseline", str(file), *options)

    assert score("clean", "--update-baseline").returncode == 0
    done = score("alg")
    assert done.returncode == 1
    assert "mine newly accuses plain-nat (quiet before, false-alarm now)" in done.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", (":1: no baseline of `siplab score`: not JSON",)),
        ("{", (":1: no baseline of `siplab score`: not JSON",)),
        ("[]", ("no baseline of `siplab score`: the file must hold an object",)),
        ('{"format": 1, "format": 2}', (":1: no baseline of `siplab score`: 'format' stands",)),
        ('{"format": "other", "version": 1, "detectors": {}}', (":1: no baseline", "field 'format'")),
        (
            '{"format": "siplab-score-baseline", "version": 2, "detectors": {}}',
            ("field 'version'",),
        ),
        (
            '{"format": "siplab-score-baseline", "version": 1,\n'
            '"detectors": {"mirror":\n{"correct": "good"}}}',
            (":3", "field 'detectors.mirror.correct'"),
        ),
        (
            '{"format": "siplab-score-baseline", "version": 1, "detectors": {"other": {}}}',
            ("a baseline of other detectors (other)", "--update-baseline"),
        ),
    ],
)
def test_bad_baselines(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    file = tmp_path / "baseline.json"
    file.write_text(text)
    one_line_error(siplab(*MIRROR, "--baseline", str(file)), "baseline.json", *words)


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--baseline", "/nowhere/b.json"), ("/nowhere/b.json: no such baseline", "--update-baseline")),
        (("--update-baseline",), ("--update-baseline needs --baseline",)),
        (("--detector", "mirrow"), ("unknown detector 'mirrow'; did you mean mirror",)),
        (("--models", "corect"), ("unknown model 'corect'; did you mean correct",)),
        (("--detector-path", "/nowhere.py"), ("detector path /nowhere.py: no such file",)),
        (("--detector-path", "tools/matrix.py"), ("tools/matrix.py: no ITEM or ITEMS in it",)),
        (("--badge", "-", "--detector-path", WRONG, "--detector", "echo-only"), ("--badge is for one",)),
        (("--client", "./client"), ("'program' is a program: it needs the emulated world",)),
        (("--server", "./server"), ("--server", "need --client")),
        (("--with", "mirror"), ("--with", "need --client")),
        (("--ready-port", "udp/5060"), ("options of a program", "need --client")),
        (("--from", "quickstart.yaml"), ("quickstart.yaml", "no such file")),
        (("--json", "/nowhere/score.json"), ("/nowhere/score.json",)),
        (("--topology", "nowhere"), ("unknown topology 'nowhere'",)),
    ],
)
def test_bad_input(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    one_line_error(siplab("score", "--world", "simulated", "--detector", "mirror", *arguments), *words)


def test_an_experiment_without_detectors_is_no_scoreboard(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("id: mine\nmodels: [none]\nscenarios: [register]\n")
    one_line_error(siplab("score", "--from", str(file)), "mine.yaml", "'detectors'", "no detector")


def test_a_detector_that_raises_fails_alone(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from dataclasses import dataclass\n"
        "from siplab.experiments.trial.registry import Item\n"
        "@dataclass(frozen=True)\n"
        "class Mine:\n"
        "    def run(self, stage):\n"
        "        raise KeyError('via')\n"
        "ITEM = Item('mine', 'For a test.', Mine())\n"
    )
    file = tmp_path / "score.json"
    done = siplab(
        *("score", "--world", "simulated", "--detector-path", str(mine), "--json", str(file)),
        *("--detector", "mine", "--detector", "mirror", *SOME),
    )
    assert done.returncode == 1, "it gave nothing but errors"
    raising, mirror = json.loads(file.read_text())["detectors"]
    assert raising["errors"] == len(raising["rows"])
    assert raising["rows"][0]["detail"] == "it raised KeyError: 'via'"
    assert "it raised KeyError: 'via'" in done.stdout
    assert mirror["errors"] == 0
    assert mirror["detection"]["rate"] == 1


def test_an_invalid_trial_fails_the_scoreboard(tmp_path: Path) -> None:
    mine = tmp_path / "raises.py"
    mine.write_text(
        "from dataclasses import dataclass\n"
        "from siplab.model import Card, Model, Recipe\n"
        "@dataclass(frozen=True)\n"
        "class Raises:\n"
        "    def apply(self, message, context):\n"
        "        raise ValueError('no')\n"
        "MODEL = Model('raises', Card('For a test.'), Recipe(last=(Raises(),)))\n"
    )
    done = siplab(
        *("score", "--world", "simulated", "--model-path", str(mine), "--models", "raises"),
        *("--detector", "mirror"),
    )
    assert done.returncode == 1, done.stderr
    assert "invalid" in done.stdout


def test_the_detector_of_the_page_works(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "scoreboard.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    file = tmp_path / "hopeful.py"
    file.write_text(code)
    (command,) = re.findall(r"^    siplab (score --detector-path hopeful.py .*)$", page, re.MULTILINE)
    words = command.replace("hopeful.py", str(file)).split()
    done = siplab(*words, "--world", "simulated", *SOME, "--csv", str(tmp_path / "score.csv"))
    assert done.returncode == 0, done.stderr
    with (tmp_path / "score.csv").open(newline="") as lines:
        outcomes = {line["id"]: line["outcome"] for line in csv.DictReader(lines)}
    assert outcomes["semicolon-loss"] == "caught"  # the phone can't register
    assert outcomes["correct"] == "missed"
    assert outcomes["plain-nat"] == "quiet"


# -- a program -------------------------------------------------------------------------------------

_CLIENT = """
import base64, socket, sys
server, own = sys.argv[1], sys.argv[2]
probe = (
    f"OPTIONS sip:{server} SIP/2.0\\r\\nVia: SIP/2.0/UDP {own}:5060;rport;branch=z9hG4bK1\\r\\n"
    f"Max-Forwards: 70\\r\\nFrom: <sip:a@{own}>;tag=1\\r\\nTo: <sip:{server}>\\r\\nCall-ID: 1\\r\\n"
    f"CSeq: 1 OPTIONS\\r\\nContact: <sip:a@{own}:5060>\\r\\nContent-Length: 0\\r\\n\\r\\n"
).encode()
family = socket.AF_INET6 if ":" in own else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as sock:
    sock.bind((own, 5060))
    sock.settimeout(0.5)
    for _ in range(8):
        sock.sendto(probe, (server, 5060))
        try:
            answer = sock.recv(65535)
        except TimeoutError:
            continue
        image = base64.b64decode(answer.partition(b"\\r\\n\\r\\n")[2])
        sys.exit(0 if image == probe else 2)
sys.exit(3)
"""


@pytest.mark.needs("emulated")
def test_a_program_is_scored_by_its_exit_status(tmp_path: Path) -> None:
    client = tmp_path / "client.py"
    client.write_text(_CLIENT)
    file = tmp_path / "score.json"
    done = siplab(
        *("score", "--client", f"{sys.executable} {client} {{server_ip}} {{phone_ip}}", "--with", "mirror"),
        *("--alg-exit", "2", "--clean-exit", "0", "--undecided-exit", "3", "--name", "mine"),
        *(*SOME, "--json", str(file), "--jobs", "2"),
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    (mine,) = json.loads(file.read_text())["detectors"]
    outcomes = {row["id"]: row["outcome"] for row in mine["rows"]}
    assert (outcomes["correct"], outcomes["semicolon-loss"]) == ("caught", "caught")
    assert outcomes["keepalive-crlf-swallowed"] == "out-of-reach"
    for name in ("plain-nat", "symmetric", "double-nat", "no-nat"):
        assert outcomes[name] == "quiet", mine["rows"]
    assert mine["false_alarms"]["count"] == 0


# -- what is hard to print -------------------------------------------------------------------------


def _score(detail: str, outcome: str = "false-alarm", name: str = "d") -> Score:
    subject = Subject("plain-nat", "clean", "clean", "home", "none", "plain-nat")
    return Score(name, (Row(subject, (outcome,), ("alg",), ("a|b",), (), 0, 0, detail),))


@pytest.mark.parametrize("detail", ["\x00\x1b[31m", "<&>\"'", "a\nb", "\ud800", "\ufffe", "\U0001f4de"])
def test_junit_is_xml_whatever_a_detector_says(detail: str) -> None:
    text = junit.as_xml([_score(detail, name='"<d>&')])
    suite = ElementTree.fromstring(text.encode()).find("testsuite")
    assert suite is not None
    assert suite.get("name") == '"<d>&'
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "false-alarm"
    assert "accused" in failure.get("message", "")


@pytest.mark.parametrize(
    ("outcome", "element"),
    [
        ("missed", "failure"),
        ("undecided", "failure"),
        ("error", "error"),
        ("invalid", "error"),
        ("out-of-reach", "skipped"),
        ("unscored", "skipped"),
    ],
)
def test_junit_elements(outcome: str, element: str) -> None:
    case = ElementTree.fromstring(junit.as_xml([_score("", outcome)]).encode()).find("testsuite/testcase")
    assert case is not None
    assert [child.tag for child in case] == [element]


def test_markdown_cells_hold_what_they_are_given() -> None:
    text = outputs.as_markdown([_score("", name="a|b")], repeated=True)
    assert "| a\\|b | -1.00 | - | - | 1/1 (100 %, 21 to 100) |" in text


@pytest.mark.parametrize(("share", "shown"), [(0, 0), (0.001, 1), (0.5, 50), (0.999, 99), (1, 100)])
def test_only_everything_is_a_hundred_percent(share: float, shown: int) -> None:
    assert percent(share) == shown


def test_a_colour_tells_the_worthless_from_the_good() -> None:
    assert json.loads(outputs.as_badge(_score("")))["color"] == "red"
