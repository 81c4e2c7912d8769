"""The guardian of a network card that a lab has borrowed: it takes the card back, however the lab ends.

A card in a namespace that ends comes back without its name, addresses and routes; a virtual card is
destroyed. So a process outside of the bubble, the guardian, remembers the card's state and holds the lab's
namespace open. As soon as the lab's end of the line is closed, also by SIGKILL, the guardian takes the card
out.

    command ── starts ── guardian (host's network) ──(JSON, and the namespace)── desk in the bubble

The messages on its line, in order: the guardian sends the card's description; it receives ``{"take":
bridge}`` with a descriptor of the namespace; it answers; when the line is closed, it gives the card back.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final

from siplab.lab.counting import number_of
from siplab.lab.errors import CapabilityError, UsageError
from siplab.lab.worlds.emulated import namespaces as ns

BORROWED: Final = "attached"  # the card's name while it is in the lab
_LONGEST: Final = 1 << 18


@dataclass(frozen=True)
class Card:
    """A card's state before the lab took it.

    ``addresses``: with their prefix lengths; ``routes``: the words of ``ip route add``, without the device.
    """

    name: str
    mtu: int
    up: bool
    addresses: tuple[str, ...]
    routes: tuple[str, ...]

    @property
    def has_default_route(self) -> bool:
        return any(each.startswith("default ") for each in self.routes)

    def told(self) -> str:
        """What the user is asked to lend, in one sentence."""
        held = ", ".join(self.addresses) or "no address"
        routes = number_of(len(self.routes), "route")
        text = f"{self.name} ({held}, {routes}) leaves this machine until the lab ends"
        if self.has_default_route:
            text += "; THIS MACHINE'S WAY TO THE INTERNET GOES THROUGH IT"
        return text


def describe(name: str) -> Card:
    """A card of this network namespace. Raises ``UsageError`` if it can't be borrowed."""
    found = _ip("-json", "-details", "link", "show", "dev", name)
    if found is None:
        raise UsageError(f"this machine has no interface '{name}': see 'ip link'")
    link = json.loads(found)[0]
    if "LOOPBACK" in link["flags"]:
        raise UsageError(f"'{name}' is this machine's loopback: it stays")
    if "master" in link:
        raise UsageError(f"'{name}' belongs to {link['master']}: take it out of there first")
    addresses = []
    for each in json.loads(_ip("-json", "addr", "show", "dev", name) or "[]")[0].get("addr_info", ()):
        if each.get("scope") != "link" and not each.get("dynamic"):
            addresses.append(f"{each['local']}/{each['prefixlen']}")
    return Card(name, link["mtu"], "UP" in link["flags"], tuple(addresses), tuple(_routes(name)))


def _routes(name: str) -> list[str]:
    """The routes that the kernel does not derive from the addresses itself."""
    found = []
    for version in ("-4", "-6"):
        for each in json.loads(_ip(version, "-json", "route", "show", "dev", name) or "[]"):
            if each.get("protocol") in ("kernel", "ra", "redirect"):
                continue
            words = [each["dst"]]
            for key, word in (("gateway", "via"), ("prefsrc", "src"), ("metric", "metric")):
                if key in each:
                    words += [word, str(each[key])]
            if each.get("scope") == "link" and "gateway" not in each:
                words += ["scope", "link"]
            found.append(" ".join(words))
    return found


def take(card: Card, namespace: int, bridge: str) -> None:
    """Move a card into a namespace, and onto its bridge unless that is empty. Raises ``CapabilityError``."""
    _must(["link", "set", "dev", card.name, "netns", f"/proc/self/fd/{namespace}"], keep=[namespace])
    try:
        with ns.inside(namespace):
            _must(["link", "set", "dev", card.name, "down"])
            _must(["link", "set", "dev", card.name, "name", BORROWED])
            if bridge:
                _must(["link", "set", "dev", BORROWED, "master", bridge])
            _must(["link", "set", "dev", BORROWED, "up"])
    except CapabilityError:
        give_back(card, namespace)
        raise


