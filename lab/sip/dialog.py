"""Dialogs: RFC 3261 section 12.

The rules of this file:

- Call-ID, local tag and remote tag identify a dialog; each side's local tag is the other's remote tag.
- The route set and the remote target are taken from the messages as they arrived. So a router that changes
  a Record-Route or a Contact on the way decides where the next request goes.
"""

from __future__ import annotations

from typing import NamedTuple

from siplab.lab.sip.messages import Incoming, endpoint_at, name_addr_of, uri_of
from siplab.lab.wire.headers import split_list
from siplab.lab.wire.ip import Endpoint


class DialogId(NamedTuple):
    """The values by which a request is matched to its dialog (RFC 3261 section 12.2.2)."""

    call_id: bytes
    local_tag: bytes
    remote_tag: bytes


class Dialog:
    """The state of one confirmed dialog, from the view of one side.

    ``local`` and ``remote`` are whole From or To values, tags included; ``remote_target`` is the URI in the
    other side's Contact; ``routes`` are whole Route values, the next hop first.
    """

    __slots__ = (
        "call_id",
        "local",
        "local_cseq",
        "local_tag",
        "remote",
        "remote_cseq",
        "remote_tag",
        "remote_target",
        "routes",
    )

    def __init__(
        self,
        identity: DialogId,
        *,
        local: bytes,
        remote: bytes,
        local_cseq: int,
        remote_cseq: int,
        remote_target: bytes,
        routes: list[bytes],
    ) -> None:
        self.call_id, self.local_tag, self.remote_tag = identity
        self.local = local
        self.remote = remote
        self.local_cseq = local_cseq
        self.remote_cseq = remote_cseq
        self.remote_target = remote_target
        self.routes = routes

    @classmethod
    def of_caller(cls, response: Incoming) -> Dialog:
        """The dialog that a 2xx to our INVITE establishes (section 12.1.2)."""
        return cls(
            DialogId(response.call_id, response.from_tag, response.to_tag),
            local=response.value(b"from"),
            remote=response.value(b"to"),
            local_cseq=response.cseq,
            remote_cseq=-1,
            remote_target=contact_uri(response),
            routes=response.values(b"record-route")[::-1],
        )

    @classmethod
    def of_callee(cls, request: Incoming, local_tag: bytes, local_cseq: int) -> Dialog:
        """The dialog that our 2xx to an INVITE establishes (section 12.1.1)."""
        return cls(
            DialogId(request.call_id, local_tag, request.from_tag),
            local=request.value(b"to") + b";tag=" + local_tag,
            remote=request.value(b"from"),
            local_cseq=local_cseq,
            remote_cseq=request.cseq,
            remote_target=contact_uri(request),
            routes=request.values(b"record-route"),
        )

    @property
    def identity(self) -> DialogId:
        return DialogId(self.call_id, self.local_tag, self.remote_tag)

    def target(self) -> tuple[bytes, list[bytes], bytes]:
        """Request-URI, Route values and the URI of the next hop of a request (section 12.2.1.1)."""
        if not self.routes:
            return self.remote_target, [], self.remote_target
        first = name_addr_of(self.routes[0]).uri
        uri = uri_of(first)
        if uri is not None and b"lr" in uri.parameters:
            return self.remote_target, self.routes, first
        # A strict router: it wants itself in the Request-URI and the target at the end of the route.
        return first, [*self.routes[1:], b"<" + self.remote_target + b">"], first


def contact_uri(message: Incoming) -> bytes:
    """The URI of the first Contact, ``b""`` without one."""
    value = message.value(b"contact")
    start, end = split_list(value)[0]
    return name_addr_of(value[start:end]).uri


def next_hop(uri: bytes) -> Endpoint | None:
    """Where a URI points when its host is an address; ``None`` for a name or an impossible port."""
    found = uri_of(uri)
    return endpoint_at(found.host, found.port) if found is not None else None
