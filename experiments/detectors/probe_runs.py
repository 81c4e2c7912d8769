"""Examinations: probes to a reflector in the registrar's place, and the probes that several detectors share.

No detector by itself. Everything that one of these learns comes over the network: what arrives, and what the
reflector reports on its control port.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.media import stun
from siplab.lab.probing.observation import Transit
from siplab.lab.probing.probe import ROUNDS, ProbeClient
from siplab.lab.probing.probe_messages import description, odd_invite, request, within
from siplab.lab.probing.probe_plan import Answers, Observations, Probe, ReflectorAddress
from siplab.lab.probing.reflector import RTP_PORT, Reflector
from siplab.lab.sip.messages import Incoming, hostport
from siplab.lab.wire.ip import Endpoint

PHONE_PORT: Final = 5060
_OTHER_PORT: Final = 6060
_PATIENCE: Final = 900.0  # seconds of the trial's clock


def run_probes(
    stage: Stage,
    probes: Callable[[Endpoint], Sequence[Probe]],
    *,
    rest: float = 0.0,
    rounds: int = ROUNDS,
    by_proxy: bool = False,
) -> Observations:
    """Have the phone's host put ``probes(its endpoint)`` to a reflector; returns what it observed.

    ``rest`` and ``rounds`` are ``ProbeClient``'s. ``by_proxy``: probes go by way of the outbound proxy, as a
    phone's messages do, on networks that have one.
    """
    host, address = stage.host("server")
    port = stage.setup.sip_port
    other = _OTHER_PORT if port != _OTHER_PORT else _OTHER_PORT + 1
    ports = sorted({PHONE_PORT, port, other})
    stage.world.add(host, Reflector(address, ports, shown=stage.setup.shown))
    host, address = stage.host("phone")
    local = Endpoint(address, stage.setup.phone.get("sip_port", PHONE_PORT))
    proxy = stage.outbound_proxy if by_proxy else None
    way = None if proxy is None else Endpoint(proxy.config.ip, port)
    site = ReflectorAddress(stage.host("server")[1], port, other, proxy=way)
    client = ProbeClient(local, site, probes(local), stage.rng("probe-client"), rest=rest, rounds=rounds)
    stage.world.add(host, client)
    stage.until(lambda: client.done, _PATIENCE + rest)
    return client.observe()


def finding_of(
    seen: Observations, changed: Sequence[str], evidence: Sequence[str], faults: Sequence[str] = ()
) -> Finding:
    """``alg`` with that evidence; without any ``clean``, or ``undecided`` when something got lost."""
    if evidence:
        return Finding(
            "alg", tuple(dict.fromkeys(changed)), evidence[0], tuple(faults), tuple(dict.fromkeys(evidence))
        )
    if not seen.complete:
        return Finding("undecided", detail="the reflector can't be reached on its control port")
    unanswered = [each for each in seen.missing if each.sent is not None]
    if unanswered:
        first = unanswered[0]
        return Finding("undecided", detail=f"{first.kind} {first.way} got lost, and so did others like it")
    return Finding("clean")


def name_of(transit: Transit) -> str:
    """A message for readers: ``200 INVITE to the phone``."""
    return f"{transit.kind} {transit.way}"


# -- probes ------------------------------------------------------------------------------------------

_PREFERRED = b"P-Preferred-Identity: <sip:probe@lab.test>\r\n"


def register(local: Endpoint, *orders: str, port: int = 0, source: int = 0) -> Probe:
    """A registration, as phones send it."""
    own = Endpoint(local.ip, source or local.port)
    return Probe(
        "REGISTER",
        lambda mark, answers, sent: request(b"REGISTER", mark, own, headers=b"Expires: 3600\r\n"),
        orders or ("200",),
        port=port,
        source=source,
    )


def plain(local: Endpoint, method: bytes, *orders: str, expects: int = -1, port: int = 0) -> Probe:
    """A request of any method without a body."""
    return Probe(
        method.decode(),
        lambda mark, answers, sent: request(method, mark, local, headers=_PREFERRED),
        orders,
        expects,
        port=port,
    )


def invite(
    local: Endpoint, *orders: str, name: str = "INVITE", filler: int = 0, port: int = 0, source: int = 0
) -> Probe:
    """An INVITE with a session description; ``filler`` bytes make it long."""
    own = Endpoint(local.ip, source or local.port)
    return Probe(
        name,
        lambda mark, answers, sent: request(b"INVITE", mark, own, body=description(own, filler=filler)),
        orders,
        port=port,
        source=source,
    )


def odd(local: Endpoint, *orders: str) -> Probe:
    """An INVITE in legal, but unusual spelling."""
    return Probe("odd INVITE", lambda mark, answers, sent: odd_invite(mark, local), orders)


def in_dialog(
    local: Endpoint,
    method: bytes,
    number: int,
    *orders: str,
    body: bytes = b"",
    name: str = "",
    expects: int = -1,
) -> Probe:
    """A request within the dialog of the probe ``INVITE``."""

    def compose(mark: bytes, answers: Answers, sent: Mapping[str, bytes]) -> bytes:
        answer: Incoming | None = answers.get("INVITE")
        return within(method, mark, local, sent.get("INVITE", b""), answer, number, body=body)

    return Probe(name or method.decode(), compose, orders, expects)


def refer(local: Endpoint, *orders: str) -> Probe:
    """A transfer to a phone beside this one (RFC 3515), replacing a call of its own (RFC 3891)."""

    def compose(mark: bytes, answers: Answers, sent: Mapping[str, bytes]) -> bytes:
        own = hostport(local)
        call = b"%b%%40%b" % (mark, local.ip.encode())
        target = b"Refer-To: <sip:beside@%b?Replaces=%b>\r\nReferred-By: <sip:probe@%b>\r\n" % (
            own,
            call,
            own,
        )
        return request(b"REFER", mark, local, headers=target)

    return Probe("REFER", compose, orders)


def unregister(local: Endpoint) -> Probe:
    """Every registration is taken back (RFC 3261 section 10.2.2)."""
    return Probe(
        "REGISTER *",
        lambda mark, answers, sent: request(
            b"REGISTER", mark, local, headers=b"Expires: 0\r\n", contact=b"*"
        ),
        ("200",),
    )


def keepalive() -> Probe:
    """CRLF twice (RFC 5626 section 4.4.1): the reflector answers with one."""
    return Probe("keep-alive", lambda mark, answers, sent: b"\r\n\r\n", (), 1, direct=True)


def binding_request(*, port: int = 0, source: int = 0) -> Probe:
    """STUN on the port of SIP (RFC 5626 section 4.4.2)."""
    return Probe(
        "STUN",
        lambda mark, answers, sent: stun.request(mark),
        ("stun",),
        port=port,
        source=source,
        direct=True,
    )


def rtp(source: int, *, port: int = RTP_PORT) -> Probe:
    """An RTP packet from the port that descriptions name; the reflector sends it back."""

    def compose(mark: bytes, answers: Answers, sent: Mapping[str, bytes]) -> bytes:
        return b"\x80\x00\x00\x01\x00\x00\x00\xa0\x12\x34\x56\x78" + mark + b"\xff" * 20

    return Probe("RTP", compose, ("echo",), port=port, source=source)
