"""A PBX in the home that writes its host name into Contact."""

from __future__ import annotations

from typing import Final

from siplab.alg_models.samples import Sample, inbound, outbound, sample
from siplab.alg_models.samples.basic import INCOMING, REGISTER

_BY_NAME: Final = REGISTER.replace(b"<sip:alice@192.168.1.20:5060>", b"<sip:alice@pbx.lan>")

SAMPLES: Final[dict[str, Sample]] = {
    "names-register": sample(outbound(_BY_NAME)),
    "names-invite": sample(
        outbound(_BY_NAME), inbound(INCOMING.replace(b"alice@203.0.113.7:61002", b"alice@pbx.lan"), 1.0)
    ),
}
