"""Digest authentication for SIP: RFC 3261 section 22 with RFC 7616 (MD5 and SHA-256, qop=auth).

The rules of this file:

- ``Authority`` is the server's side, ``Answerer`` the client's; neither sends anything.
- Nonces come from the generator and ``now`` that are passed in. The server stores the highest nonce
  count of each, so that a response can't be used twice (RFC 7616 section 3.4), and its ``Ties``: a
  request that has the nonce but other ties is challenged again.
- Whether the signed ``uri`` must equal the Request-URI is the server's choice: RFC 7616
  section 3.4.6 asks for it, many servers skip it, and a router that rewrites the
  Request-URI breaks only the strict ones.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Final

from siplab.lab.sip.messages import Incoming, token
from siplab.lab.wire.headers import QUOTED, find_all

_NAME: Final = rb"(?<![A-Za-z0-9-])([A-Za-z0-9-]++)\s*+=\s*"
_PARAMETER: Final = re.compile(_NAME + rb"(" + QUOTED + rb"|[^\s\",]*)", re.DOTALL)
_UNQUOTED_PARAMETER: Final = re.compile(_NAME + rb"([^\s\",]*)")
_HASHES: Final[dict[bytes, Callable[..., Any]]] = {b"MD5": hashlib.md5, b"SHA-256": hashlib.sha256}


def parameters(value: bytes) -> dict[bytes, bytes] | None:
    """The parameters of a ``Digest`` challenge or response, unquoted; ``None`` for another scheme."""
    scheme, _, rest = value.lstrip().partition(b" ")
    if scheme.lower() != b"digest":
        return None
    found: dict[bytes, bytes] = {}
    for each in find_all(_PARAMETER, _UNQUOTED_PARAMETER, rest, 0, len(rest)):
        text = each[2]
        found.setdefault(each[1].lower(), text[1:-1] if text[:1] == b'"' else text)
    return found


@lru_cache(maxsize=1024)
def _ha1(algorithm: bytes, user: bytes, realm: bytes, password: bytes) -> bytes:
    """What servers store instead of the password: it is the same for every request."""
    return _hash(algorithm, b":".join((user, realm, password)))


def _hash(algorithm: bytes, text: bytes) -> bytes:
    digest: str = _HASHES[algorithm](text, usedforsecurity=False).hexdigest()
    return digest.encode()


def digest_response(
    algorithm: bytes,
    user: bytes,
    realm: bytes,
    password: bytes,
    method: bytes,
    uri: bytes,
    nonce: bytes,
    *,
    qop: bytes = b"",
    nc: bytes = b"",
    cnonce: bytes = b"",
) -> bytes:
    """The ``response`` of RFC 7616 section 3.4.1; without ``qop`` that of RFC 2069.

    ``algorithm`` is ``b"MD5"`` or ``b"SHA-256"``; raises ``KeyError`` for another.
    """
    a1 = _ha1(algorithm, user, realm, password)
    a2 = _hash(algorithm, method + b":" + uri)
    middle = (nonce, nc, cnonce, qop) if qop else (nonce,)
    return _hash(algorithm, b":".join((a1, *middle, a2)))


Ties = tuple[object, ...]
"""What a nonce is bound to: equal for the request that was challenged and the one that answers."""


class Outcome(Enum):
    """How a server rates the credentials of a request."""

    GRANTED = "granted"
    MISSING = "no credentials for this realm"
    STALE = "right password, but the nonce is no longer good"
    WRONG = "wrong user or password"
    REPLAYED = "the nonce count was used before"
    URI_MISMATCH = "the signed uri is not the Request-URI"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome, and the user that was named (empty without credentials)."""

    outcome: Outcome
    user: str = ""

    @property
    def granted(self) -> bool:
        return self.outcome is Outcome.GRANTED


