"""Which phone and server a trial has where nobody names one, and the strict ones that are shown beside them.

Nobody was found who counts phones or servers, so no share of any market stands behind the default. It is:

- ``desk``: the telephones that stand on desks, as far as their makers' documents say how they behave. They
  write an address into Call-ID, where an ALG finds it, and of the four stacks that were read and do the same
  three take no response with another Call-ID.
- ``proxy-detect``: the configurations that Kamailio and OpenSIPS come with, which help a phone where Via or
  Contact shows that it is behind NAT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Pair:
    """Kinds of endpoints: of the phones behind the router, the server, and the phones on the internet.

    ``far_phone``, empty: what the server's kind says.
    """

    phone: str
    server: str
    far_phone: str = ""

    def __str__(self) -> str:
        return f"{self.phone} + {self.server}"


DEFAULT: Final = Pair("desk", "proxy-detect", "desk")
STRICT: Final = Pair("plain", "rport-aware")
"""As strict as the RFCs let them be: what breaks these need not break anybody's."""
