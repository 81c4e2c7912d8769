"""Ask an ordinary server, and look at ``received`` in its answer: it must not be the phone's own private
address.

A server writes into the topmost Via where a request came from (RFC 3261 section 18.2.1, RFC 3581). Between a
private and a public address stands a NAT, so what the server saw was public. An answer whose
``received`` is the phone's own private address has been rewritten on its way back by something that took it
for an address to translate. No server of one's own is needed. What it can't see: an ALG that restores
answers well, and anything at all where no NAT is.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import DOMAIN, PASSWORDS, Finding, Stage
from siplab.lab.probing.probe_messages import request
from siplab.lab.probing.sip_client import Asking, SipClient
from siplab.lab.sip.digest import Credentials
from siplab.lab.sip.messages import Incoming
from siplab.lab.wire.ip import Endpoint

# RFC 1918, RFC 6598 (carrier-grade NAT), RFC 4193.
_PRIVATE: Final = [
    ipaddress.ip_network(each)
    for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
]


def is_private(address: str) -> bool:
    """Whether an address is good behind a NAT only; ``False`` for what is no address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in each for each in _PRIVATE)


def sanity(answer: Incoming, local: Endpoint, server: Endpoint) -> str:
    """What is wrong with ``received`` in an answer; empty for nothing."""
    parameters = answer.via.parameters if answer.via else {}
    received = parameters.get(b"received", b"").decode("latin-1")
    if is_private(local.ip) and not is_private(server.ip) and received == local.ip:
        return f"received={received}: the server can't have seen this private address"
    return ""


@dataclass(frozen=True)
class Received:
    """Ask the registrar for its abilities and for a registration, and read the Vias of its answers."""

    def run(self, stage: Stage) -> Finding:
        server = Endpoint(stage.server.config.ip, stage.setup.sip_port)
        host, address = stage.host("phone")
        local = Endpoint(address, 5060)
        domain = DOMAIN.encode()
        askings: list[Asking] = [
            (server, lambda mark, number, who: request(b"OPTIONS", mark, local, uri=b"sip:" + domain)),
            (server, lambda mark, number, who: request(b"REGISTER", mark, local, user=b"alice")),
        ]
        rng = stage.rng("asker")
        client = SipClient(local, askings, Credentials("nobody", PASSWORDS["alice"], rng), rng)
        stage.world.add(host, client)
        stage.until(lambda: client.done, 120.0)
        answers = [each for each in client.answers if each is not None]
        evidence = tuple(filter(None, (sanity(each, local, server) for each in answers)))
        if evidence:
            return Finding("alg", ("Via",), evidence[0], evidence=evidence)
        if not answers:
            return Finding("undecided", detail="the server does not answer")
        if not is_private(local.ip) or is_private(server.ip):
            return Finding("clean", detail="no NAT stands between these addresses: nothing to compare")
        return Finding("clean")


ITEM = Item("received", "The server's `received` must not be the phone's own private address.", Received())
