"""Takes a private address in what reached the server for the work of an ALG.

It is the work of no ALG: a phone behind plain NAT writes its own address, and nobody exchanges it. A router
that rewrites all of them, on the other hand, looks clean to this detector.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from siplab.experiments.detectors.wrong._exchange import ask
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.wire.sip import SipMessage

_ADDRESS: Final = re.compile(rb"\d{1,3}(?:\.\d{1,3}){3}")
_PRIVATE: Final = [ipaddress.ip_network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]


@dataclass(frozen=True)
class AnyPrivateAddress:
    def run(self, stage: Stage) -> Finding:
        asker = ask(stage, mirror=True)
        if asker.answer is None:
            return Finding("undecided", detail="no answer")
        try:
            seen = base64.b64decode(b"".join(SipMessage.parse(asker.answer).body.split()), validate=True)
        except (binascii.Error, ValueError):
            return Finding("undecided", detail="no mirror image")
        if any(_is_private(each) for each in _ADDRESS.findall(seen)):
            return Finding("alg", ("Contact",), "a private address")
        return Finding("clean")


def _is_private(text: bytes) -> bool:
    try:
        address = ipaddress.ip_address(text.decode())
    except ValueError:
        return False
    return any(address in network for network in _PRIVATE)


ITEM = Item("any-private-address", "Wrong on purpose: accuses private addresses.", AnyPrivateAddress())
