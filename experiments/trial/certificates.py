"""Certificates of a trial with TLS, made on the spot: of a server that phones may trust, or should not."""

from __future__ import annotations

import datetime
import importlib
import ssl
from functools import cache
from typing import Any, Final

from siplab.experiments.trial.stage import Certificate
from siplab.lab.errors import CapabilityError
from siplab.lab.sip.tls import Tls

_OTHER_NAME: Final = "other.example"


def phones(name: str) -> Tls:
    """What phones have: trust in one authority, and the name that the server must have."""
    return Tls(_client(), name=name)


@cache
def servers(certificate: Certificate, name: str) -> Tls:
    """What the server called ``name`` has. Raises ``CapabilityError`` without trustme."""
    # No clock: what is not expired is good until the year 3000, as trustme has it.
    until = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC) if certificate == "expired" else None
    authority = _authority("siplab" if certificate != "untrusted" else "somebody")
    named = _OTHER_NAME if certificate == "wrong-name" else name
    issued = authority.issue_cert(named, not_after=until)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    context.num_tickets = 0  # nobody comes back to a session
    return Tls(_client(), context, name)


@cache
def _authority(name: str) -> Any:
    try:
        trustme = importlib.import_module("trustme")
    except ImportError:
        raise CapabilityError(
            "TLS needs certificates, which trustme makes: pip install 'siplab[tls]'"
        ) from None
    return trustme.CA(organization_name=name)


@cache
def _client() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _authority("siplab").configure_trust(context)
    return context