class Authority:
    """The server's side: makes challenges, and checks the answers.

    ``users`` maps user names to passwords; ``nonce_lifetime`` is in seconds; ``count_rises``: a nonce count
    that does not rise is refused. Raises ``ValueError`` for an algorithm other than MD5 and SHA-256.
    """

    def __init__(
        self,
        realm: str,
        users: Mapping[str, str],
        rng: random.Random,
        *,
        algorithm: str = "MD5",
        strict_uri: bool = False,
        nonce_lifetime: float = 300.0,
        count_rises: bool = True,
    ) -> None:
        self._realm = realm.encode()
        self._passwords = {user.encode(): password.encode() for user, password in users.items()}
        self._rng = rng
        self._algorithm = algorithm.upper().encode()
        if self._algorithm not in _HASHES:
            raise ValueError(f"digest algorithm {algorithm!r}: this speaks MD5 and SHA-256")
        self._strict_uri = strict_uri
        self._lifetime = nonce_lifetime
        self._count_rises = count_rises
        # nonce -> (issued at, highest nonce count, what it is tied to), oldest first
        self._nonces: dict[bytes, tuple[float, int, Ties]] = {}

    @property
    def nonces(self) -> int:
        """How many nonces it remembers."""
        return len(self._nonces)

    def challenge(self, now: float, *, stale: bool = False, realm: bytes = b"", ties: Ties = ()) -> bytes:
        """Value of a WWW-Authenticate or Proxy-Authenticate with a new nonce, tied to ``ties``.

        ``realm``: used instead of its own.
        """
        for nonce, (issued, *_) in list(self._nonces.items()):
            if issued + self._lifetime > now:
                break
            del self._nonces[nonce]
        nonce = b"%x-" % int(now * 1000) + token(self._rng)
        self._nonces[nonce] = (now, 0, ties)
        return b'Digest realm="%b", nonce="%b", algorithm=%b, qop="auth"%b' % (
            realm or self._realm,
            nonce,
            self._algorithm,
            b", stale=true" if stale else b"",
        )

    def realm_of(self, credentials: bytes, realm: bytes = b"") -> bool:
        """Whether an Authorization value is for ``realm`` (empty: for this server's own)."""
        found = parameters(credentials)
        return found is not None and found.get(b"realm") == (realm or self._realm)

    def verify(
        self,
        method: bytes,
        uri: bytes,
        credentials: bytes | None,
        now: float,
        *,
        realm: bytes = b"",
        ties: Ties = (),
    ) -> Verdict:
        """Check the Authorization value of a request with that method, Request-URI and ``ties``."""
        found = parameters(credentials) if credentials else None
        realm = realm or self._realm
        if found is None or found.get(b"realm") != realm:
            return Verdict(Outcome.MISSING)
        user = found.get(b"username", b"")
        name = user.decode("utf-8", "backslashreplace")
        algorithm = found.get(b"algorithm", b"MD5").upper()
        password = self._passwords.get(user)
        nonce, nc = found.get(b"nonce", b""), found.get(b"nc", b"")
        signed = found.get(b"uri", b"")
        if password is None or algorithm != self._algorithm:
            return Verdict(Outcome.WRONG, name)
        expected = digest_response(
            algorithm,
            user,
            realm,
            password,
            method,
            signed,
            nonce,
            qop=found.get(b"qop", b""),
            nc=nc,
            cnonce=found.get(b"cnonce", b""),
        )
        if expected != found.get(b"response", b"").lower():
            return Verdict(Outcome.WRONG, name)
        if self._strict_uri and signed != uri:
            return Verdict(Outcome.URI_MISMATCH, name)
        known = self._nonces.get(nonce)
        if known is None or known[0] + self._lifetime <= now or known[2] != ties:
            return Verdict(Outcome.STALE, name)
        if b"qop" in found:
            try:
                count = int(nc, 16)
            except ValueError:
                return Verdict(Outcome.WRONG, name)
            if count <= known[1] and self._count_rises:
                return Verdict(Outcome.REPLAYED, name)
            self._nonces[nonce] = (known[0], max(count, known[1]), ties)
        return Verdict(Outcome.GRANTED, name)