def give_back(card: Card, namespace: int) -> list[str]:
    """Move the card back to this network namespace and restore its state. Returns what failed."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    problems = []

    def run(*words: str, keep: Sequence[int] = ()) -> None:
        try:
            _must(list(words), keep=keep)
        except CapabilityError as error:
            problems.append(str(error))

    with ns.inside(namespace):
        name = BORROWED if _ip("link", "show", "dev", BORROWED) is not None else card.name
        run("link", "set", "dev", name, "down")
        with suppress(CapabilityError):
            _must(["link", "set", "dev", name, "nomaster"])
        if name != card.name:
            run("link", "set", "dev", name, "name", card.name)
        run("link", "set", "dev", card.name, "netns", f"/proc/self/fd/{here}", keep=[here])
    os.close(here)
    run("link", "set", "dev", card.name, "mtu", str(card.mtu))
    for each in card.addresses:
        run("addr", "replace", each, "dev", card.name, *(["nodad"] if ":" in each else []))
    if card.up:
        run("link", "set", "dev", card.name, "up")
        for each in sorted(
            card.routes, key=lambda route: " via " in route
        ):  # what gateways are reached by first
            run("route", "replace", *each.split(), "dev", card.name)
    return problems


def _ip(*words: str) -> str | None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def _must(words: list[str], keep: Sequence[int] = ()) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, pass_fds=keep)
    if done.returncode:
        raise CapabilityError(f"ip {' '.join(words)}: {done.stderr.strip()}")


# -- the process ------------------------------------------------------------------------------------------


class Guardian:
    """A running guardian. ``channel``: the desk's end of the line; ``card``: the card that it guards.

    Raises ``UsageError`` for a card that can't be borrowed.
    """

    def __init__(self, name: str) -> None:
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "siplab.lab.worlds.emulated.guardian", str(theirs.fileno()), name],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            start_new_session=True,  # signals to the command do not end the guardian
        )
        theirs.close()
        answer = json.loads(self.channel.recv(_LONGEST) or b'{"error": "the guardian of the card died"}')
        if "error" in answer:
            self.close()
            raise UsageError(answer["error"])
        card: Mapping[str, Any] = answer["card"]
        self.card = Card(
            card["name"], card["mtu"], card["up"], tuple(card["addresses"]), tuple(card["routes"])
        )

    def close(self) -> None:
        """Close the line, and wait until the card is back."""
        self.channel.close()
        self._process.wait()


def ask_to_take(descriptor: int, namespace: int, bridge: str) -> None:
    """The desk's request, over its end of the line. Raises ``UsageError`` when the card can't be had."""
    line = socket.socket(fileno=os.dup(descriptor))
    with line:
        socket.send_fds(line, [json.dumps({"take": bridge}).encode()], [namespace])
        answer = json.loads(line.recv(_LONGEST) or b'{"error": "the guardian of the card died"}')
    if "error" in answer:
        raise UsageError(answer["error"])


def main() -> None:
    """Entry of the process: ``-m siplab.lab.worlds.emulated.guardian DESCRIPTOR INTERFACE``."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the guardian must give back the card first
    line = socket.socket(fileno=int(sys.argv[1]))
    try:
        card = describe(sys.argv[2])
    except UsageError as error:
        line.send(json.dumps({"error": str(error)}).encode())
        return
    line.send(json.dumps({"card": asdict(card)}).encode())
    data, namespaces, _, _ = socket.recv_fds(line, _LONGEST, 1)
    if not data or not namespaces:
        return
    try:
        take(card, namespaces[0], json.loads(data)["take"])
    except CapabilityError as error:
        line.send(json.dumps({"error": str(error)}).encode())
        return
    try:
        line.send(b"{}")
        while line.recv(_LONGEST):
            pass
    except OSError:
        pass
    for each in give_back(card, namespaces[0]):
        print(f"siplab: {card.name} is not quite what it was: {each}", file=sys.stderr)


if __name__ == "__main__":
    main()
