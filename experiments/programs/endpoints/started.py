"""Starts the programs of one endpoint on its host, in order, each when the one before is ready."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from siplab.experiments.programs import placeholders, running
from siplab.experiments.programs.config import Ready
from siplab.experiments.programs.endpoints import folder
from siplab.experiments.programs.endpoints.jsonrpc import JsonRpcSocket
from siplab.experiments.programs.kind import CtrlTcp, JsonRpc, Lines, RunSpec
from siplab.experiments.programs.kinds import Chosen
from siplab.experiments.programs.process import Process
from siplab.experiments.programs.running import ProgramError
from siplab.lab.errors import UsageError
from siplab.lab.worlds.base import WorldError
from siplab.lab.worlds.emulated.confinement import Confinement
from siplab.lab.worlds.emulated.live import LiveWorld

# Seconds to end by themselves: none, since a program that cleans up sends packets that are not part of the
# trial.
_GRACE: Final = 0.0
_ASK: Final = 0.1  # seconds between two checks whether it is ready


class Started:
    """Running programs. Raises ``WorldError`` if one does not get ready, ``UsageError`` for a bad kind."""

    def __init__(
        self, world: LiveWorld, host: str, name: str, chosen: Chosen, place: Path, values: Mapping[str, str]
    ) -> None:
        self.processes: dict[str, Process] = {}
        self.folder = place
        self._world, self._host, self._name, self._chosen = world, host, name, chosen
        plain = {**values, "folder": str(place)}
        where = f"program '{chosen.kind.id}': field parameters"
        texts = {
            name: folder.rendered(text, plain, f"{where}.{name}") for name, text in chosen.texts().items()
        }
        self._values = {**plain, **texts}
        folder.fill(place, chosen, self._values)
        world.tap(host)
        try:
            for each in chosen.kind.programs:
                if each.is_wanted(chosen.values):
                    self._start(each)
        except (ProgramError, UsageError) as error:
            self.end()
            raise WorldError(f"program '{chosen.kind.id}' on {host}: {error}") from None

    def _start(self, run: RunSpec) -> None:
        where = f"program '{self._chosen.kind.id}': field programs.{run.name}"
        command = [placeholders.fill(word, self._values, f"{where}.command") for word in run.command]
        environment = {
            name: placeholders.fill(text, self._values, f"{where}.environment.{name}")
            for name, text in run.environment.items()
        }
        process = Process(
            self._world,
            run.name,
            self._host,
            command,
            # A user's program in Python must not import what this process may.
            {"PYTHONPATH": "", "HOME": str(self.folder), **environment},
            directory=str(self.folder),
            confinement=Confinement(writable=(str(self.folder),), capabilities=run.capabilities),
            orders=True,
        )
        self.processes[run.name] = process
        if run.daemon or (run.once and not self._is_controlled(run)):
            self._world.run_until(lambda: process.status is not None, 10.0)
            if process.status != 0:
                raise ProgramError(f"{running.how_it_went(process)}{process.last_words}")
        if run.ready is not None and run.ready.rpc is not None:
            self._await_answer(process, run.ready.rpc, run.ready.timeout)
        elif run.ready is not None:
            port = run.ready.port and placeholders.fill(run.ready.port, self._values, f"{where}.ready.port")
            ready = Ready(port=port, log=run.ready.log, timeout=run.ready.timeout)
            running.await_ready(self._world, process, ready, daemon=run.daemon)

    def _is_controlled(self, run: RunSpec) -> bool:
        control = self._chosen.kind.control
        return isinstance(control, CtrlTcp | Lines) and control.program == run.name

    def _await_answer(self, process: Process, request: str, timeout: float) -> None:
        control = self._chosen.kind.control
        assert isinstance(control, JsonRpc)
        with closing(JsonRpcSocket(self._world, self.folder / control.socket)) as rpc:
            deadline = self._world.now + timeout
            while rpc.ask(request, patience=_ASK) is None:
                if process.failed:
                    raise ProgramError(
                        f"{running.how_it_went(process)} before it was ready{process.last_words}"
                    )
                if self._world.now > deadline:
                    raise ProgramError(
                        f"the {process.name} was not ready within {timeout:g} s: no answer to {request}"
                        f"{process.last_words}"
                    )

    def filled(self, text: str, field: str) -> str:
        """A text of the kind's file with its placeholders filled in. Raises ``UsageError``."""
        return placeholders.fill(text, self._values, f"program '{self._chosen.kind.id}': field {field}")

    @property
    def failure(self) -> str:
        """Which program ended too early, in one line; empty while all run."""
        short = {each.name for each in self._chosen.kind.programs if each.daemon or each.once}
        for name, process in self.processes.items():
            if process.over and name not in short:
                return f"{running.how_it_went(process)}{process.last_words}"
        return ""

    def end(self) -> None:
        """End the programs, the latest first, and keep what they printed."""
        for process in reversed(self.processes.values()):
            process.end(_GRACE)
            process.close()
            for stream, data in (("stdout", process.stdout), ("stderr", process.stderr)):
                if data:
                    (self.folder / f"{process.name}.{stream}").write_bytes(data)
