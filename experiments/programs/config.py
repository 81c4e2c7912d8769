"""The description of an outside detector in an experiment: its programs, and how to read their verdict."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from siplab.experiments.programs import inputs, placeholders
from siplab.experiments.programs.inputs import Inputs
from siplab.lab import documents
from siplab.lab.errors import UsageError
from siplab.lab.worlds.emulated import executables
from siplab.lab.worlds.emulated.confinement import ALL, CAPABILITIES, Confinement

if TYPE_CHECKING:
    from siplab.experiments.trial.stage import Finding, Stage
    from siplab.lab.worlds.topology import Topology


_ENDING: Final = 30.0  # seconds in which programs and containers must end


def _words(value: object) -> object:
    """A command line as a list of words. No shell is used."""
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError as error:
        raise ValueError(f"not a command line: {str(error).lower()}") from None


def _texts(value: object) -> object:
    """YAML's numbers and booleans as the text that a program gets."""
    if isinstance(value, list | tuple):
        return [str(each) if isinstance(each, int | float) else each for each in value]
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return value


def _port(value: object) -> object:
    match = re.fullmatch(r"(udp|tcp)/([0-9]{1,5})", str(value))
    if match is None or not 0 < int(match[2]) < 65536:
        raise ValueError(f"'{value}' is no port: write udp/5060 or tcp/5060")
    return value


