"""Let a request end at each router on the way, and read what their ICMP errors quote of it.

An INVITE is sent to the port of SIP, and to another, with a TTL of 1, 2, 3... A router at which it ends
quotes the beginning of what it got. A NAT puts the quoted addresses right again, but not the text of a
message: what differs in it was written by something before that router, so the probe also says how far away
the ALG is. The server needs to do nothing. Quotes of less than 64 bytes of the message say nothing. What it
can't see: changes behind the last router that quotes, or behind the part that it quotes (about 500 bytes),
and an ALG that does nothing to INVITEs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.counting import number_of
from siplab.lab.probing.mirror import MirrorServer
from siplab.lab.probing.probe_messages import request
from siplab.lab.probing.probe_wire import new_mark
from siplab.lab.probing.tracer import Tracer
from siplab.lab.wire.compare import differences
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

_ENOUGH: Final = 64  # bytes of a quote
_OTHER_PORT: Final = 6060


def changed_in(sent: bytes, quote: bytes) -> list[str]:
    """Names of the parts in which a quote, cut short or not, differs from the beginning of what was sent."""
    size = min(len(sent), len(quote))
    if sent[:size] == quote[:size]:
        return []
    before = SipMessage.parse(sent)
    after = SipMessage.parse(quote)
    whole = SipMessage(after.start_line, after.fields[:-1], b"", separator=b"")  # the last line may be cut
    same = SipMessage(before.start_line, before.fields[: len(whole.fields)], b"", separator=b"")
    return differences(bytes(same), bytes(whole)) or ["spacing"]


@dataclass(frozen=True)
class LowTtl:
    """Compare each quote with what was sent; stop where the server itself answers."""

    def run(self, stage: Stage) -> Finding:
        host, address = stage.host("server")
        port = stage.setup.sip_port
        other = _OTHER_PORT if port != _OTHER_PORT else _OTHER_PORT + 1
        stage.world.add(host, MirrorServer(address, sorted({5060, port, other})))
        server, control = Endpoint(address, port), Endpoint(address, other)
        host, address = stage.host("phone")
        local = Endpoint(address, 5060)
        client = Tracer(local, [server, control], request(b"INVITE", new_mark(stage.rng("tracer")), local))
        stage.world.add(host, client)
        stage.until(lambda: client.done, 120.0)
        changed: list[str] = []
        evidence: list[str] = []
        for remote, quotes in client.quotes.items():
            for ttl, quote in sorted(quotes.items()):
                names = changed_in(client.payload, quote) if len(quote) >= _ENOUGH else []
                if names:
                    changed += names
                    evidence.append(
                        f"to port {remote.port}: {number_of(ttl, 'hop')} away other bytes arrived: "
                        f"{', '.join(names)}"
                    )
        if evidence:
            return Finding("alg", tuple(dict.fromkeys(changed)), evidence[0], evidence=tuple(evidence))
        far = [ttl for ttl, quote in client.quotes[server].items() if ttl > 1 and len(quote) >= _ENOUGH]
        if not far:
            return Finding("undecided", detail="no router behind the first quotes enough of the message")
        return Finding("clean", detail=f"what was sent was seen {number_of(max(far), 'hop')} far")


ITEM = Item("low-ttl", "Reads in ICMP errors what routers on the way got.", LowTtl())
