"""``siplab up --web``: a browser uses the page; who does not know the token gets nothing."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from siplab.experiments.interactive import web
from siplab.experiments.interactive.passed import AT_ONCE, Passed
from siplab.lab.errors import UsageError
from siplab.lab.gateway.sides import Emission, Side
from siplab.lab.wire import ip
from siplab.lab.worlds.trace import Passage
from tests.browsing import found_by, keep_pictures, lacking
from tests.command import siplab
from tests.conftest import missing
from tests.experiments.commands.test_up import PHONE, SERVER, ask
from tests.experiments.output.test_page import EVIL


class Served(NamedTuple):
    """A lab with a page. ``folder``: where its socket is."""

    address: str
    folder: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = str(tmp_path_factory.mktemp("run"))
    process = subprocess.Popen(
        [sys.executable, "-m", "siplab", "up", "home", "--with", "server", "--web"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "XDG_RUNTIME_DIR": folder},
        text=True,
    )
    try:
        assert process.stderr is not None
        lines = [process.stderr.readline(), process.stderr.readline()]
        assert "its page: http://127.0.0.1:" in lines[1], lines
        yield Served(lines[1].split()[-1], folder)
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def get(
    address: str, path: str, method: str = "GET", body: str = "", host: str = ""
) -> http.client.HTTPResponse:
    where = urlsplit(address)
    connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=20)
    headers = {"Host": host} if host else {}
    connection.request(method, path, body, headers)
    return connection.getresponse()


@pytest.mark.needs("emulated")
def test_only_who_knows_the_token_gets_anything(served: Served) -> None:
    token = urlsplit(served.address).path
    page = get(served.address, token)
    assert page.status == 200
    assert "script-src 'self'" in str(page.getheader("Content-Security-Policy"))
    assert "semicolon-loss" in page.read().decode()
    for path, method, host, status in [
        ("/", "GET", "", 404),
        ("/wrong/", "GET", "", 404),
        ("/wrong/alg", "POST", "", 404),
        (token + "nothing", "GET", "", 404),
        (token + "alg", "GET", "", 404),
        (token + "status", "POST", "", 404),
        (token, "GET", "evil.example", 400),
    ]:
        answer = get(served.address, path, method, host=host)
        assert answer.status == status, path
        assert "registrar" not in answer.read().decode()
    assert get(served.address, token + "age", "POST", "seconds=" + "9" * 5000).status == 413
    assert "alert" in get(served.address, token + "age", "POST", "seconds=much").read().decode()
    assert "alert" in get(served.address, token + "messages?since=x").read().decode()


@pytest.mark.needs("emulated")
def test_in_a_browser(served: Served, tmp_path: Path) -> None:
    if lack := lacking():
        missing(f"{lack}; tools/setup.sh test installs it")
    hostile = "Max-Forwards: 70"
    for number, (model, agent) in enumerate((("none", "a"), ("correct", "b"), ("correct", EVIL)), 1):
        assert siplab("alg", "set", model, XDG_RUNTIME_DIR=served.folder).returncode == 0
        program = ask(number).replace(hostile, f"{hostile}\\r\\nUser-Agent: {agent}")
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "siplab",
                "exec",
                "--lab",
                "lab",
                "phone",
                "--",
                sys.executable,
                "-c",
                program,
            ],
            env={**os.environ, "XDG_RUNTIME_DIR": served.folder},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout == "200\n", done.stderr
    found = found_by("live.mjs", served.address, tmp_path, timeout=120)
    keep_pictures(tmp_path)
    assert len(found) == 7
    assert found == dict.fromkeys(found, True)


@pytest.mark.needs("emulated")
def test_a_program_with_a_page_beside_it(tmp_path: Path) -> None:
    pcap, trace = tmp_path / "x.pcapng", tmp_path / "x.jsonl"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "siplab", "exec", "--web", "--model", "correct", "--with", "server"),
            *("--also", "laptop=sleep 600", "--pcap", str(pcap), "--trace", str(trace), "phone", "--"),
            *(sys.executable, "-c", f"{ask(1)}; print(input())"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        text=True,
    )
    try:
        assert process.stderr is not None
        address = process.stderr.readline().split()[-1]
        shown = get(address, urlsplit(address).path).read().decode()
        assert "<td>correct</td>" in shown
        assert process.communicate("through\n", timeout=60)[0] == "200\nthrough\n"
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
    assert b"OPTIONS sip:198.51.100.10" in pcap.read_bytes()
    assert pcap.with_suffix(".outside.pcapng").exists()
    assert trace.read_text().count('"passage"') >= 2  # the request and its answer crossed the router
    for options, said in (
        (("--gateway", "kernel"), "can do neither"),
        (("--also", "pbx=true"), "no host 'pbx'"),
    ):
        done = siplab("exec", "--web", *options, "phone", "--", "true")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert said in done.stderr


def test_messages_are_numbered_and_those_that_are_none_are_left_out() -> None:
    passed = Passed()
    options = ip.udp(PHONE, SERVER, b"OPTIONS sip:x SIP/2.0\r\n\r\n")
    media = ip.udp(PHONE, SERVER, b"\x80\0" * 90)
    for number in range(AT_ONCE + 5):
        for packet in (options, media, b"junk"):
            passed.take(
                Passage(float(number), "router", Side.INSIDE, packet, [Emission(Side.OUTSIDE, packet)])
            )
    first = passed.since(0)
    assert [each["number"] for each in first] == [*range(1, AT_ONCE + 1)]
    assert [each["number"] for each in passed.since(AT_ONCE)] == [*range(AT_ONCE + 1, AT_ONCE + 6)]
    assert (first[0]["before"].split()[0], first[0]["changed"]) == ("OPTIONS", False)


def test_without_the_packages_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with (
        pytest.raises(UsageError, match=r"'uvicorn' is missing: pip install 'siplab\[web\]'"),
        web.served("x", []),
    ):
        pass
