"""The bindings of a NAT with one public address, found by what they serve and by their public port."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable

from siplab.lab.gateway.binding import Binding
from siplab.lab.gateway.nat_config import NatConfig, PortAllocation
from siplab.lab.wire.ip import ICMP, Endpoint


class PortsExhaustedError(Exception):
    """No public port is left for a new binding."""


class BindingTable:
    """Which bindings there are, and which public ports are free (RFC 4787 section 4.2).

    ``suggest(protocol, inside, now, pair)`` may name public ports for an inside endpoint, such as the
    unpredictable ones of a router that was observed. The first free one is taken (``pair``: the next port
    must be free too); if none is free, the configuration chooses.

    ``generation`` goes up whenever a permission or a binding ends, a timer's length changes, or another
    binding takes over. Flow caches compare it.
    """

    def __init__(self, config: NatConfig, public_ip: str, rng: random.Random) -> None:
        self.config = config
        self.public_ip = public_ip
        self.generation = 0
        self.suggest: Callable[[int, Endpoint, float, bool], Iterable[int]] | None = None
        self._rng = rng
        self._by_key: dict[tuple[object, ...], Binding] = {}
        self._by_port: dict[tuple[int, int], Binding] = {}
        self._next_port = config.first_port

    def at_port(self, protocol: int, port: int, now: float) -> Binding | None:
        """The live binding of a public port, whoever may use it."""
        binding = self._by_port.get((protocol, port))
        if binding is not None and not binding.alive(now):
            self._remove(binding)
            return None
        return binding

    @property
    def bindings(self) -> list[Binding]:
        """All bindings in the table, including ended ones that nobody has looked up since."""
        return list(dict.fromkeys((*self._by_port.values(), *self._by_key.values())))

    def next_end(self, now: float) -> float:
        """When the next timer of a binding or a pinhole runs out, if nothing passes; infinity for never."""
        return min(
            (
                end
                for binding in self.bindings
                for end in (binding.expires, *(pinhole.expires for pinhole in binding.pinholes))
                if end > now
            ),
            default=math.inf,
        )

    def _find(self, key: tuple[object, ...], now: float) -> Binding | None:
        binding = self._by_key.get(key)
        if binding is not None and not binding.alive(now):
            self._remove(binding)
            return None
        return binding

    def _create(
        self, key: tuple[object, ...], protocol: int, inside: Endpoint, now: float, *, reserved: bool
    ) -> Binding:
        port = self._choose_port(protocol, inside, now, pair=False)
        return self._insert(key, protocol, inside, port, reserved=reserved)

    def _insert(
        self, key: tuple[object, ...], protocol: int, inside: Endpoint, port: int, *, reserved: bool
    ) -> Binding:
        binding = Binding(key, protocol, inside, Endpoint(self.public_ip, port), reserved)
        self._by_key[key] = binding
        self._by_port[protocol, port] = binding
        return binding

    def _beside(self, key: tuple[object, ...], protocol: int, inside: Endpoint, port: int) -> Binding:
        """A binding for one peer at a public port that another binding has."""
        binding = Binding(key, protocol, inside, Endpoint(self.public_ip, port), True)
        self._by_key[key] = binding
        self.generation += 1
        return binding

    def _remove(self, binding: Binding) -> None:
        if self._by_key.get(binding.key) is binding:
            del self._by_key[binding.key]
        place = (binding.protocol, binding.outside.port)
        if self._by_port.get(place) is binding:
            del self._by_port[place]
        self.generation += 1

    def _choose_port(self, protocol: int, inside: Endpoint, now: float, *, pair: bool) -> int:
        config, wanted = self.config, inside.port
        step = 2 if pair or (config.port_parity and protocol != ICMP) else 1
        parity = 0 if pair else wanted & 1

        def free(port: int) -> bool:
            if self.at_port(protocol, port, now) is not None:
                return False
            return not pair or self.at_port(protocol, port + 1, now) is None

        if self.suggest is not None:
            for port in self.suggest(protocol, inside, now, pair):
                if 0 < port < 65536 - pair and free(port):
                    return port
        preserve = config.port_allocation is PortAllocation.PRESERVE
        if preserve and wanted and wanted & 1 == parity and free(wanted):
            return wanted
        first, last = config.first_port, config.last_port - pair
        if step == 2 and first & 1 != parity:
            first += 1
        count = (last - first) // step + 1
        if count < 1:
            start = 0
        elif config.port_allocation is PortAllocation.RANDOM:
            start = self._rng.randrange(count)
        else:
            start = max(0, -(-(self._next_port - first) // step)) % count
        for index in range(count):
            port = first + (start + index) % count * step
            if free(port):
                self._next_port = port + (2 if pair else 1)
                return port
        kind = ("even " if parity == 0 else "odd ") if step == 2 else ""
        raise PortsExhaustedError(f"no {kind}public port of {config.first_port}-{config.last_port} is free")
