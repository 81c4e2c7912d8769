"""The description of a real program as a phone or a server: a YAML file, with templates beside it.

The rules of this file:

- Command lines have placeholders in braces, ``{folder}``. Templates have them between ``@``, ``@FOLDER@``,
  because configuration files are full of braces. The names are the same.
- A kind says what it ``can`` do and which ``settings`` it takes. A scenario that needs more does not apply.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from siplab.experiments.programs.config import Capabilities, Command, Pattern, Seconds
from siplab.lab.documents import MisplacedError

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Scalar = bool | int | float | str

PhoneAbility = Literal["register", "call", "answer", "hang-up", "hold", "transfer", "dial"]
ServerAbility = Literal["lookup"]
Order = Literal["call", "answer", "hang-up", "hold", "resume", "transfer", "dial"]
Happening = Literal["registered", "refused", "incoming", "ringing", "established", "closed", "control"]
"""``control``: the program takes orders from now on."""


def _inside(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"'{value}' must lie in the program's folder: a relative path without '..'")
    return value


Relative = Annotated[str, AfterValidator(_inside)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Parameter(Strict):
    """What users may set: ``program:kamailio(nat=true)``."""

    default: Scalar
    values: dict[Scalar, str] = {}
    """What templates get for each value; empty: any value is allowed, and inserted as it is."""
    file: bool = False
    """Its value names a file: one of the program's own, or one of this machine by its absolute path."""
    about: Text

    @model_validator(mode="after")
    def _known(self) -> Parameter:
        if self.file and self.values:
            raise MisplacedError("a 'file' is any that is there: leave 'values' out", "values")
        if self.values and self.default not in self.values:
            raise MisplacedError(f"'{self.default}' is not among 'values'", "default")
        return self


class Taken(Strict):
    """How the program takes one setting of the lab's phones or servers that a scenario may ask for."""

    parameter: Name | None = None
    """The parameter that receives the setting."""
    accepts: tuple[Any, ...] = ()
    """The values that it has without a parameter."""

    @model_validator(mode="after")
    def _one(self) -> Taken:
        if (self.parameter is None) == (not self.accepts):
            raise ValueError("name one of 'parameter' and 'accepts'")
        return self


class ReadySpec(Strict):
    """When a program is ready: ``port`` (``udp/{port}``) is bound on its host, it printed ``log``, or it
    answers the request ``rpc``, sent by the kind's ``control`` of kind jsonrpc.
    """

    port: str | None = None
    log: Pattern | None = None
    rpc: Text | None = None
    timeout: Seconds = 10.0
    """Seconds to wait at most."""

    @model_validator(mode="after")
    def _one(self) -> ReadySpec:
        if [self.port, self.log, self.rpc].count(None) != 2:
            raise ValueError("name one of 'port' (udp/5060), 'log' (a regular expression) and 'rpc'")
        return self


Condition = Name | dict[Name, Scalar]


def holds(condition: Condition, values: Mapping[str, Scalar]) -> bool:
    """Whether a parameter is true, or parameters have the named values."""
    if isinstance(condition, dict):
        return all(values[name] == value for name, value in condition.items())
    return bool(values[condition])


def _named(condition: Condition | None) -> Iterable[str]:
    """The parameters that a condition names."""
    return () if condition is None else condition if isinstance(condition, dict) else (condition,)


class RunSpec(Strict):
    """One program of a kind. They start in the order of the file, each when the one before is ready."""

    name: Identifier
    command: Command
    environment: dict[str, str] = {}
    ready: ReadySpec | None = None
    when: Condition | None = None
    """Only if this parameter is true, or if parameters have these values."""
    capabilities: Capabilities = ()
    """What it needs besides NET_RAW and NET_BIND_SERVICE (capabilities(7)): SETUID to drop privileges."""
    daemon: bool = False
    """It goes into the background: its first process ends at once, which is not an error."""
    once: bool = False
    """It does its work and ends; its exit status says how. The next program waits for its end, unless
    ``control`` is about this one.
    """

    def is_wanted(self, values: Mapping[str, Scalar]) -> bool:
        """Whether it is started with these values of the kind's parameters."""
        return self.when is None or holds(self.when, values)


class CtrlTcp(Strict):
    """baresip's module ctrl_tcp: JSON in netstrings, at the host's loopback address."""

    kind: Literal["ctrl-tcp"]
    program: Identifier
    port: Annotated[int, Field(gt=0, le=65535)]
    """The port of the first such program on a host; each further one has the next port."""
    happenings: dict[Happening, Pattern] = {}
    """Regular expressions for a line of its output: events that may occur before the lab is connected."""


