"""What differs between the kernels that have this ALG, by version.

A band is a range of versions with the same ALG. Its facts come from the sources of a version in the band
(evidence: vendor-sources, part 3). Where a band begins between two versions that were read is an inference;
the card of the model ``linux`` says so.
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
"""What happens to an address of the packet with another port. Mainline leaves it ``untouched``. Some vendors
compare the address alone: with ``kept`` the port stays, with ``own`` it becomes the packet's untranslated
port (which is wrong), with ``pinhole`` a pinhole is opened for it."""


@dataclass(frozen=True)
class Kernel:
    """One version of the ALG. The defaults are the newest kernel's.

    - ``hardened``: a header with an impossible port or number is not read. Older kernels treat such a port as
      an error, read numbers of any length, and go on at a wrong place after a header that they can't read.
    - ``tabs``: tabs are white space beside the colon, and one fold is followed there.
    - ``whole_methods``: a method is recognised only if a space and a letter follow it.
    - ``shifts_parameters``: the parameters of a Via are looked for behind its new address, not
      where the old one ended.
    - ``forced_dport``: answers to a phone go to the port in its Via.
    - ``zero_cseq``: CSeq 0 is a valid number.
    - ``tcp``: TCP is inspected. ``length_anywhere``: over TCP, other headers may follow Content-Length.
    - ``drops_long_segments``: over TCP, a message that goes on in the next segment is dropped.
    - ``skips_master``: an equal expectation of another flow is an error, not a reason to try another port.
    - ``search_stops``: an error other than a port in use ends the search for ports.
    - ``frees_rtp``: if the port for RTCP is in use, the one for RTP is given back.
    - ``source_port_kept``: media leave by the announced port, even if the ALG had to choose another port.
    - ``session_needs_address``: o= and the session's c= are left alone where no address is known.
    - ``angle_first``: in a Contact, ``sip:`` is looked for behind the first ``<`` of the line, so that a
      display name can't be taken for the URI.
    - ``sdp_port``: digits behind a colon count as part of an address in c= and o=.
    - ``via_port``: a Via names one end of the packet only if the port matches, too. ``via_any``: every Via is
      translated, whomever it names.
    - ``other_port``: what becomes of an address of the packet with a port that is not the packet's.
    - ``streams``: how many m= lines are looked at. ``video``, ``image`` (fax): whether these kinds are known.
    - ``invite_flushes``: an INVITE ends the media expectations of earlier calls.
    - ``cseq_needs_media``: the CSeq of an INVITE is noted only if media are expected for it.
    - ``checks_transport``: a Contact for another transport is ignored.
    - ``uri_needs_user``: a Request-URI without a user part stays as it is.
    - ``compact_needs_blank``: a compact header name counts only if the second byte after it is no letter.
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


# Backwards from the newest: each band names the differences from the next newer one.
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
    """The numbers of a kernel's version. Raises ``ValueError`` if it is not a version."""
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
