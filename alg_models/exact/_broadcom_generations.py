"""What differs between the generations of Broadcom's ALG: one code base, four states of it.

Each was compared with the source of 4.16L05 (evidence: vendor-sources, 2.2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

Name = Literal["b1", "b2", "b3", "sercomm"]
Ending = Literal["nothing", "soon", "at-once"]


@dataclass(frozen=True)
class Generation:
    """One state of the code. The defaults are the newest's, b3.

    - ``named_origin``, ``named_contact``: whether a packet whose o= or Contact has a host name instead of an
      address passes or is dropped: ``pass`` or ``drop``.
    - ``all_connections``: every c= is translated, not only the first.
    - ``rtcp_address``: the address in a=rtcp is translated.
    - ``spares_via``: Via of responses 100, 180, 183 and 200 is left alone.
    - ``via_needs_port``: a Via without a port is left alone.
    - ``via_own_pinhole``: a Via with another port gets a public port of its own, not the flow's.
    - ``ending``: what BYE and 400 do to the media of the flow: ``nothing``, end it 5 s after its last
      packet, or ``at-once``.
    - ``all_contacts``: every Contact is translated, and Contacts coming in get the phone's endpoint back.
    - ``knows_stun``: a phone that writes the public address is treated as one that learnt it by STUN.
    - ``reassembles``: messages in IP fragments are inspected.
    """

    named_origin: Literal["pass", "drop"] = "pass"
    named_contact: Literal["pass", "drop"] = "pass"
    all_connections: bool = True
    rtcp_address: bool = True
    spares_via: bool = True
    via_needs_port: bool = False
    via_own_pinhole: bool = False
    ending: Ending = "soon"
    all_contacts: bool = False
    knows_stun: bool = False
    reassembles: bool = False


_B3: Final = Generation()
_B2: Final = replace(
    _B3,
    all_connections=False,
    rtcp_address=False,
    spares_via=False,
    via_needs_port=True,
    via_own_pinhole=True,
    ending="nothing",
)
GENERATIONS: Final[dict[Name, Generation]] = {
    "b1": replace(_B2, named_origin="drop", named_contact="drop"),
    "b2": _B2,
    "b3": _B3,
    "sercomm": replace(_B2, ending="at-once", all_contacts=True, knows_stun=True, reassembles=True),
}
