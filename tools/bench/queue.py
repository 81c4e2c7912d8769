"""CPU time per packet through the netfilter queue.

Compared with a bare accept(), and with scapy, which parses and rebuilds the same packets. If there are two
cores, the process that sends and the one that reads the queue run on different ones.
"""

from __future__ import annotations

import gc
import os
import resource
import select
import socket
import statistics
from collections.abc import Callable, Iterator
from typing import Any, Final

from siplab.alg_models import catalogue, samples
from siplab.experiments.trial import run as trial
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.emulated import capability
from siplab.lab.worlds.emulated import namespaces as ns
from siplab.lab.worlds.emulated.live import LiveWorld
from siplab.lab.worlds.emulated.world import EmulatedLab
from tools.bench.parts import ROUNDS, Part, Row, in_bubble, show, spread

PACKETS: Final = 6000
SCAPY_PACKETS: Final = 600
_OURS: Final = "siplab, correct"
WINDOW: Final = 32  # datagrams in flight at a time
PHONE, SERVER = Endpoint("192.168.1.102", 5060), Endpoint("198.51.100.10", 5060)
RTP_PHONE, RTP_FAR = Endpoint("192.168.1.102", 49170), Endpoint("198.51.100.20", 40000)


def _payloads() -> dict[str, tuple[Endpoint, Endpoint, bytes]]:
    own = samples.PHONE.ip.encode(), PHONE.ip.encode()
    invite = samples.all_samples()["invite"].payload.replace(*own)
    body = invite.partition(b"\r\n\r\n")[2]
    invite = invite.replace(b"Content-Length: 110", b"Content-Length: %d" % len(body))
    return {
        "RTP, 172 bytes": (RTP_PHONE, RTP_FAR, b"\x80\x00" + bytes(170)),
        "REGISTER": (PHONE, SERVER, samples.all_samples()["register"].payload.replace(*own)),
        "INVITE with SDP": (PHONE, SERVER, invite),
    }


def _bare(packet: Any) -> None:
    packet.accept()


def _scapy(packet: Any) -> None:
    from scapy.layers.inet import IP, UDP

    parsed = IP(packet.get_payload())
    parsed.src = "203.0.113.7"
    del parsed.chksum, parsed.len
    del parsed[UDP].chksum, parsed[UDP].len
    packet.set_payload(bytes(parsed))
    packet.accept()


class _Generator:
    """A process of its own that keeps ``WINDOW`` datagrams in flight from one host to another."""

    def __init__(self, lab: EmulatedLab, source: Endpoint, target: Endpoint, payload: bytes) -> None:
        nodes = lab.network.addresses
        with ns.inside(lab.fabric.namespaces[nodes[source.ip]]):
            self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with ns.inside(lab.fabric.namespaces[nodes[target.ip]]):
            self._in = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._out.bind(tuple(source))
        self._in.bind(tuple(target))
        self._target, self._payload = tuple(target), payload

    def start(self, count: int) -> int:
        """Fork; returns the child's process id."""
        child = os.fork()
        if child:
            return child
        if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(0, {1})
        self._in.settimeout(20.0)  # a busy machine
        sent = received = 0
        try:
            while received < count:
                while sent < count and sent - received < WINDOW:
                    self._out.sendto(self._payload, self._target)
                    sent += 1
                self._in.recv(65535)
                received += 1
        except TimeoutError:
            os._exit(1)
        os._exit(0)

    def close(self) -> None:
        self._out.close()
        self._in.close()


def _cpu_per_packet(lab: EmulatedLab, make: Callable[[], Any], load: _Generator, count: int) -> float:
    """Microseconds of this process's CPU time per packet."""
    owner = make()
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF)
    child = load.start(count)
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    for queue in lab.queues.values():
        poll.register(queue, select.POLLIN)
    queues = {queue.fileno(): queue for queue in lab.queues.values()}
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        for descriptor in ready - {ended}:
            queues[descriptor].run()
        if ready == {ended}:
            break
    after = resource.getrusage(resource.RUSAGE_SELF)
    os.close(ended)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if isinstance(owner, LiveWorld):
        problems = owner.close()
    else:
        problems, lab.world = [], None
    if status or problems:
        raise RuntimeError(f"packets were lost: {problems or 'the generator waited in vain'}")
    used = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    return used / count * 1e6


class _Callback:
    """Takes the place of a world, and passes packets to a plain function."""

    def __init__(self, lab: EmulatedLab, function: Callable[[Any], None]) -> None:
        self._function = function
        lab.world = self  # type: ignore[assignment]

    def queued(self, gateway: str, side: object, packet: Any) -> None:
        self._function(packet)


def measure() -> dict[str, Any]:
    """By kind of packet: microseconds of CPU for each way to handle it, and the ratios."""
    return in_bubble(__name__)


def measured() -> dict[str, Any]:
    """The same, measured here."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {0})
    lab = EmulatedLab(trial.network("home"))
    correct = catalogue.load().get("correct")
    kinds: dict[str, Any] = {}
    for name, (source, target, payload) in _payloads().items():
        load = _Generator(lab, source, target, payload)
        modes: dict[str, tuple[Callable[[], Any], int]] = {
            "bare accept()": (lambda: _Callback(lab, _bare), PACKETS),
            _OURS: (lambda: LiveWorld(lab, {"router": correct}, 0), PACKETS),
            "scapy rebuild": (lambda: _Callback(lab, _scapy), SCAPY_PACKETS),
        }
        times: dict[str, list[float]] = {mode: [] for mode in modes}
        for _ in range(ROUNDS):  # alternate, so that a busy moment affects all alike
            for mode, (make, count) in modes.items():
                times[mode].append(_cpu_per_packet(lab, make, load, count))
        load.close()
        row = {mode: spread(values) for mode, values in times.items()}
        ours = statistics.median(times[_OURS])
        kinds[name] = {
            "cpu_us_per_packet": row,
            "times_bare": round(ours / statistics.median(times["bare accept()"]), 2),
            "cheaper_than_scapy": round(statistics.median(times["scapy rebuild"]) / ours, 1),
        }
    lab.close()
    return kinds


def rows(found: dict[str, Any]) -> Iterator[Row]:
    for name, row in found.items():
        for mode, values in row["cpu_us_per_packet"].items():
            ours = mode == _OURS
            times = f"{row['times_bare']} x bare accept(), {row['cheaper_than_scapy']} x cheaper than scapy"
            yield Row(f"queue, {name}: {mode}", show(values, "us CPU"), times if ours else "")


PART: Final = Part("queue", measure, rows, capability.obstacle)
