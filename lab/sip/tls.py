"""TLS on one connection of an agent (RFC 8446), sans-IO: Python's ``ssl`` between two memory buffers.

The rules of this file:

- What arrives is given to ``received``, what is to be sent is asked of ``outgoing``. Nothing is read or
  written but memory, so the same code runs in both worlds.
- What is written before the handshake is done waits for it.
- A client looks at the server's certificate as its context says: a chain that leads to somebody it trusts,
  the time, and the name (RFC 5922 section 7.3). What it refuses ends the connection, with an alert.
- OpenSSL draws its keys at random and looks at the clock of the machine for a certificate's time: the bytes
  differ from run to run, what comes of them does not.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final

_MOST: Final = 65536  # bytes that are read at a time


@dataclass(frozen=True)
class Tls:
    """What an agent has of TLS. ``client``: for connections that it opens, to a server of the name ``name``.

    ``server``: for those that others open, ``None`` for an agent that has no certificate.
    """

    client: ssl.SSLContext
    server: ssl.SSLContext | None = None
    name: str = ""

    def session(self, *, opens: bool) -> TlsSession:
        """One end of a new connection. ``opens``: whether it opened it, and so is TLS's client."""
        return TlsSession(self.client if opens else self.server, self.name if opens else None)


class TlsSession:
    """One end of a connection; ``name``: the server's, where this end is the client.

    ``failed``: why nothing more is said or heard, for people; empty while all is well.
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
        """Bytes arrived from the other side: what they say."""
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
        """Say ``plain``, now or after the handshake."""
        if self.failed:
            return
        if self._established:
            self._object.write(plain)
        else:
            self._waiting.append(plain)

    def outgoing(self) -> bytes:
        """What is to be sent, an alert among it."""
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
