"""Bytes that a web page makes a browser send open a port of the router ("NAT slipstreaming")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Ge, Gt

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.gateway.binding_table import PortsExhaustedError
from siplab.lab.wire.headers import name_addr as read_name_addr
from siplab.lab.wire.headers import parse_uri, split_list, uris, vias
from siplab.lab.wire.ip import TCP, UDP, Endpoint
from siplab.lab.wire.sip import SipMessage

_PROTOCOLS: Final = {b"udp": UDP, b"tcp": TCP}


@dataclass(frozen=True)
class TrustAnyRegister:
    """Open a pinhole for every Contact of a REGISTER going out, whoever sent it.

    A TCP segment that begins like a message counts as one, whatever came before in its connection. The
    ALG does not wait for a registrar's answer. The inside port must be ``lowest_port`` or above; the
    pinhole admits everybody for ``lifetime`` seconds.
    """

    lowest_port: Annotated[int, Ge(1)] = 1
    lifetime: Annotated[float, Gt(0)] = 3600.0

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,), policy={"tcp": "segment"})

    def apply(self, message: SipMessage, context: Context) -> None:
        if not context.outbound or message.is_response or message.method != b"REGISTER":
            return
        top = vias(message.value(b"via"))[:1]
        if not top or top[0].sent_by.host != context.inside.ip.encode():
            return  # the only check: the Via must have the sender's address
        for field in message.all(b"contact"):
            for start, end in split_list(field.value):
                self._open(field.value[start:end], context)

    def _open(self, contact: bytes, context: Context) -> None:
        uri = parse_uri(read_name_addr(contact).uri)
        for place in uris(contact)[:1]:
            endpoint = Endpoint(place.bare_host.decode("latin-1"), place.port or 5060)
            if not self.lowest_port <= endpoint.port < 65536 or ":" in endpoint.ip:
                return
            if not context.is_inside(endpoint.ip):
                return
            named = uri.parameters.get(b"transport", b"").lower() if uri else b""
            protocol = _PROTOCOLS.get(named, context.protocol)
            try:
                binding = context.nat.reserve(protocol, endpoint, context.now)
            except PortsExhaustedError:
                return
            context.nat.open_pinhole(binding, None, context.now + self.lifetime, ("register", endpoint))


MODEL = Model(
    id="pinhole-hijack",
    card=Card(
        fault_class="state",
        summary=(
            "Opens a port for everybody when any packet begins like a REGISTER, such as a piece of a web "
            "form that a browser posts to port 5060."
        ),
        examples=(
            Example(
                "state-posted-register",
                b"Contact: <sip:a@192.168.1.20:22;transport=TCP>",
                b"Contact: <sip:a@203.0.113.7:61004;transport=TCP>",
            ),
            # A stranger who sends to that port reaches port 22 of the computer.
            Example("state-stranger-at-ssh", b"SSH-2.0-stranger", b"SSH-2.0-stranger"),
        ),
        rules=("RFC 3261 10.3", "RFC 3261 18.3", "RFC 4787 7"),
        symptom=(
            "Nobody notices: a web page that somebody in the house looks at opens a way from the "
            "internet to any port of the computers there."
        ),
        sources=(
            Source(
                "CVE-2020-28041: Netgear R7000",
                Evidence.VENDOR_DOCUMENTATION,
                "https://raw.githubusercontent.com/CVEProject/cvelistV5/main/cves/2020/28xxx/CVE-2020-28041.json",
            ),
            Source("samyk/slipstream, with an analysis of the firmware", Evidence.USER_REPORT),
            Source(
                "Linux net/netfilter/nf_conntrack_sip.c is stricter: ports from 1024, and only after a 2xx",
                Evidence.SOURCE_CODE,
            ),
        ),
        shows=(Showing("stale-pinhole(after=web-page)", "stays shut"),),
    ),
    fault=TrustAnyRegister(),
    variants=({"lowest_port": 1024},),
)
