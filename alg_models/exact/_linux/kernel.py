"""What differs between the kernels that this ALG is found in, by their versions.

Read in the sources of each band (evidence: vendor-sources, part 3); where a band begins between two versions
that were read, that is an inference, and the card of the model ``linux`` says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator

NEWEST_VERSION: Final = "newest"


def _as_written(value: object) -> object:
    """A version as it was written; ``4.9`` alone reads as a number."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Version = Annotated[str, BeforeValidator(_as_written)]
OtherPort = Literal["untouched", "kept", "own", "pinhole"]
"""Vendors that go by the address alone: the port stays; it becomes the packet's own port on the other side of
the router, which is wrong; or a pinhole is made for it."""


@dataclass(frozen=True)
class Kernel:
    """One version of the ALG. The defaults are the newest kernel's.

    - ``hardened``: ports and numbers that make no sense leave a header unread. Older kernels call such a
      port an error, read numbers of any length, and go astray after a header that they can't read.
    - ``tabs``: tabs are white space beside the colon, and one fold is followed there.
    - ``whole_methods``: a method is one only if a space and a letter follow it.
    - ``shifts_parameters``: the parameters of a Via are looked for behind its new address, not
      where the old one ended.
    - ``forced_dport``: a phone's port in Via is where its answers go.
    - ``zero_cseq``: CSeq 0 is a number like others.
    - ``tcp``: TCP is looked at. ``length_anywhere``: there, Content-Length may be followed by other headers.
    - ``drops_long_segments``: over TCP, a message that goes on in the next segment is dropped.
    - ``skips_master``: the same expectation of another flow is no reason for another port, but an error.
    - ``search_stops``: another error than a port in use ends the search for ports.
    - ``frees_rtp``: where the port for RTCP is in use, the one for RTP is given back.
    - ``source_port_kept``: media leaves by the port that was announced, also when that had to change.
    - ``session_needs_address``: o= and the session's c= are left alone where no address is known.
    - ``angle_first``: in a Contact, ``sip:`` is looked for behind the first ``<`` of the line, so that a
      display name can't be taken for the URI.
    - ``sdp_port``: digits behind a colon count as part of an address in c= and o=.
    - ``via_port``: a Via names one end of the packet only if its port does, too. ``via_any``: whoever a Via
      names, it is translated.
    - ``other_port``: what becomes of an address of the packet with a port that is not the packet's.
    - ``streams``: how many m= lines are looked at; ``video`` and ``image`` (fax) are among the kinds.
    - ``invite_flushes``: an INVITE ends what the calls before it expected.
    - ``cseq_needs_media``: the CSeq of an INVITE is noted only if media of it is expected.
    - ``checks_transport``: a Contact for another transport is left to others.
    - ``uri_needs_user``: a Request-URI without a user part stays as it is.
    - ``compact_needs_blank``: a compact header name is one only if no letter stands two places behind it.
    """

    hardened: bool = True
    tabs: bool = True
    whole_methods: bool = True
    shifts_parameters: bool = True
    forced_dport: bool = True
    zero_cseq: bool = True
    tcp: bool = True
    length_anywhere: bool = True
    drops_long_segments: bool = False
    skips_master: bool = True
    search_stops: bool = True
    frees_rtp: bool = True
    source_port_kept: bool = True
    session_needs_address: bool = True
    sdp_port: bool = False
    via_port: bool = True
    angle_first: bool = False
    via_any: bool = False
    other_port: OtherPort = "untouched"
    streams: int = 3
    video: bool = True
    image: bool = True
    invite_flushes: bool = True
    cseq_needs_media: bool = False
    checks_transport: bool = True
    uri_needs_user: bool = False
    compact_needs_blank: bool = False


# Backwards from the newest: each band says what its kernels do otherwise than those after it.
NEWEST: Final = Kernel()
_5_3: Final = replace(NEWEST, hardened=False, session_needs_address=False)
_4_20: Final = replace(_5_3, skips_master=False)
_4_9: Final = replace(_4_20, source_port_kept=False)
_4_1: Final = replace(_4_9, tabs=False, whole_methods=False, zero_cseq=False)
_3_7: Final = replace(_4_1, drops_long_segments=True)
_3_5: Final = replace(_3_7, forced_dport=False)
_2_6_38: Final = replace(_3_5, shifts_parameters=False, frees_rtp=False, sdp_port=True)
_2_6_34: Final = replace(
    _2_6_38, length_anywhere=False, drops_long_segments=False, search_stops=False, frees_rtp=True
)
_2_6_26: Final = replace(
    _2_6_34,
    tcp=False,
    streams=2,
    image=False,
    invite_flushes=False,
    cseq_needs_media=True,
    checks_transport=False,
    uri_needs_user=True,
    compact_needs_blank=True,
)

# The first version of each band, the newest first.
BANDS: Final[tuple[tuple[tuple[int, ...], Kernel], ...]] = (
    ((5, 3), _5_3),
    ((4, 20), _4_20),
    ((4, 9), _4_9),
    ((3, 10, 107), _4_1),
    ((3, 7), _3_7),
    ((3, 5), _3_5),
    ((2, 6, 38), _2_6_38),
    ((2, 6, 34), _2_6_34),
    ((2, 6, 26), _2_6_26),
)
FIRST: Final = BANDS[-1][0]
OLD: Final = _2_6_34
_VERSION: Final = re.compile(r"\d{1,3}(\.\d{1,4}){1,3}")


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a kernel's version. Raises ``ValueError`` for what is none."""
    if _VERSION.fullmatch(version) is None:
        raise ValueError(f"'{version}' is no version of a kernel, such as 2.6.36 or 4.9")
    return tuple(map(int, version.split(".")))


def of_version(version: str) -> Kernel:
    """The ALG of a kernel, ``newest`` or from 2.6.26 on. Raises ``ValueError`` with the reason for others."""
    if version == NEWEST_VERSION:
        return NEWEST
    wanted = numbers(version)
    if wanted[0] > 6:
        raise ValueError(f"'{version}': nothing was read of it; the latest source is '{NEWEST_VERSION}'")
    for first, kernel in BANDS:
        if wanted >= first:
            return kernel
    raise ValueError(
        f"'{version}' is older than this ALG: 2.6.18 to 2.6.25 have linux-gen1, kernels before that "
        f"patch-o-matic"
    )