def _identifier(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
        raise ValueError(
            f"'{value}' is no id: letters, digits, '_', '.' and '-', beginning with a letter or digit"
        )
    return value


def _capabilities(value: tuple[str, ...]) -> tuple[str, ...]:
    known = (ALL, *CAPABILITIES)
    for each in value:
        if each not in known:
            near = get_close_matches(each.upper().removeprefix("CAP_"), known, n=1)
            raise ValueError(f"'{each}' is no capability" + (f"; did you mean {near[0]}?" if near else ""))
    return value


def _one_or_many(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


Capabilities = Annotated[tuple[str, ...], AfterValidator(_capabilities)]
Command = Annotated[
    tuple[str, ...],
    BeforeValidator(_texts),
    BeforeValidator(_words),
    Field(min_length=1),
]
Pattern = Annotated[str, AfterValidator(_pattern)]
Port = Annotated[str, BeforeValidator(_port)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Status = Annotated[int, Field(ge=0, le=255)]
Statuses = Annotated[tuple[Status, ...], BeforeValidator(_one_or_many)]
Scalar = bool | int | float | str | None
Scalars = Annotated[tuple[Scalar, ...], BeforeValidator(_one_or_many)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Ready(_Part):
    """When a program is ready: ``port`` is bound on its host, or it printed ``log``.

    ``timeout``: seconds to wait at most.
    """

    port: Port | None = None
    log: Pattern | None = None
    timeout: Seconds = 10.0

    @model_validator(mode="after")
    def _one(self) -> Ready:
        if (self.port is None) == (self.log is None):
            raise ValueError("name one of 'port' (udp/5060) and 'log' (a regular expression)")
        return self


class ProgramConfig(_Part):
    """A program and where it runs.

    ``host``: a host of the topology, by name. ``image``: a container image in which to run it;
    ``command`` may then be left out. ``environment``: variables besides those that the lab sets.
    ``writable``: folders and files of this machine that it may write to; ``capabilities``: what it may do
    besides using the network (capabilities(7), without ``CAP_``).
    """

    command: Command | None = None
    image: str | None = None
    host: str | None = None
    environment: dict[str, str] = {}
    ready: Ready | None = None
    writable: tuple[str, ...] = ()
    capabilities: Capabilities = ()

    @field_validator("environment", mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        if isinstance(value, Mapping):
            return {
                str(key): str(each) if isinstance(each, int | float) else each for key, each in value.items()
            }
        return value

    @model_validator(mode="after")
    def _something_to_run(self) -> ProgramConfig:
        if self.image is not None and self.writable:
            raise ValueError("'writable' is for programs of this machine: an image has its own files")
        if self.command is None and self.image is None:
            raise ValueError("name a 'command' to run, or a container 'image'")
        return self


class ClientConfig(ProgramConfig):
    """The program whose verdict counts. ``timeout``: seconds after which it is ended."""

    timeout: Seconds = 30.0


class ExitReading(_Part):
    """Exit statuses, and the verdicts that they mean."""

    alg: Statuses = ()
    clean: Statuses = ()
    undecided: Statuses = ()

    @model_validator(mode="after")
    def _unambiguous(self) -> ExitReading:
        every = [*self.alg, *self.clean, *self.undecided]
        twice = next((each for each in every if every.count(each) > 1), None)
        if twice is not None:
            raise ValueError(f"exit status {twice} is named twice")
        if not every:
            raise ValueError("name the exit statuses that mean 'alg', 'clean' or 'undecided'")
        return self


class OutputReading(_Part):
    """Regular expressions to search in the client's output, standard output first.

    ``fields``: what was changed. Each match names one part, by its first matching group.
    """

    alg: Pattern | None = None
    clean: Pattern | None = None
    undecided: Pattern | None = None
    fields: Pattern | None = None


class JsonReading(_Part):
    """Where a JSON document on standard output has the verdict.

    ``verdict`` and ``fields`` (what was changed) are paths: ``a.b.0``, ``changes.*.field``. ``alg``,
    ``clean`` and ``undecided`` list the values that mean this verdict.
    """

    verdict: str
    alg: Scalars = ("alg",)
    clean: Scalars = ("clean",)
    undecided: Scalars = ("undecided",)
    fields: str | None = None


class VerdictReading(_Part):
    """How to read the client's verdict: from its exit status, its output, or JSON that it prints.

    Besides ``exit`` or ``json``, ``output`` may be given with ``fields`` only.
    """

    exit: ExitReading | None = None
    output: OutputReading | None = None
    json_: Annotated[JsonReading | None, Field(alias="json")] = None

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="after")
    def _one_source(self) -> VerdictReading:
        by_output = self.output is not None and any(
            (self.output.alg, self.output.clean, self.output.undecided)
        )
        if [self.exit is not None, by_output, self.json_ is not None].count(True) != 1:
            raise ValueError("name one of 'exit', 'output' and 'json' to read the verdict from")
        return self


class ProgramDetector(_Part):
    """An outside detector: a client, perhaps a server, perhaps agents of the lab beside them.

    It runs in the emulated world only, by the wall clock. Hashable and picklable: a ``TrialSpec`` may hold
    it. ``here``: the folder that ``{here}`` stands for, that of the experiment's file.
    """

    id: Annotated[str, AfterValidator(_identifier)]
    summary: str = ""
    client: ClientConfig
    server: ProgramConfig | None = None
    agents: tuple[Literal["server", "far-phone", "mirror"], ...] = ()
    verdict: VerdictReading
    here: str = ""

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return self.id

    @classmethod
    def from_options(
        cls,
        *,
        client: str | Sequence[str],
        server: str | Sequence[str] | None = None,
        id: str = "program",
        alg_exit: int | Sequence[int] = (),
        clean_exit: int | Sequence[int] = (),
        undecided_exit: int | Sequence[int] = (),
        timeout: float = 30.0,
        ready_port: str | None = None,
        ready_log: str | None = None,
        ready_timeout: float = 10.0,
        client_host: str | None = None,
        server_host: str | None = None,
        agents: Sequence[str] = (),
        here: str = "",
    ) -> ProgramDetector:
        """A detector whose verdict is its exit status, from a command's options. Raises ``UsageError``.

        ``ready_port`` (``udp/5060``) and ``ready_log`` say when the server is ready. Unless named, the hosts
        are those with the roles ``phone`` and ``server``.
        """
        ready = None
        if ready_port is not None or ready_log is not None:
            ready = {"port": ready_port, "log": ready_log, "timeout": ready_timeout}
            if server is None:
                raise UsageError("a server's readiness was named, but no server")
        data = {
            "id": id,
            "client": {"command": client, "host": client_host, "timeout": timeout},
            "server": None if server is None else {"command": server, "host": server_host, "ready": ready},
            "agents": tuple(agents),
            "verdict": {"exit": {"alg": alg_exit, "clean": clean_exit, "undecided": undecided_exit}},
            "here": here,
        }
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise UsageError(f"detector '{id}': {documents.fault(error)}") from None

    def with_all_capabilities(self) -> ProgramDetector:
        """The same detector, with programs that may do whatever this process may."""
        changed = {"capabilities": (ALL,)}
        server = None if self.server is None else self.server.model_copy(update=changed)
        return self.model_copy(update={"client": self.client.model_copy(update=changed), "server": server})

    @property
    def may_change_networks(self) -> bool:
        """Whether one of its programs may change a network, and not only run processes in it."""
        programs = [each for each in (self.client, self.server) if each is not None]
        return any(Confinement(capabilities=each.capabilities).changes_network for each in programs)

    @property
    def inputs(self) -> Inputs:
        """What its verdict depends on besides its description, as far as that can be known."""
        found: list[Inputs] = []
        for name, program in (("client", self.client), ("server", self.server)):
            if program is None:
                continue
            if program.image is not None:
                found.append(Inputs((), f"the {name} is in a container image"))
            elif program.writable:
                found.append(Inputs((), f"the {name} keeps files from trial to trial"))
            if program.command is not None and program.image is None:
                here = self.here or str(Path.cwd())
                found.append(inputs.of(name, program.command, program.environment, here))
        reasons = [each.unknowable for each in found if each.unknowable]
        return Inputs(tuple(file for each in found for file in each.files), reasons[0] if reasons else "")

    @property
    def needs_containers(self) -> bool:
        """Whether a part of it runs in a container."""
        return any(each is not None and each.image is not None for each in (self.client, self.server))

    @property
    def longest(self) -> float:
        """Seconds that its programs may take, including the end of the last one."""
        readies = (each.ready for each in (self.client, self.server) if each is not None)
        return self.client.timeout + sum(each.timeout for each in readies if each is not None) + _ENDING

    def description(self) -> str:
        """Everything that decides what it does, as one text."""
        return self.model_dump_json()

    def check(self, topology: Topology) -> None:
        """Raises ``UsageError`` for a missing host or file, or for an unknown placeholder."""
        placeholders.check(self, topology)

    def require(self) -> None:
        """Raises ``UsageError`` if this machine lacks a program."""
        for name, program in (("client", self.client), ("server", self.server)):
            if program is None or program.image is not None or program.command is None:
                continue
            word = program.command[0].replace("{here}", self.here or str(Path.cwd()))
            if "{" not in word:
                executables.require(word, f"detector '{self.id}': field {name}.command")

    def run(self, stage: Stage) -> Finding:
        """Run the programs in the stage's world and read the verdict.

        Raises ``UsageError`` outside the emulated world, ``WorldError`` if the lab itself fails.
        """
        from siplab.experiments.programs import running

        return running.run(self, stage)
