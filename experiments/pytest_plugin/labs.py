"""The objects that a test gets from ``alg_lab``: labs, programs and trials."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import pytest
from pydantic import ValidationError

from siplab.experiments.programs import ProgramDetector, placeholders
from siplab.experiments.programs.config import Ready
from siplab.experiments.pytest_plugin.inside import Completed, LabSpec, Order
from siplab.experiments.pytest_plugin.observed import Observed
from siplab.experiments.pytest_plugin.pool import Pool
from siplab.experiments.trial import assignment, runner
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec, seed_of
from siplab.experiments.trial.stage import Check, Finding
from siplab.lab.errors import CapabilityError, UsageError
from siplab.lab.worlds.base import WorldError
from siplab.lab.worlds.emulated import capability
from siplab.lab.worlds.trace import Trace

Command = str | Sequence[str | os.PathLike[str]]


def unavailable(reason: str) -> NoReturn:
    """End the test: skip it for ``reason``, or fail it with ``CI=true``, where a skip could be overlooked."""
    __tracebackhide__ = True
    if os.environ.get("CI") == "true":
        pytest.fail(f"siplab: {reason}", pytrace=False)
    pytest.skip(f"siplab: {reason}")


class Program:
    """A program that was started in a lab and may still run."""

    def __init__(self, lab: Lab, number: int) -> None:
        self._lab = lab
        self._number = number

    def _look(self) -> Completed:
        return self._lab.programs[self._number - 1]

    @property
    def status(self) -> int | None:
        """Its exit status, or minus the signal that ended it; ``None`` while it runs."""
        return self._look().status

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return self._look().stdout

    @property
    def stderr(self) -> str:
        """The same for standard error."""
        return self._look().stderr

    def wait(self, timeout: float = 30.0) -> Completed:
        """Wait for it to end, ``timeout`` seconds at most. Raises ``ProgramError`` if it does not."""
        done: Completed = self._lab.ask("wait_for", self._number, timeout)
        return done

    def stop(self) -> Completed:
        """Ask it and its process group to end; kill them two seconds later."""
        done: Completed = self._lab.ask("stop", self._number)
        return done


class Lab(Observed):
    """A running network with a router's ALG in it, for programs from outside. Time is the wall clock's."""

    def __init__(self, pool: Pool, spec: LabSpec) -> None:
        self.seed = spec.seed
        self.result = TrialResult(
            TrialSpec(
                spec.topology, spec.model, seed=spec.seed, model_paths=spec.model_paths, gateway=spec.gateway
            ),
            "emulated",
        )
        self._pool = pool
        self._line = pool.take(contains=self.result.spec.has_images)
        self._trace: Trace | None = None  # set once the lab is closed
        self._programs: list[Completed] = []
        try:
            self._line.call("open", spec)
        except BaseException:
            pool.give_back(self._line)
            raise

    @property
    def name(self) -> str:
        return f"{self.result.spec.topology}, {self.result.spec.model}"

    @property
    def models(self) -> dict[str, str]:
        return assignment.models_of(self.result.spec.model, self.network.topology)

    def address(self, host: str) -> str:
        """The address of a host. Raises ``UsageError`` for an unknown one."""
        hosts = self.network.topology.hosts
        if host not in hosts:
            raise UsageError(
                f"no host '{host}' in topology '{self.network.topology.id}'; there are {', '.join(hosts)}"
            )
        return hosts[host].address

    @property
    def public_address(self) -> str:
        """The outside address of the router that the phone is behind."""
        found = placeholders.addresses(self.network.topology)
        if "public_ip" not in found:
            raise UsageError(f"topology '{self.network.topology.id}' has no router with a public address")
        return found["public_ip"]

    def ask(self, what: str, *arguments: object) -> Any:
        """Send a request to ``inside.Desk`` in the bubble. Raises ``UsageError`` if the lab is closed."""
        __tracebackhide__ = True
        if self._trace is not None:
            raise UsageError(f"the lab '{self.name}' is closed")
        return self._line.call(what, *arguments)

    # -- programs ----------------------------------------------------------------------------------

    def run(
        self,
        host: str,
        command: Command,
        *,
        timeout: float = 30.0,
        environment: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run a program on a host, to its end: ``status``, ``stdout``, ``stderr``, ``seconds``.

        ``command``: a list of words, or one line that is split as a shell would; no shell is used. Raises
        ``ProgramError`` if it still runs after ``timeout`` seconds, ``UsageError`` if it can't be started.
        """
        __tracebackhide__ = True
        done: Completed = self.ask("run", self._order(host, command, environment), timeout)
        return done

    def start(
        self,
        host: str,
        command: Command,
        *,
        ready_port: str | None = None,
        ready_log: str | None = None,
        ready_timeout: float = 10.0,
        environment: Mapping[str, str] | None = None,
    ) -> Program:
        """Start a program on a host, and wait until it is ready.

        ``ready_port``: ready when this port is bound there, ``udp/5060``; ``ready_log``: when its output
        matches this regular expression; without either, at once. Raises ``ProgramError`` if it is not ready
        in time.
        """
        __tracebackhide__ = True
        ready = None
        if ready_port is not None or ready_log is not None:
            try:
                ready = Ready(port=ready_port, log=ready_log, timeout=ready_timeout)
            except ValidationError as error:
                message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
                raise UsageError(f"ready_port, ready_log: {message}") from None
        number: int = self.ask("start", self._order(host, command, environment, ready))
        return Program(self, number)

    def stop(self, program: Program) -> Completed:
        """The same as ``program.stop()``."""
        return program.stop()

    def start_agents(self, *names: str) -> None:
        """Start agents of the lab's own: ``server``, ``far-phone``, ``mirror``."""
        self.ask("start_agents", names)

    def send(self, host: str, packet: Any) -> None:
        """Put an IP packet on the wire from a host: bytes, or scapy's ``IP(...)/UDP(...)/...``.

        Its addresses are sent as they are, even if they are not the host's; the kernel fills in the IPv4
        checksum. Raises ``UsageError`` for an unknown host and for a packet that can't be sent.
        """
        __tracebackhide__ = True
        self.address(host)
        self.ask("send", host, bytes(packet))

    @property
    def programs(self) -> list[Completed]:
        """What the programs did so far, in the order in which they were started."""
        if self._trace is None:
            self._programs = self.ask("programs")
        return self._programs

    def _order(
        self, host: str, command: Command, environment: Mapping[str, str] | None, ready: Ready | None = None
    ) -> Order:
        words = shlex.split(command) if isinstance(command, str) else [os.fspath(each) for each in command]
        if not words:
            raise UsageError("there is no command")
        # Looked up from the test's folder, with the test's PATH: the bubble has others.
        found = shutil.which(words[0])
        if found is not None:
            words[0] = str(Path(found).absolute())
        return Order(
            host,
            tuple(words),
            # The program must not get the bubble's own PYTHONPATH.
            {"PYTHONPATH": "", **os.environ, **(environment or {})},
            str(Path.cwd()),
            ready,
        )

    # -- what was seen -----------------------------------------------------------------------------

    @property
    def trace(self) -> Trace:
        if self._trace is not None:
            return self._trace
        seen: Trace = self.ask("trace")
        return seen

    # -- its end -----------------------------------------------------------------------------------

    def close(self) -> None:
        """End everything in it. What was seen stays. Raises ``WorldError`` if the lab itself failed."""
        if self._trace is not None:
            return
        problems: list[str] = []
        self._trace = Trace()
        try:
            if not self._line.broken:  # otherwise the error was already raised
                self._trace, self._programs, problems = self._line.call("close")
        finally:
            self._pool.give_back(self._line)
        self.result.errors += problems
        if problems:
            raise WorldError(f"the lab '{self.name}' is invalid: {'; '.join(problems)}")

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Trial(Observed):
    """A trial of the lab's own that was run."""

    def __init__(self, result: TrialResult, trace: Trace) -> None:
        self.result = result
        self.seed = seed_of(result.spec)
        self._trace = trace

    @property
    def trace(self) -> Trace:
        return self._trace

    @property
    def models(self) -> dict[str, str]:
        return dict(trial.setup_of(self.result.spec, self.network).models)

    def send(self, host: str, packet: Any) -> NoReturn:
        """Raises ``UsageError``: the trial has ended when the test gets it, so nothing more can be sent."""
        __tracebackhide__ = True
        raise UsageError(
            f"the trial is over, so {host} can't send in it any more: packets are sent in a lab, "
            "lab = alg_lab(...); lab.send(...)"
        )

    @property
    def outcome(self) -> str:
        """A scenario's ``pass`` or ``fail``, or a detector's verdict."""
        return self.result.outcome

    @property
    def checks(self) -> list[Check]:
        """The checks of a scenario."""
        return self.result.checks

    @property
    def finding(self) -> Finding | None:
        """The finding of a detector."""
        return self.result.finding


