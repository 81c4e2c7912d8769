"""The user in Contact is replaced by a token that only the router can read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.headers import name_addr
from siplab.lab.wire.sip import SipMessage

_TOKENS: Final = 4096  # entries; messages make them, so there must be a bound


@dataclass
class _Tokens:
    users: dict[bytes, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class HideContact:
    """Replace the user in Contacts going out by a token.

    ``restored``: in a Request-URI coming in, the token becomes the user again.
    """

    restored: bool = False

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        users = context.remember(self, _Tokens).users
        if not context.outbound:
            self._restore(message, users)
            return
        for each in message.all(b"contact"):
            uri = name_addr(each.value).uri
            user, at, _ = uri.removeprefix(b"sip:").partition(b"@")
            start = each.value.find(b"sip:" + user + at)
            if not at or start < 0:
                continue
            token = hashlib.sha256(user).hexdigest()[:16].encode()
            if len(users) >= _TOKENS:
                del users[next(iter(users))]
            users[token] = user
            each.replace(start + 4, start + 4 + len(user), token)

    def _restore(self, message: SipMessage, users: dict[bytes, bytes]) -> None:
        for each in message.all(b"contact") if message.is_response else ():
            for token, user in users.items():
                each.value = each.value.replace(b"sip:" + token + b"@", b"sip:" + user + b"@")
        if not self.restored or not message.is_request:
            return
        token, at, rest = message.request_uri.removeprefix(b"sip:").partition(b"@")
        if at and token in users:
            message.request_uri = b"sip:" + users[token] + at + rest


MODEL = Model(
    id="contact-opaque-token",
    card=Card(
        fault_class="rewriting",
        summary=(
            "Translates correctly, but calls the phone by a token, which it does not take back in requests."
        ),
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:2bd806c97f0e00af@203.0.113.7:61002>",
            ),
        ),
        rules=(
            "RFC 3261 8.2.2.1",
            "RFC 3261 12.1.1",
        ),
        symptom="Phones that look at whom a call is for answer 404 to every call, and to requests in calls.",
        sources=(
            Source(
                "OpenSIPS issue 3029 shows Contacts with a token that only the writer can read",
                Evidence.USER_REPORT,
                "https://github.com/OpenSIPS/opensips/issues/3029",
            ),
            Source(
                "WatchGuard help, SIP-ALG: topology hiding rewrites headers to remove private information",
                Evidence.VENDOR_DOCUMENTATION,
                "https://www.watchguard.com/help/docs/help-center/en-US/Content/en-US/Fireware/proxies/sip/sip_proxy_general_c.html",
            ),
            Source("That the token is not taken back", Evidence.INFERENCE),
        ),
    ),
    fault=HideContact(),
    variants=({"restored": True},),
)
