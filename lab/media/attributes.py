"""What a session description says about a stream besides address, codecs and direction: RTCP, ICE, keys."""

from __future__ import annotations

from typing import NamedTuple

from siplab.lab.media.ice_candidates import Candidate, IceOffer, read_candidate
from siplab.lab.media.srtp_keys import CryptoLine, read_crypto
from siplab.lab.sip.messages import address_text
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sdp import Sdp, Section


class Said(NamedTuple):
    """The attributes of one stream of the other side's description.

    ``rtcp``: where it wants RTCP (RFC 3605; else the port above the media's). ``mux``: RTCP on the media's
    port (RFC 5761). ``ice``: its candidates, if there are any. ``mismatch``: ICE can't be used, because the
    address in c= and m= is no candidate or because ``a=ice-mismatch`` says so (RFC 8839 section 4.2.5).
    ``crypto``: its key (RFC 4568).
    """

    rtcp: Endpoint | None = None
    mux: bool = False
    ice: IceOffer | None = None
    mismatch: bool = False
    crypto: CryptoLine | None = None


NOTHING = Said()


def read_attributes(sdp: Sdp, section: Section, remote: Endpoint | None) -> Said:
    """The attributes of one stream whose media are wanted at ``remote``."""
    ice = _ice(sdp, section)
    known = ice is None or remote is None or any(each.endpoint == remote for each in ice.candidates)
    return Said(
        rtcp=_rtcp(section, remote),
        mux=bool(section.attributes(b"rtcp-mux")),
        ice=ice,
        mismatch=bool(section.attributes(b"ice-mismatch")) or not known,
        crypto=next(
            filter(None, (read_crypto(line.value[7:]) for line in section.attributes(b"crypto"))), None
        ),
    )


def plain_attributes(remote: Endpoint | None) -> Said:
    """As ``read_attributes``, for a description that has none of these attributes."""
    return Said(rtcp=_next_port(remote))


def rtcp_port(port: int) -> int:
    """The RTCP port beside a media port (RFC 3550 section 11)."""
    return port + 1


def _rtcp(section: Section, remote: Endpoint | None) -> Endpoint | None:
    if remote is None:
        return None
    for line in section.attributes(b"rtcp"):
        words = line.value[5:].split()
        port = int(words[0]) if words and words[0].isdigit() and len(words[0]) < 6 else 0
        ip = address_text(words[3]) if len(words) == 4 else remote.ip
        if ip is not None and 0 < port < 65536:
            return Endpoint(ip, port)
    return _next_port(remote)


def _next_port(remote: Endpoint | None) -> Endpoint | None:
    if remote is None:
        return None
    port = rtcp_port(remote.port)
    return Endpoint(remote.ip, port) if port < 65536 else None


def _ice(sdp: Sdp, section: Section) -> IceOffer | None:
    """User fragment and password may stand for the whole session (RFC 8839 section 5.4)."""
    found = []
    for name in (b"ice-ufrag", b"ice-pwd"):
        lines = section.attributes(name) or sdp.session.attributes(name)
        found.append(lines[0].value[len(name) + 1 :] if lines else b"")
    candidates: list[Candidate] = []
    for line in section.attributes(b"candidate"):
        each = read_candidate(line.value[10:])
        if each is not None:
            candidates.append(each)
    if not all(found):
        return None
    return IceOffer(found[0], found[1], bool(sdp.session.attributes(b"ice-lite")), tuple(candidates))
