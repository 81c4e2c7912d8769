"""Makes certificates for a trial with TLS: of a server that phones may trust, or should not."""

from __future__ import annotations

import datetime
import importlib
import ssl
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args

from siplab.experiments.trial.stage import Certificate
from siplab.lab.errors import CapabilityError
from siplab.lab.sip.tls import Tls

_OTHER_NAME: Final = "other.example"


def phones(name: str) -> Tls:
    """The TLS settings of phones: one trusted authority, and the name that the server must have."""
    return Tls(_client(), name=name)


@cache
def servers(certificate: Certificate, name: str) -> Tls:
    """The TLS settings of the server called ``name``. Raises ``CapabilityError`` without trustme."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _issued(certificate, name).configure_cert(context)
    context.num_tickets = 0  # sessions are never resumed
    return Tls(_client(), context, name)


def write(folder: Path, *names: str) -> None:
    """Write certificates for programs to a folder, as PEM files.

    ``authority.pem`` is the authority that phones trust. Each kind of certificate has two files, for instance
    ``right.pem`` and ``right.key``. ``names``: the server's names or addresses. Raises ``CapabilityError``
    without trustme.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _authority("siplab").cert_pem.write_to_path(folder / "authority.pem")
    for certificate in get_args(Certificate):
        issued = _issued(certificate, *names)
        (chain,) = issued.cert_chain_pems
        chain.write_to_path(folder / f"{certificate}.pem")
        issued.private_key_pem.write_to_path(folder / f"{certificate}.key")


def _issued(certificate: Certificate, *names: str) -> Any:
    # No clock is read. Without an expiry date, trustme's certificates are valid until the year 3000.
    until = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC) if certificate == "expired" else None
    authority = _authority("siplab" if certificate != "untrusted" else "somebody")
    return authority.issue_cert(*([_OTHER_NAME] if certificate == "wrong-name" else names), not_after=until)


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