class Answerer:
    """The client's side for one protection space: takes a challenge, signs requests with it."""

    __slots__ = ("_algorithm", "_challenge", "_count", "_password", "_rng", "_user")

    def __init__(self, user: str, password: str, rng: random.Random) -> None:
        self._user = user.encode()
        self._password = password.encode()
        self._rng = rng
        self._challenge: dict[bytes, bytes] | None = None
        self._algorithm = b""
        self._count = 0

    @property
    def ready(self) -> bool:
        """Whether there is a challenge to sign with."""
        return self._challenge is not None

    def forget(self) -> None:
        """Drop the challenge: the next request goes without credentials."""
        self._challenge = None

    def accept(self, challenges: list[bytes]) -> bool:
        """Take the first challenge that can be answered; returns whether answering it makes sense.

        It makes none when the last answer was refused: same realm, and not marked stale
        (RFC 3261 section 22.2).
        """
        for value in challenges:
            found = parameters(value)
            if found is None or b"nonce" not in found:
                continue
            algorithm = found.get(b"algorithm", b"MD5").upper()
            qops = [each.strip() for each in found.get(b"qop", b"").lower().split(b",")]
            if algorithm not in _HASHES or not ({b"", b"auth"} & set(qops)):
                continue
            again = self._challenge is not None and self._challenge.get(b"realm") == found.get(b"realm")
            if again and found.get(b"stale", b"").lower() != b"true":
                return False
            found[b"qop"] = b"auth" if b"auth" in qops else b""
            self._challenge, self._algorithm, self._count = found, algorithm, 0
            return True
        return False

    def credentials(self, method: bytes, uri: bytes) -> bytes:
        """Value of an Authorization or Proxy-Authorization. Raises ``ValueError`` before ``accept``."""
        challenge = self._challenge
        if challenge is None:
            raise ValueError("there is no challenge to answer")
        self._count += 1
        realm, nonce, qop = challenge.get(b"realm", b""), challenge[b"nonce"], challenge[b"qop"]
        nc = b"%08x" % self._count
        cnonce = token(self._rng) if qop else b""
        answer = digest_response(
            self._algorithm,
            self._user,
            realm,
            self._password,
            method,
            uri,
            nonce,
            qop=qop,
            nc=nc,
            cnonce=cnonce,
        )
        value = b'Digest username="%b", realm="%b", nonce="%b", uri="%b", response="%b", algorithm=%b' % (
            self._user,
            realm,
            nonce,
            uri,
            answer,
            self._algorithm,
        )
        if b"opaque" in challenge:
            value += b', opaque="%b"' % challenge[b"opaque"]
        if qop:
            value += b', qop=auth, nc=%b, cnonce="%b"' % (nc, cnonce)
        return value


class Credentials:
    """A client's answers to 401 and 407; one request may meet both on its way."""

    __slots__ = ("_proxy", "_server")

    def __init__(self, user: str, password: str, rng: random.Random) -> None:
        self._server = Answerer(user, password, rng)
        self._proxy = Answerer(user, password, rng)

    def forget(self) -> None:
        """Start afresh, e.g. after the password was refused."""
        self._server.forget()
        self._proxy.forget()

    def accept(self, response: Incoming) -> bool:
        """Take the challenge of a 401 or 407; returns whether another try makes sense."""
        if response.status == 407:
            return self._proxy.accept(_challenges(response, b"proxy-authenticate"))
        return response.status == 401 and self._server.accept(_challenges(response, b"www-authenticate"))

    def lines(self, method: bytes, uri: bytes) -> bytes:
        """The Authorization and Proxy-Authorization lines of the next request."""
        lines = b""
        if self._server.ready:
            lines = b"Authorization: " + self._server.credentials(method, uri) + b"\r\n"
        if self._proxy.ready:
            lines += b"Proxy-Authorization: " + self._proxy.credentials(method, uri) + b"\r\n"
        return lines


def _challenges(response: Incoming, name: bytes) -> list[bytes]:
    # Commas separate the parameters, so each challenge is a field (RFC 3261 section 20.44).
    return [field.value for field in response.message.fields if field.name == name]
