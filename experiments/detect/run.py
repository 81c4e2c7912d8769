"""Examines the paths from this machine to a detection server, one after the other."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from siplab.experiments.detect import streams
from siplab.experiments.detect.report import Report, Way
from siplab.experiments.detect.stage import DetectionWorld, LiveStage
from siplab.experiments.detect.streams import Exchange, Kind
from siplab.experiments.detectors import comparisons
from siplab.experiments.detectors.probe_runs import finding_of, invite, plain, register, run_probes
from siplab.experiments.trial import registry
from siplab.experiments.trial.stage import Finding
from siplab.lab.errors import UsageError
from siplab.lab.probing.probe_plan import Probe
from siplab.lab.probing.reflector import CONTROL_PORT
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds import host_sockets

OTHER_PORT: Final = 6060
TLS_PORT: Final = 5061
# Detectors that need nothing from the server but the reflector.
DETECTORS: Final = (
    "combined",
    "answers",
    "content-length",
    "control-probes",
    "silent-server",
    "obfuscated-source",
    "port-compare",
    "rtp-port",
    "same-rtp-port",
    "stun-mapping",
    "tripwires",
)
_PHONE_PORTS: Final = (5060, 5062, 5070)
_SHORT: Final = 10.0  # seconds for the other UDP port

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What to examine. ``port``: the server's SIP port; ``tls_port`` 0 for none. ``limit`` in seconds."""

    server: str
    port: int = 5060
    tls_port: int = TLS_PORT
    detector: str = "combined"
    streams: bool = True
    local_port: int = 0
    limit: float = 90.0

    @property
    def other(self) -> int:
        return OTHER_PORT if self.port != OTHER_PORT else 5060


def run(request: Request, tell: Tell = lambda _: None) -> Report:
    """Examine every way. Raises ``UsageError`` for an unsuitable detector, or a port in use."""
    if registry.detectors().get(request.detector).id.partition("(")[0] not in DETECTORS:
        raise UsageError(
            f"detector '{request.detector}' does not run over a real network; "
            f"there are {', '.join(DETECTORS)}"
        )
    began = time.monotonic()
    deadline = began + request.limit
    server = Endpoint(request.server, request.port)
    own = Endpoint(host_sockets.own_address(server), 0)
    own = Endpoint(own.ip, _phone_port(own.ip, request.local_port))
    examination = _Examination(request, server, own, deadline, tell)
    examination.go()
    return Report(
        server=str(server),
        detector=request.detector,
        own=str(own),
        public=examination.public,
        ways=tuple(examination.ways),
        faults=examination.faults,
        untested=tuple(examination.untested),
        seconds=round(time.monotonic() - began, 3),
    )


def _phone_port(ip: str, wanted: int) -> int:
    """The source port for SIP: 5060, or another one if a phone on this machine uses that."""
    for port in (wanted,) if wanted else _PHONE_PORTS:
        if host_sockets.is_free(Endpoint(ip, port)):
            return port
    if wanted:
        raise UsageError(f"port {wanted} of {ip} is in use: name another with --local-port")
    return host_sockets.free_port(ip)


class _Examination:
    def __init__(
        self, request: Request, server: Endpoint, own: Endpoint, deadline: float, tell: Tell
    ) -> None:
        self._request, self._server, self._own = request, server, own
        self._deadline, self._tell = deadline, tell
        self._rng = random.SystemRandom()
        self.ways: list[Way] = []
        self.untested: list[str] = []
        self.faults: tuple[str, ...] = ()
        self.public = ""

    def go(self) -> None:
        request = self._request
        if self._own.port != 5060:
            self.untested.append(
                f"an ALG that looks at the phone's port 5060 only: from port {self._own.port}"
            )
        self._tell(f"UDP port {request.port}: {request.detector}")
        found, refused = self._udp(
            lambda stage: registry.detectors().get(request.detector).settings.run(stage)
        )
        self.faults = found.faults
        self.ways.append(_way("UDP", request.port, found))
        if not request.streams:
            self.untested.append("TCP and TLS: not asked for")
            return
        self._tell(f"TCP port {request.port}")
        first = self._exchange("TCP", request.port)
        if refused and not first.connected:
            self.untested.append(f"TCP, TLS and other ports: {first.problem}")
            return
        self._tell(f"TCP port {request.other}")
        other = self._exchange("TCP", request.other)
        again = (
            [self._exchange("TCP", request.port) for _ in range(streams.AGAIN - 1)] if first.silent else []
        )
        self._judge("TCP", request.port, [first, *again], other)
        self._judge("TCP", request.other, [other], None)
        if request.tls_port:
            self._tell(f"TLS port {request.tls_port}")
            self._judge("TLS", request.tls_port, [self._exchange("TLS", request.tls_port)], None)
        else:
            self.untested.append("TLS: not asked for")
        if refused:
            return
        self._tell(f"UDP port {request.other}")
        found, _ = self._udp(_briefly, port=request.other, limit=_SHORT)
        self.ways.insert(1, _way("UDP", request.other, found))

    # -- UDP -------------------------------------------------------------------------------------------

    def _udp(
        self, detect: Callable[[LiveStage], Finding], port: int = 0, limit: float = 0.0
    ) -> tuple[Finding, bool]:
        """The finding, and whether the server did not answer at all."""
        left = self._deadline - time.monotonic()
        for last in (False, False, True):
            world = DetectionWorld(self._own.ip, self._server.ip, min(left, limit or left))
            stage = LiveStage(world, self._own, Endpoint(self._server.ip, port or self._server.port))
            try:
                found = detect(stage)
                break
            except UsageError:  # the control port is random, and may be in use
                if last:
                    raise
            finally:
                problems = world.close()
        refused = stage.refused
        self.public = stage.public or self.public
        if refused:
            text = f"the detection server does not answer at UDP port {CONTROL_PORT} of {self._server.ip}"
            found = Finding("undecided", detail=text)
        elif not found.evidence and left < 0.5:
            found = Finding("undecided", detail="no time was left")
        self.untested += problems[:1]
        return found, refused

    # -- streams ---------------------------------------------------------------------------------------

    def _exchange(self, kind: Kind, port: int) -> Exchange:
        return streams.exchange(Endpoint(self._server.ip, port), kind, self._rng, self._deadline)

    def _judge(self, kind: Kind, port: int, seen: Sequence[Exchange], other: Exchange | None) -> None:
        if seen[0].connected:
            self.ways.append(streams.judge(kind, port, seen, other))
        else:
            self.untested.append(f"{kind} port {port}: {seen[0].problem}")


def _briefly(stage: LiveStage) -> Finding:
    """A registration, a call and a private method: enough to see whether an ALG reads this port."""

    def few(local: Endpoint) -> Sequence[Probe]:
        return [
            register(local, "200"),
            invite(local, "486"),
            plain(local, b"PROBE", "200"),
        ]

    seen = run_probes(stage, few, rounds=1)
    return finding_of(seen, *comparisons.gather(seen, *comparisons.EVERY))


def _way(transport: str, port: int, found: Finding) -> Way:
    return Way(transport, port, found.verdict, found.changed, found.detail, found.evidence)
