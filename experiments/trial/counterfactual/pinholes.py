"""The pinholes of a router's NAT at one moment, and what changes from one moment to the next."""

from __future__ import annotations

from siplab.lab.gateway.binding import NOBODY
from siplab.lab.gateway.nat import Nat
from siplab.lab.wire.ip import Endpoint

# Key: inside, outside, who may send. Value: seconds without a packet after which the pinhole ends; 0: its
# lifetime is fixed.
Pinholes = dict[tuple[Endpoint, Endpoint, Endpoint | None], float]


def pinholes_of(nat: Nat, now: float) -> Pinholes:
    """The pinholes that are open, or reserved, at ``now`` (seconds)."""
    return {
        (binding.inside, binding.outside, hole.remote): binding.timeout if binding.idle else 0.0
        for binding in nat.bindings
        for hole in binding.pinholes
        if hole.expires > now and not (binding.idle and now >= binding.expires)
    }


def changes(before: Pinholes, after: Pinholes) -> str:
    """What was opened, closed or given a timer, one line each."""
    lines = [f"opened the pinhole {_written(key)}" for key in after if key not in before]
    lines += [f"closed the pinhole {_written(key)}" for key in before if key not in after]
    lines += [
        f"had the pinhole {_written(key)} end after {seconds:g} s without a packet"
        for key, seconds in after.items()
        if seconds and before.get(key) != seconds
    ]
    return "\n".join(lines)


def _written(key: tuple[Endpoint, Endpoint, Endpoint | None]) -> str:
    inside, outside, remote = key
    if remote is None:
        who = "anybody"
    elif remote == NOBODY:
        who = "nobody yet"
    else:
        who = str(remote) if remote.port else f"any port of {remote.ip}"
    return f"{outside} to {inside} for {who}"
