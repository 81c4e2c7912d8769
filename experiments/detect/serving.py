"""The detection server's loop: sockets on one side, ``siplab.lab.probing.detection_server`` on the other.

The rules of this file:

- One thread, one selector. At most ``_BATCH`` datagrams of a socket are read before the next socket's turn.
- Connections are few and short, and closed if nothing comes. What they send is small.
- Nothing that arrives can end the loop, nor can a failing log. Each error is one line in the log, up to a
  hundred lines.
- Strangers can't decide how much is logged: they count in one line per minute.
- If no file descriptor is left, nothing is accepted until the next check of idle connections.
"""

from __future__ import annotations

import errno
import selectors
import signal
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from siplab.lab.probing.anti_amplification import network_of
from siplab.lab.probing.detection_server import LARGEST, DetectionServer, StreamSession
from siplab.lab.sip.base import Action, Listen, Send
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds import host_sockets

_BATCH: Final = 64
_MOST_CONNECTIONS: Final = 256
_PER_SOURCE: Final = 16
_IDLE: Final = 15.0  # seconds without data after which a connection is closed
_LONGEST: Final = 60.0  # seconds that a connection lives
_MOST_UNSENT: Final = 256 * 1024  # bytes
_LOOK: Final = 1.0  # seconds between two checks of idle connections
_MOST_PROBLEMS: Final = 100  # problems that are logged
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_SUMMARY: Final = 60.0  # seconds between two lines with counts

Log = Callable[..., None]
"""``log(event, **details)``: one line."""


class _Connection:
    """One accepted connection."""

    def __init__(self, sock: socket.socket, session: StreamSession, source: Endpoint, now: float) -> None:
        self.sock = sock
        self.session = session
        self.network = network_of(source.ip)
        self.began = self.last = now
        self.shaking = isinstance(sock, ssl.SSLSocket)
        self.unsent = b""


