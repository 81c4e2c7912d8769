"""The schemas of ``results.json`` and of a line of ``trace.jsonl``, for other programs: ``siplab schema``.

``TrialResult.as_json`` and ``lab.worlds.trace`` write these files. A test checks both against this file.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from siplab.experiments.trial.media import StreamReport
from siplab.experiments.trial.reach import Reach
from siplab.experiments.trial.result import Explanation
from siplab.experiments.trial.stage import Check, Finding
from siplab.lab.gateway.fate import Fate
from siplab.lab.sip.events import EventKind
from siplab.lab.worlds.trace import LossReason, WorldEvent

VERSION: Final = 2


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid")


# -- results -----------------------------------------------------------------------------------------


class VendorNote(_Plain):
    """What a vendor's card stands for. ``evidence``: how well it is known; ``as_of``: an ISO date."""

    id: str
    variant: str = ""
    hypothesis: str = ""
    alg: str = ""
    model: str
    evidence: str = ""
    covers: str = ""
    as_of: str = ""


class TrialRow(_Plain):
    """A trial: what was tried (without what is the default), and its outcome.

    ``models``: the spec of the model that each gateway ran. ``vendors``: for each spec of a vendor's card,
    what runs and how well that is known. ``files``: names of the files written about it, by kind. ``real``:
    real programs played a phone or the server. ``not_applicable``: what the scenario needs and they can't do.
    ``reproducible``: whether another run has the same bytes; with TLS it has not.
    """

    topology: str
    model: str
    seed: int
    scenario: str = ""
    detector: str = ""
    mitigations: tuple[str, ...] = ()
    control: str = ""
    gateway: str = "queue"
    phone: str = ""
    server: str = ""
    far_phone: str = ""
    longest: float = 0.0
    vary: bool = False
    world: str
    outcome: str
    models: dict[str, str] = {}
    vendors: dict[str, VendorNote] = {}
    files: dict[str, str] = {}
    real: bool = False
    not_applicable: str = ""
    reproducible: bool = True
    finding: Finding | None = None
    checks: list[Check] = []
    explanation: list[Explanation] = []
    media: list[StreamReport] = []
    reach: Reach | None = None
    notes: list[str] = []
    errors: list[str]
    duration: float
    packets_changed: int


class AlikeRow(_Plain):
    """Models whose trials of one setting were the same, byte for byte, with every seed.

    This is known only of trials that may be shared: not with ``--no-share``, ``--out`` or in the emulated
    world.
    """

    setting: str
    models: list[str]


class ResultsFile(_Plain):
    """``results.json``: the same for the same experiment, whenever and wherever it is run.

    ``siplab``: the version; ``catalogue``: a digest of all models; ``topologies``: the contents of those that
    trials name. ``provenance.json`` says where and when it was run.
    """

    version: Literal[2]
    siplab: str
    catalogue: str
    experiment: str
    world: str
    interrupted: bool = False
    trials_to_run: int = 0
    topologies: dict[str, dict[str, Any]]
    alike: list[AlikeRow] = []
    trials: list[TrialRow]


# -- traces ------------------------------------------------------------------------------------------

Base64 = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$")]
Endpoint = Annotated[str, Field(description="ADDRESS:PORT, or [ADDRESS]:PORT for IPv6")]


class _Record(_Plain):
    now: float  # seconds on the trial's clock


class HeadLine(_Plain):
    """The first line: what was tried, and everything that determines the outcome."""

    kind: Literal["trial"]
    version: Literal[2]
    siplab: str
    catalogue: str
    topologies: dict[str, dict[str, Any]]
    world: str
    settings: dict[str, Any]
    models: dict[str, str]
    vendors: dict[str, VendorNote] = {}


class DatagramLine(_Record):
    """A datagram at an agent's socket; ``text``: what it says, if it is SIP."""

    kind: Literal["sent", "received"]
    host: str
    local: Endpoint
    remote: Endpoint
    payload: Base64
    text: str = ""


class SegmentLine(_Record):
    kind: Literal["segment"]
    host: str
    leaving: bool
    packet: Base64


class EmissionRow(_Plain):
    """What a gateway did with a packet; ``side``: where it left, ``null`` if it did not."""

    side: Literal["inside", "outside"] | None
    packet: Base64 = ""
    fate: Fate
    detail: str = ""
    originated: bool = False
    changed: bool = False
    error: str = ""


class PassageLine(_Record):
    kind: Literal["passage"]
    gateway: str
    side: Literal["inside", "outside"]
    packet: Base64
    emissions: list[EmissionRow]


class LostLine(_Record):
    kind: Literal["lost"]
    node: str
    packet: Base64
    reason: LossReason
    detail: str


class SkippedLine(_Record):
    """Packets of a flow that went the way of the one before, and are not written one by one.

    If a network loses and delays packets: the numbers (from 0) of those that were ``lost``, of those that
    came twice (``doubled``), and for each packet after how many seconds each copy came (``delays``).
    ``as_arrived``: the packets of the line before, forwarded as they came.
    """

    kind: Literal["skipped-packets"]
    host: str
    local: Endpoint
    remote: Endpoint
    packets: int
    until: float
    content: str
    first: int
    network: str = ""
    node: str = ""
    lost: list[int] = []
    doubled: list[int] = []
    delays: list[float] = []
    as_arrived: bool = False


class RemarkLine(_Record):
    kind: Literal["remark"]
    who: str
    what: WorldEvent
    detail: str
    local: Endpoint = ""
    remote: Endpoint = ""


class NotedLine(_Record):
    """What an agent noticed."""

    kind: Literal["noted"]
    host: str
    what: EventKind
    detail: str
    facts: dict[str, Any] = {}


class CheckedLine(_Record):
    kind: Literal["checked"]
    name: str
    passed: bool


TraceLine = Annotated[
    HeadLine
    | DatagramLine
    | SegmentLine
    | PassageLine
    | LostLine
    | SkippedLine
    | RemarkLine
    | NotedLine
    | CheckedLine,
    Field(discriminator="kind"),
]
