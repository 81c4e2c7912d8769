"""Sends the corpus through the running kernel: its NAT and its SIP ALG, between namespaces.

No timeout decides what left. After each datagram a *marker* follows on the same path: a datagram of another
flow, which no ALG reads and nothing drops. One processor does all the work and takes packets in order. So
what has not left the router before the marker will never leave.
"""

from __future__ import annotations

import os
import platform
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from siplab.experiments.calibration.corpus import Case
from siplab.experiments.calibration.outcome import Left, left
from siplab.experiments.calibration.places import INSIDE_IP, PUBLIC_IP, SERVER_IP
from siplab.lab.gateway.fragments import Reassembler
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError
from siplab.lab.worlds.base import WorldError
from siplab.lab.worlds.emulated import bubble, sockets
from siplab.lab.worlds.emulated import namespaces as ns
from siplab.lab.worlds.emulated.kernel import KernelLab
from siplab.lab.worlds.emulated.kernel_tap import Seen
from siplab.lab.worlds.network import Network

# Real seconds after which something must be broken. The kernel takes microseconds.
PATIENCE: Final = 5.0
_MARKER_PORT: Final = 39999
_MARKER: Final = b"marker "
# Hosts must not react to what arrives. The tap has seen it, and an ICMP error would be one more packet.
_DEAF: Final = "*raw\n-A PREROUTING -j DROP\nCOMMIT\n"
PARAMETERS: Final = Path("/sys/module/nf_conntrack_sip/parameters")

Outcome = list[list[Left]]  # for each datagram of a case: what left


class KernelSide:
    """The network `home` with the kernel's router in it. Works in a bubble only."""

    def __init__(self, network: Network) -> None:
        with suppress(OSError):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        gateway = next(iter(network.topology.gateways))
        self._lab = KernelLab(network, [gateway])
        self._tap = self._lab.taps[gateway]
        fabric = self._lab.fabric
        self._senders = {}
        for outbound, address in ((True, INSIDE_IP), (False, SERVER_IP)):
            namespace = fabric.namespaces[network.addresses[address]]
            with ns.inside(namespace):
                subprocess.run(
                    ["iptables-nft-restore"], input=_DEAF, text=True, check=True, capture_output=True
                )
            self._senders[outbound] = sockets.RawSender(namespace)
        self._fragments = Reassembler()
        self._markers = 0

    def play(self, case: Case) -> Outcome:
        """Send a case's datagrams, from an empty state. Raises ``WorldError`` if a marker gets lost."""
        self._lab.forget()
        self._mark(True)  # so that inbound markers have a binding
        outcome = []
        due = time.monotonic()
        for each in case.datagrams:
            due += each.after
            if each.after:
                time.sleep(max(0.0, due - time.monotonic()))  # the kernel's timers are real
                self._mark(True)  # the markers' binding may have expired, too
            self._senders[each.outbound].send(bytes(each))
            outcome.append(self._mark(each.outbound))
        return outcome

    def _mark(self, outbound: bool) -> list[Left]:
        """Send a marker. Returns what left the router before it."""
        self._markers += 1
        payload = _MARKER + str(self._markers).encode()
        outside = Endpoint(SERVER_IP, _MARKER_PORT)
        source, destination = (
            (Endpoint(INSIDE_IP, _MARKER_PORT), outside)
            if outbound
            else (outside, Endpoint(PUBLIC_IP, _MARKER_PORT))
        )
        self._senders[outbound].send(ip.udp(source, destination, payload))
        before: list[Left] = []
        poll = select.poll()
        poll.register(self._tap, select.POLLIN)
        while True:
            for seen in self._tap.read():
                datagram = self._left(seen) if seen.leaving else None
                if datagram is None:
                    continue
                if datagram.payload == payload:
                    return before
                before.append(datagram)
            if not poll.poll(PATIENCE * 1000):
                raise WorldError(f"a marker did not get through the router within {PATIENCE:g} s")

    def _left(self, seen: Seen) -> Left | None:
        """What leaves, as an outcome. A datagram in fragments counts once its last fragment has left."""
        packet: bytes | None = seen.packet
        with suppress(MalformedPacketError):
            parsed = ip.parse(seen.packet)
            if parsed.is_fragment:
                packet = self._fragments.add(parsed, seen.packet, time.monotonic())
        return None if packet is None else left(seen.side is Side.OUTSIDE, packet)

    def missed(self) -> int:
        return self._tap.missed()


def task(connection: Connection) -> None:
    """Run as a bubble's task. Answers requests ``(network or None, cases)`` with the cases' outcomes.

    The network comes with the first request.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller ends this process
    made: list[KernelSide] = []

    def handle(network: Network | None, cases: Sequence[Case]) -> list[Outcome]:
        if network is not None:
            made.append(KernelSide(network))
        outcomes = [made[-1].play(case) for case in cases]
        if made[-1].missed():
            raise WorldError("the tap missed packets: the run is invalid")
        return outcomes

    bubble.serve(connection, handle)


def version() -> str:
    """The running kernel's version."""
    return platform.release()


def parameters() -> dict[str, str]:
    """The parameters of the kernel's ALG, if it shows them."""
    found = {}
    if PARAMETERS.is_dir():
        for file in sorted(PARAMETERS.iterdir()):
            with suppress(OSError):
                found[file.name] = file.read_text().strip()
    return found
