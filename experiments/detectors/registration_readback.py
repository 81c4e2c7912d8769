"""Register through the port of SIP, and read the registration back through another port.

A REGISTER without Contact is answered with the bindings that the registrar holds (RFC 3261 section 10.3).
Read over a port that no ALG looks at, they show the Contact as the registrar got it: an address that the
phone never wrote was written on the way. Read over the port of SIP itself an ALG would have put it right
again. Any registrar with a second port will do. Most that write their own view into Contact (``received``)
do so in parameters, but some in the place of what the phone wrote: where another address is found, one
more registration, over the other port, shows whether they do. What it can't see: an ALG that leaves Contacts
alone, or one that looks at both ports.
"""

from __future__ import annotations

from dataclasses import dataclass

from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import PASSWORDS, Finding, Stage
from siplab.lab.probing.probe_messages import request
from siplab.lab.probing.sip_client import Asking, SipClient
from siplab.lab.sip.digest import Credentials
from siplab.lab.sip.messages import Incoming
from siplab.lab.wire.headers import uris
from siplab.lab.wire.ip import Endpoint

_USER = "alice"


@dataclass(frozen=True)
class RegistrationReadback:
    """Register, read back over the other port, compare, and take the registration back."""

    def run(self, stage: Stage) -> Finding:
        config = stage.server.config
        ports = [stage.setup.sip_port, next(each for each in config.ports if each != stage.setup.sip_port)]
        near, other = (Endpoint(config.ip, port) for port in ports)
        host, address = stage.host("phone")
        local = Endpoint(address, 5060)

        def register(mark: bytes, number: int, who: Credentials, contact: bool = True) -> bytes:
            extra = who.lines(b"REGISTER", b"sip:" + config.domain.encode())
            if contact:
                extra = b"Expires: 120\r\n" + extra
            wire = request(b"REGISTER", mark, local, headers=extra, user=_USER.encode(), number=number)
            if contact:
                return wire
            head, _, rest = wire.partition(b"Contact: ")
            return head + rest.partition(b"\r\n")[2]

        rng = stage.rng("asker")

        def ask(*askings: Asking) -> list[Incoming | None]:
            client = SipClient(local, askings, Credentials(_USER, PASSWORDS[_USER], rng), rng)
            stage.world.add(host, client)
            stage.until(lambda: client.done, 120.0)
            stage.world.remove(client)
            return [*client.answers, None, None][:2]

        read_back: Asking = (other, lambda mark, number, who: register(mark, number, who, contact=False))
        first, second = ask((near, register), read_back)
        if second is None or second.status != 200:
            return Finding("undecided", detail=f"port {other.port} gives no list of bindings")
        if first is None or first.status != 200:
            return Finding("undecided", detail="the registration did not succeed")
        places = _bindings(second)
        if not places:
            return Finding("undecided", detail="the registrar holds no binding of the phone")
        wrong = [each for each in places if each != local]
        if not wrong:
            return Finding("clean")
        text = f"the registrar holds {wrong[0]}, and the phone wrote {local}"
        third, fourth = ask((other, register), read_back)
        if (
            third is not None
            and third.status == 200
            and fourth is not None
            and local not in _bindings(fourth)
        ):
            return Finding(
                "undecided", detail=f"{text}; over port {other.port} too: it may write that itself"
            )
        return Finding("alg", ("Contact",), text, evidence=(text,))


def _bindings(answer: Incoming) -> list[Endpoint]:
    """The places of the bindings in an answer; port 0 for none."""
    places = [place for value in answer.values(b"contact") for place in uris(value)[:1]]
    return [Endpoint(each.bare_host.decode("latin-1"), each.port or 0) for each in places]


ITEM = Item(
    "registration-readback",
    "Registers, and reads the registration back over another port.",
    RegistrationReadback(),
)