class Labs:
    """The fixture ``alg_lab``. ``made``: the labs and trials that the test made."""

    def __init__(self, pool: Callable[[], Pool], *, world: str, model_paths: tuple[str, ...] = ()) -> None:
        self.made: list[Observed] = []
        self._pool = pool
        self._world: Any = world
        self._model_paths = model_paths

    def __call__(
        self,
        model: str = "none",
        topology: str = "home",
        *,
        agents: Sequence[str] = (),
        gateway: str = "queue",
        seed: int = 1,
    ) -> Lab:
        """Build a network with a router's ALG in it.

        ``model``: a spec, or ``GATEWAY=SPEC,...``. ``agents``: the lab's own ``server``, ``far-phone`` or
        ``mirror`` in it. ``gateway="kernel"``: the router's own kernel does the work (``linux`` or ``none``).
        Without an emulated world the test is skipped; with ``CI=true`` it fails. Raises ``UsageError``.
        """
        __tracebackhide__ = True
        paths = self._model_paths
        trial.check_spec(TrialSpec(topology, model, model_paths=paths, gateway=gateway))
        if self._world == "simulated":
            pytest.skip(
                "siplab: programs need the emulated world, and --siplab-world simulated was asked for"
            )
        reason = capability.kernel_obstacle() if gateway == "kernel" else capability.obstacle()
        if reason is not None:
            unavailable(f"no emulated world here: {reason}")
        lab = Lab(self._pool(), LabSpec(topology, model, tuple(agents), gateway, seed, paths))
        self.made.append(lab)
        return lab

    def trial(
        self,
        model: str = "none",
        scenario: str = "",
        *,
        detector: str | ProgramDetector = "",
        mitigations: Sequence[str] = (),
        topology: str = "home",
        gateway: str = "queue",
        seed: int = 1,
        phone: str = "",
        server: str = "",
        far_phone: str = "",
    ) -> Trial:
        """Run one of the lab's scenarios or detectors, in virtual time unless a program takes part.

        ``phone``, ``server``, ``far_phone``: kinds of endpoints, also real programs (``program:baresip``).

        Without an emulated world the simulated one is used, which gives the same bytes, unless
        ``--siplab-world emulated`` forbids it. Raises ``WorldError`` for an invalid trial (for instance a
        model that raised), ``UsageError`` for a name that does not exist.
        """
        __tracebackhide__ = True
        if bool(scenario) == bool(detector):
            raise UsageError("name one of scenario and detector")
        spec = TrialSpec(
            topology,
            model,
            scenario,
            detector,
            tuple(mitigations),
            seed,
            self._model_paths,
            gateway=gateway,
            phone=phone,
            server=server,
            far_phone=far_phone,
        )
        trial.check_spec(spec)
        try:
            kind, _ = runner.choose_world("emulated" if self._needs_kernel(spec) else self._world)
        except CapabilityError as error:
            unavailable(str(error))
        result, trace = self._in_bubble(spec) if kind == "emulated" else runner.run_traced(spec, kind)
        made = Trial(result, trace)
        self.made.append(made)
        if result.errors:
            raise WorldError(f"the trial '{made.name}' is invalid: {'; '.join(result.errors)}")
        return made

    def _needs_kernel(self, spec: TrialSpec) -> bool:
        return self._world == "auto" and (spec.by_wall_clock or spec.gateway == "kernel")

    def _in_bubble(self, spec: TrialSpec) -> tuple[TrialResult, Trace]:
        pool = self._pool()
        line = pool.take(contains=spec.has_images)
        try:
            answer: tuple[TrialResult, Trace] = line.call("trial", spec)
        finally:
            pool.give_back(line)
        return answer

    def close(self) -> list[str]:
        """End all labs. Returns what was wrong with them."""
        problems: list[str] = []
        for each in reversed(self.made):
            if isinstance(each, Lab):
                try:
                    each.close()
                except WorldError as error:
                    problems.append(str(error))
        return problems


__all__ = ["Completed", "Lab", "Labs", "Program", "Trial"]
