"""`siplab replay`: what a capture becomes behind a router with a model."""

from __future__ import annotations

from pathlib import Path

from siplab.experiments import captures
from siplab.lab.wire import ip
from tests.command import siplab
from tests.experiments.captures import wrappings


def test_messages_leave_as_the_model_writes_them(tmp_path: Path) -> None:
    (tmp_path / "in.pcap").write_bytes(wrappings.pcap([wrappings.PACKET], 101))
    out = tmp_path / "out.pcapng"
    done = siplab("replay", str(tmp_path / "in.pcap"), "--model", "semicolon-loss", "--out", str(out))
    assert done.returncode == 0
    before, after = captures.read(out).messages
    assert (before.tap, after.tap) == ("inside", "outside")
    assert before.payload == wrappings.MESSAGE
    assert after.source.ip == "203.0.113.7"
    assert b"Contact: <sip:alice@203.0.113.7" in after.payload


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    outside = ip.udp(wrappings.SERVER, wrappings.SERVER, wrappings.MESSAGE)
    (tmp_path / "out.pcap").write_bytes(wrappings.pcap([outside], 101))
    for path, model in (("out.pcap", "linux"), ("nowhere", "linux"), ("out.pcap", "no-such-model")):
        done = siplab("replay", str(tmp_path / path), "--model", model, "--out", str(tmp_path / "x.pcapng"))
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