class Service:
    """Listens, serves until ``stop`` is called, and closes everything.

    ``servers``: one for each address (``Endpoint`` with port 0) to listen at. ``streams``: the TCP ports.
    ``tls``: the port and context for TLS, if any. Raises ``UsageError`` for ports that can't be opened.
    """

    def __init__(
        self,
        servers: Sequence[tuple[str, DetectionServer]],
        log: Log,
        *,
        streams: Sequence[int] = (),
        tls: tuple[int, ssl.SSLContext] | None = None,
    ) -> None:
        self._log = log
        self._selector = selectors.DefaultSelector()
        self._began = time.monotonic()
        self._servers = [server for _, server in servers]
        self._bound: dict[tuple[int, str | int], tuple[socket.socket, Endpoint]] = {}
        self._connections: dict[socket.socket, _Connection] = {}
        self._resting: list[tuple[socket.socket, Callable[[int], None]]] = []  # listeners paused for a moment
        self._stopped = False
        self.turns = 0  # turns of the loop
        self.listening: list[str] = []
        self._wake, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._selector.register(self._wake, selectors.EVENT_READ, lambda _: None)
        try:
            for ip, server in servers:
                self._open(ip, server, streams, tls)
        except BaseException:
            self.close()
            raise

    def _open(
        self,
        ip: str,
        server: DetectionServer,
        streams: Sequence[int],
        tls: tuple[int, ssl.SSLContext] | None,
    ) -> None:
        for action in server.start(self.now):
            if isinstance(action, Listen):
                self._listen_udp(server, action.local)
        for port in streams:
            self._listen_tcp(server, Endpoint(ip, port), None)
        if tls is not None:
            self._listen_tcp(server, Endpoint(ip, tls[0]), tls[1])

    @property
    def now(self) -> float:
        return time.monotonic() - self._began

    def stop(self, *_: object) -> None:
        """End ``run`` soon; may be called by a signal handler."""
        self._stopped = True
        with suppress(OSError):
            self._waker.send(b"\0")

    def on_signals(self) -> None:
        """Let SIGTERM and SIGINT stop the service."""
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self.stop)

    def run(self) -> None:
        """Serve until stopped."""
        look, summary = self.now + _LOOK, self.now + _SUMMARY
        while not self._stopped:
            dues = [due for server in self._servers if (due := server.next_timer()) is not None]
            wait = max(0.0, min([look, *dues]) - self.now)
            self.turns += 1
            for key, mask in self._selector.select(wait):
                self._safely(key.data, mask)
            now = self.now
            for server in self._servers:
                due = server.next_timer()
                if due is not None and due <= now:
                    self._safely(partial(self._on_timer, server), 0)
            if now >= look:
                look = now + _LOOK
                self._end_idle(now)
                self._listen_again()
            if now >= summary:
                summary = now + _SUMMARY
                self.say("numbers", **self.numbers())

    def _on_timer(self, server: DetectionServer, _: int) -> None:
        self._perform(server, server.on_timer(self.now))

    def _safely(self, call: Callable[[int], object], mask: int) -> None:
        try:
            call(mask)
        except Exception as error:  # whatever the error is, the server goes on
            self._servers[0].counts["problems"] += 1
            if sum(server.counts["problems"] for server in self._servers) <= _MOST_PROBLEMS:
                self.say("problem", what=f"{type(error).__name__}: {error}"[:200])

    def say(self, event: str, **details: Any) -> None:
        """Write a line to the log, if possible."""
        with suppress(OSError, ValueError):  # the log's disk is full, or nobody reads it
            self._log(event, **details)

    def numbers(self) -> dict[str, Any]:
        """Counts of datagrams by outcome, how full the tables are, and resident memory in KiB."""
        row: dict[str, Any] = {"connections": len(self._connections)}
        for server in self._servers:
            for name, count in (*server.counts.items(), *server.tables.items()):
                row[name] = row.get(name, 0) + count
        with suppress(ImportError):  # not on every system
            import resource

            row["peak KiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return row

    def close(self) -> None:
        """Close every socket."""
        for connection in list(self._connections.values()):
            self._end(connection)
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        for listener, _ in self._resting:
            listener.close()
        self._selector.close()
        self._waker.close()

    # -- datagrams -------------------------------------------------------------------------------------

    def _listen_udp(self, server: DetectionServer, local: Endpoint) -> None:
        sock = host_sockets.open_udp(local)
        self._bound[id(server), local.port] = (sock, local)
        self.listening.append(f"udp {local}")

        def readable(_: int) -> None:
            for _ in range(_BATCH):
                try:
                    got = host_sockets.receive(sock, local, LARGEST)
                except OSError:  # an ICMP error for an earlier answer
                    continue
                if got is None:
                    return
                payload, source, arrived = got
                self._perform(server, server.receive(payload, source, arrived, self.now))

        self._selector.register(sock, selectors.EVENT_READ, readable)

    def _perform(self, server: DetectionServer, actions: Sequence[Action]) -> None:
        for each in actions:
            if isinstance(each, Send):
                sock, bound = self._bound[id(server), each.local.port]
                try:
                    host_sockets.send(sock, bound, each.local, each.remote, each.payload)
                except OSError:  # no buffer or no route: treated like a lost packet
                    server.counts["not sent"] += 1

    # -- streams ---------------------------------------------------------------------------------------

    def _listen_tcp(self, server: DetectionServer, local: Endpoint, tls: ssl.SSLContext | None) -> None:
        listener = host_sockets.open_listener(local)
        self.listening.append(f"{'tls' if tls else 'tcp'} {local}")

        def readable(_: int) -> None:
            try:
                sock, address = listener.accept()
            except OSError as error:
                if error.errno in _EXHAUSTED:  # the socket stays readable, so the loop would never rest
                    server.counts["nothing left to accept with"] += 1
                    self._selector.unregister(listener)
                    self._resting.append((listener, readable))
                return
            source = Endpoint(address[0], address[1])
            network = network_of(source.ip)
            here = sum(each.network == network for each in self._connections.values())
            if len(self._connections) >= _MOST_CONNECTIONS or here >= _PER_SOURCE:
                server.counts["too many connections"] += 1
                sock.close()
                return
            sock.setblocking(False)
            own = sock.getsockname()
            try:
                if tls is not None:
                    sock = tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            except (OSError, ValueError):
                sock.close()
                return
            session = server.connection(source, Endpoint(own[0], own[1]))
            made = self._connections[sock] = _Connection(sock, session, source, self.now)
            server.counts["connections accepted"] += 1
            self._selector.register(sock, selectors.EVENT_READ, lambda mask: self._serve(made))

        self._selector.register(listener, selectors.EVENT_READ, readable)

    def _listen_again(self) -> None:
        for listener, readable in self._resting:
            self._selector.register(listener, selectors.EVENT_READ, readable)
        self._resting.clear()

    def _serve(self, connection: _Connection) -> None:
        """Do what is possible now: handshake, read, answer."""
        try:
            if connection.shaking:
                assert isinstance(connection.sock, ssl.SSLSocket)
                connection.sock.do_handshake()
                connection.shaking = False
            self._flush(connection)
            if not connection.unsent:
                data = connection.sock.recv(LARGEST)
                if not data:
                    self._end(connection)
                    return
                connection.last = self.now
                connection.unsent += connection.session.feed(data, self.now)
                self._flush(connection)
        except (ssl.SSLWantReadError, BlockingIOError):
            self._wait_for(connection, selectors.EVENT_READ)
        except ssl.SSLWantWriteError:
            self._wait_for(connection, selectors.EVENT_WRITE)
        except OSError:  # TLS errors are among these
            self._end(connection)
        except Exception:
            self._end(connection)
            raise
        else:
            if connection.session.over and not connection.unsent:
                self._end(connection)
            else:
                self._wait_for(
                    connection, selectors.EVENT_WRITE if connection.unsent else selectors.EVENT_READ
                )

    def _flush(self, connection: _Connection) -> None:
        if len(connection.unsent) > _MOST_UNSENT:
            raise OSError("nobody reads the answers")
        while connection.unsent:
            try:
                sent = connection.sock.send(connection.unsent)
            except (BlockingIOError, ssl.SSLWantWriteError):
                return
            connection.unsent = connection.unsent[sent:]

    def _wait_for(self, connection: _Connection, events: int) -> None:
        key = self._selector.get_key(connection.sock)
        # The selector does not report what TLS has already read.
        if isinstance(connection.sock, ssl.SSLSocket) and connection.sock.pending():
            events |= selectors.EVENT_WRITE
        if key.events != events:
            self._selector.modify(connection.sock, events, key.data)

    def _end_idle(self, now: float) -> None:
        for each in list(self._connections.values()):
            if now - each.last > _IDLE or now - each.began > _LONGEST:
                self._end(each)

    def _end(self, connection: _Connection) -> None:
        if self._connections.pop(connection.sock, None) is not None:
            self._selector.unregister(connection.sock)
            with suppress(OSError):
                connection.sock.close()
