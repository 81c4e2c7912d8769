"""What differs between the kernels that this ALG is found in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Kernel:
    """One version of the ALG. The defaults are the newest kernel's.

    - ``hardened``: ports and numbers that make no sense leave a header unread, tabs are white space
      beside folds too. Older kernels call such a port an error, read numbers of any length, and go
      astray after a header that they can't read.
    - ``shifts_parameters``: the parameters of a Via are looked for behind its new address, not
      where the old one ended.
    - ``forced_dport``: a phone's port in Via is where its answers go.
    - ``zero_cseq``: CSeq 0 is a number like others.
    - ``length_anywhere``: over TCP, Content-Length may be followed by other headers.
    - ``skips_master``: the same expectation of another flow is no reason for another port, but an error.
    - ``source_port_kept``: media leaves by the port that was announced, also when that had to change.
    - ``session_needs_address``: o= and the session's c= are left alone where no address is known.
    - ``angle_first``: in a Contact, ``sip:`` is looked for behind the first ``<`` of the line, so that a
      display name can't be taken for the URI.
    - ``via_port``: a Via names one end of the packet only if its port does, too.
    """

    hardened: bool = True
    shifts_parameters: bool = True
    forced_dport: bool = True
    zero_cseq: bool = True
    length_anywhere: bool = True
    skips_master: bool = True
    source_port_kept: bool = True
    session_needs_address: bool = True
    via_port: bool = True
    angle_first: bool = False


NEWEST: Final = Kernel()

# About 2.6.38, before the repairs of 2012.
OLD: Final = Kernel(
    hardened=False,
    shifts_parameters=False,
    forced_dport=False,
    zero_cseq=False,
    length_anywhere=False,
    skips_master=False,
    source_port_kept=False,
    session_needs_address=False,
)
