"""The phone and server of a trial that names none, and the strict ones that are shown beside them.

No statistics on phones or servers were found, so the default does not claim any share of a market. It is:

- ``desk``: desk phones, as far as their makers document their behaviour. They write an address into Call-ID,
  where an ALG finds it. Four stacks that do so were read; three of them accept no response with another
  Call-ID.
- ``proxy-detect``: the configurations that come with Kamailio and OpenSIPS. They help a phone if Via or
  Contact shows that it is behind NAT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Pair:
    """Kinds of endpoints: of the phones behind the router, the server, and the phones on the internet.

    ``far_phone``: if empty, the server's kind says it.
    """

    phone: str
    server: str
    far_phone: str = ""

    def __str__(self) -> str:
        return f"{self.phone} + {self.server}"


DEFAULT: Final = Pair("desk", "proxy-detect", "desk")
STRICT: Final = Pair("plain", "rport-aware")
"""As strict as the RFCs allow. What breaks these endpoints need not break real ones."""