class Lines(Strict):
    """Orders are lines on standard input. Regular expressions recognize events in the output."""

    kind: Literal["lines"]
    program: Identifier
    begin: tuple[str, ...] = ()
    """The lines that it gets first. They may have the placeholders of command lines."""
    status: str | None = None
    """The line that asks whether it is registered, if it does not report this by itself."""
    orders: dict[Order, str] = {}
    """The line for each order, with ``{target}``, ``{digits}`` or ``{call_id}``."""
    happenings: dict[Happening, Pattern] = {}
    """Regular expressions for a line of its output. A program that runs ``once`` has registered if its exit
    status is 0."""


class JsonRpc(Strict):
    """Kamailio's module jsonrpcs by a datagram socket in the program's folder."""

    kind: Literal["jsonrpc"]
    socket: Relative


class NgCounters(Strict):
    """rtpengine's protocol ng at the host's loopback address: rtpengine relays media and counts packets."""

    port: Annotated[int, Field(gt=0, le=65535)]
    when: Name | None = None
    """Only if this parameter is true."""


Control = Annotated[CtrlTcp | Lines | JsonRpc, Field(discriminator="kind")]


class Heard(Strict):
    """A phone's recordings: WAV files of 16 bit, at 8000 Hz or a multiple, which grow while it hears."""

    files: Relative
    """Pattern of their names, in the program's folder."""
    until_change: bool = False
    """The recording ends at a call's first re-INVITE. From then on, what arrives at the host counts."""


class Like(Strict):
    """The lab's kind that imitates the program, if its parameters have these values."""

    kind: Text
    when: dict[Name, Scalar] = {}


class Version(Strict):
    """How to ask the program for its version."""

    command: Command
    pattern: Pattern
    """Its first group is the version."""


class Needed(Strict):
    """A program that must be installed, and where it comes from."""

    program: Text
    package: Text
    """The Debian package."""
    version: Version | None = None


class ProgramKind(Strict):
    """A real program as a phone, as a server, or as a relay beside the server (STUN, TURN)."""

    id: Identifier
    summary: Text
    about: Text
    role: Literal["phone", "server", "relay"]
    needs: tuple[Needed, ...]
    can: tuple[PhoneAbility | ServerAbility, ...] = ()
    parameters: dict[Name, Parameter] = {}
    settings: dict[Name, Taken] = {}
    files: dict[Relative, Relative] = {}
    """File in the program's folder -> the template for it, beside the YAML file."""
    programs: Annotated[tuple[RunSpec, ...], Field(min_length=1)]
    control: Control | None = None
    like: tuple[Like, ...] = ()
    """The first one that fits is used: `siplab agree` compares it with the program."""
    ports: Annotated[dict[Literal["sip", "rtp_low", "rtp_high"], int], Field()] = {}
    relay: NgCounters | None = None
    """For a server: what to ask for relayed packets, if media can neither be recorded nor decoded."""
    certificates: Condition | None = None
    """The parameter, or parameters with values, with which it needs certificates. The folder ``certificates``
    then has ``authority.pem``, which signs the server's certificate, and the server's ``right.pem`` and
    ``right.key``; also files for ``expired``, ``wrong-name`` and ``untrusted`` (signed by another authority).
    """
    heard: Heard | None = None
    """Where a phone records what it hears. Without this, what arrives at its host counts."""

    @model_validator(mode="after")
    def _fits(self) -> ProgramKind:
        names = [each.name for each in self.programs]
        for at, each in enumerate(self.programs):
            if names.count(each.name) > 1:
                raise MisplacedError(f"two programs are called '{each.name}'", "programs", at, "name")
            for name in _named(each.when):
                if name not in self.parameters:
                    raise MisplacedError(f"there is no parameter '{name}'", "programs", at, "when")
            if each.ready is not None and each.ready.rpc and not isinstance(self.control, JsonRpc):
                raise MisplacedError("needs a 'control' of kind jsonrpc", "programs", at, "ready", "rpc")
        for name, taken in self.settings.items():
            if taken.parameter is not None and taken.parameter not in self.parameters:
                raise MisplacedError(
                    f"there is no parameter '{taken.parameter}'", "settings", name, "parameter"
                )
        for at, like in enumerate(self.like):
            for name in like.when:
                if name not in self.parameters:
                    raise MisplacedError(f"there is no parameter '{name}'", "like", at, "when", name)
        if self.relay is not None and self.relay.when not in (None, *self.parameters):
            raise MisplacedError(f"there is no parameter '{self.relay.when}'", "relay", "when")
        for name in _named(self.certificates):
            if name not in self.parameters:
                raise MisplacedError(f"there is no parameter '{name}'", "certificates")
        if isinstance(self.control, Lines | CtrlTcp) and self.control.program not in names:
            raise MisplacedError(
                f"there is no program '{self.control.program}'", "control", self.control.kind, "program"
            )
        return self


DEFAULT_PORTS: Final[Mapping[str, int]] = {"sip": 5060, "rtp_low": 49170, "rtp_high": 49199}


__all__ = ["CtrlTcp", "JsonRpc", "Lines", "ProgramKind", "RunSpec"]
