"""TLS on one connection of an agent (RFC 8446), sans-IO: Python's ``ssl`` between two memory buffers.

The rules of this file:

- Arriving bytes are given to ``received``; bytes to send are taken from ``outgoing``. Only memory is read
  and written, so the same code runs in both worlds.
- Data written before the handshake is done waits for it.
- A client checks the server's certificate as its context says: the chain to an authority that it trusts,
  the time, and the name (RFC 5922 section 7.3). A refused certificate ends the connection, with an alert.
- OpenSSL draws its keys at random, and checks a certificate's time by the machine's clock. So the bytes
  differ from run to run, but the outcome does not.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final

_MOST: Final = 65536  # bytes that are read at a time


@dataclass(frozen=True)
class Tls:
    """The TLS settings of an agent. ``client``: for connections that it opens, to a server named ``name``.

    ``server``: for connections that others open; ``None``: the agent has no certificate.
    """

    client: ssl.SSLContext
    server: ssl.SSLContext | None = None
    name: str = ""

    def session(self, *, opens: bool) -> TlsSession:
        """One end of a new connection. ``opens``: this end opened it, and so is TLS's client."""
        return TlsSession(self.client if opens else self.server, self.name if opens else None)


class TlsSession:
    """One end of a connection; ``name``: the server's, where this end is the client.

    ``failed``: why nothing more is sent or received, for people; empty while all is well.
    """

    def __init__(self, context: ssl.SSLContext | None, name: str | None) -> None:
        self.failed = "" if context is not None else "there is no certificate here"
        self._established = False
        self._waiting: list[bytes] = []
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        if context is not None:
            self._object = context.wrap_bio(
                self._incoming, self._outgoing, server_side=name is None, server_hostname=name
            )
            self._handshake()

    def received(self, data: bytes) -> bytes:
        """Take bytes from the other side; returns the data in them."""
        if self.failed:
            return b""
        self._incoming.write(data)
        if not self._established:
            self._handshake()
        plain = b""
        try:
            while self._established and (piece := self._object.read(_MOST)):
                plain += piece
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.failed = _told(error)
        return plain

    def write(self, plain: bytes) -> None:
        """Send ``plain``, now or after the handshake."""
        if self.failed:
            return
        if self._established:
            self._object.write(plain)
        else:
            self._waiting.append(plain)

    def outgoing(self) -> bytes:
        """The bytes that are to be sent, alerts included."""
        return self._outgoing.read()

    def _handshake(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            self.failed = _told(error)
            return
        self._established = True
        for each in self._waiting:
            self._object.write(each)
        self._waiting.clear()


def _told(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is refused: {error.verify_message}"
    return (error.reason or str(error)).lower().replace("_", " ")
