"""A hosted provider that solves NAT at its own end (RFC 7362).

It answers to where a request came from, asked or not, as Kamailio's ``force_rport`` does, and relays all
media: they go back to where the first packets come from, whatever the SDP says, as with rtpengine. Phones
that show that they are behind NAT are called where their REGISTER came from, and kept alive with OPTIONS, as
nathelper's ``ping_nated_only`` has it. So an ALG that hides the NAT well switches the keep-alive off, and
incoming calls fail once the binding has ended; one that hides it and gets the Contact wrong makes them fail
at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal

from annotated_types import Gt

from siplab.experiments.trial.endpoints import ServerKind
from siplab.experiments.trial.registry import Item
from siplab.lab.server.nat_tests import NatTest

_VIA: Final[tuple[NatTest, ...]] = ("via-host", "via-port")
_CONTACT: Final[tuple[NatTest, ...]] = ("contact-private",)
_TESTS: Final[Mapping[str, tuple[NatTest, ...]]] = {
    "both": (*_CONTACT, *_VIA),
    "via": _VIA,
    "contact": _CONTACT,
    "always": (),
}


@dataclass(frozen=True)
class Hosted(ServerKind):
    """``ping``: which phones are kept alive, every ``interval`` seconds.

    ``detect``: what shows that a phone is behind NAT: a Via that is not where the REGISTER came from, a
    private address in Contact, one of both (nathelper's test 19), or nothing: all are taken for that.
    ``latch``: whose media go back to where they come from: everybody's, or those of phones whose SDP does not
    name the address that the message came from (AudioCodes' NATMode 3).
    """

    far_kind: ClassVar[str] = "plain"

    ping: Literal["natted", "all", ""] = "natted"
    interval: Annotated[float, Gt(0)] = 25.0
    detect: Literal["both", "via", "contact", "always"] = "both"
    latch: Literal["always", "untrusted"] = "always"

    def server(self) -> Mapping[str, Any]:
        return {
            "rport": "always",
            "nat_tests": _TESTS[self.detect],
            "store": "source" if self.detect == "always" else "source-if-nat",
            "relay_when": "always",
            "latch": self.latch,
            "ping": self.ping,
            "ping_interval": self.interval,
        }


ITEM = Item("hosted", "Far-end NAT traversal: media relay, and help where a NAT is seen.", Hosted())
