"""The ways in that a router's NAT has at one moment, and what became of them in the next."""

from __future__ import annotations

from siplab.lab.gateway.binding import NOBODY
from siplab.lab.gateway.nat import Nat
from siplab.lab.wire.ip import Endpoint

# Inside, outside, who may come in: after how many seconds without a packet it ends, 0 for its lifetime.
Pinholes = dict[tuple[Endpoint, Endpoint, Endpoint | None], float]


def pinholes_of(nat: Nat, now: float) -> Pinholes:
    """Those that are open, or kept for somebody, at ``now`` (seconds)."""
    return {
        (binding.inside, binding.outside, hole.remote): binding.timeout if binding.idle else 0.0
        for binding in nat.bindings
        for hole in binding.pinholes
        if hole.expires > now and not (binding.idle and now >= binding.expires)
    }


def changes(before: Pinholes, after: Pinholes) -> str:
    """What was opened, closed or limited, a line for each."""
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
