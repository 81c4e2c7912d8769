"""The tables of results and their columns: names, types, units, meanings.

The rules of this file:

- One row is one thing: a trial, a check, a media stream, a changed part. No cell holds a list.
- The unit is in the column's name: ``_s`` are seconds; counts say what they count.
- A cell is null only if it was not measured. Something that does not exist is an empty text; a count of
  nothing is 0.
- ``trial`` joins the tables: the number of the trial in its experiment, from 1.
- Nothing depends on the machine, the kernel, Python or the date.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from siplab.experiments.trial.stage import About
from siplab.lab.gateway.alg import Evidence, FaultClass

TableName = Literal["trials", "checks", "streams", "silences", "changes", "findings"]
ColumnType = Literal["integer", "real", "boolean", "text", "category"]


@dataclass(frozen=True)
class Column:
    """One column. ``values``: all values that a category may have; empty: any.

    ``nullable``: it may be null; ``meaning`` says what was not measured then.
    """

    name: str
    type: ColumnType
    meaning: str
    unit: str = ""
    values: tuple[str, ...] = ()
    nullable: bool = False

    def as_json(self) -> dict[str, Any]:
        """The column as plain data, for a data dictionary."""
        return {
            "name": self.name,
            "type": self.type,
            "unit": self.unit,
            "nullable": self.nullable,
            "values": list(self.values),
            "meaning": self.meaning,
        }


_TRIAL: Final = Column("trial", "integer", "the number of the trial in its experiment, from 1")
_USER: Final = Column("user", "category", "the user of the phone that sent and heard it")
_CALL: Final = Column("call", "integer", "the number of the phone's call, from 1")
_KIND: Final = Column("kind", "category", "audio, video, fax")
_OUTCOMES: Final = (
    *("pass", "fail", "alg", "clean", "undecided"),
    *("error", "unknown", "not applicable"),
)
_VERDICTS: Final = ("alg", "clean", "undecided", "error")

_TRIALS: Final = (
    _TRIAL,
    Column("topology", "category", "the network, as a trial names it"),
    Column("model", "category", "the router's ALG: a model or a vendor's card, as a trial names it"),
    Column(
        "model_kind",
        "category",
        "what it stands for: control, fault, reference-implementation, profile (of a vendor), combination; "
        "several where gateways have different ones",
    ),
    Column("fault_class", "category", "the class of its fault, empty for none", "", get_args(FaultClass)),
    Column("vendor", "category", "the id of the vendor's card, empty for a model of the catalogue"),
    Column(
        "evidence",
        "category",
        "how well the router's behaviour is known, at best; control: it stands for a router without a fault; "
        "none: nobody says",
        "",
        (*(each.value for each in Evidence), "control", "none"),
    ),
    Column("scenario", "category", "what was played, empty for a detector's trial"),
    Column("detector", "category", "who looked for an ALG, empty for a scenario's trial"),
    Column(
        "mitigations", "category", "remedies in the order in which they apply, joined by +, empty for none"
    ),
    Column("control", "category", "the clean control of a scoreboard, empty for none"),
    Column("gateway", "category", "who did the router's work", "", ("queue", "kernel")),
    Column("phone", "category", "the kind of the phones behind the router"),
    Column("server", "category", "the kind of the server"),
    Column("far_phone", "category", "the kind of the phones on the internet"),
    Column("seed", "integer", "the seed of all randomness in the trial"),
    Column("varied", "boolean", "whether the seed also decided what phones differ in"),
    Column("longest_s", "real", "how long real programs are waited for at most, 0: as usual", "s"),
    Column("world", "category", "where it was run", "", ("simulated", "emulated")),
    Column(
        "outcome",
        "category",
        "pass: all checks passed; fail: one did not; alg, clean, undecided: a detector's verdict; error: the "
        "trial is invalid; unknown: nobody knows what the router does; not applicable: an endpoint can't",
        "",
        _OUTCOMES,
    ),
    Column("checks", "integer", "how many checks there were", "checks"),
    Column("failed_checks", "integer", "how many of them failed", "checks"),
    Column("first_failure", "category", "the check that failed first, empty for none"),
    Column("symptom", "category", "what a user notices of the first failure, empty for none"),
    Column(
        "verdict", "category", "the detector's; null: there was no detector", "", _VERDICTS, nullable=True
    ),
    Column("verdict_detail", "text", "what the detector said of it, empty for nothing"),
    Column("errors", "integer", "how many reasons there are for the trial to be invalid", "reasons"),
    Column("first_error", "text", "the first of them, empty for none"),
    Column(
        "not_applicable", "text", "what an endpoint can't do that the scenario asks for, empty for nothing"
    ),
    Column("duration_s", "real", "how long it took by the trial's clock", "s"),
    Column("changed_packets", "integer", "packets whose payload an ALG changed", "packets"),
    Column(
        "reach_touched",
        "boolean",
        "whether a router without an ALG would have emitted something else; null: nobody looked",
        nullable=True,
    ),
    Column(
        "reach_translation_only",
        "boolean",
        "whether a router with a correct ALG would have emitted the same; null: nobody looked",
        nullable=True,
    ),
    Column(
        "key",
        "text",
        "a digest of all that the result holds for: the engine, what the trial names, the seed, the world",
    ),
    Column("digest", "text", "a digest of all that came of the trial, in all tables"),
)

TABLES: Final[dict[TableName, tuple[Column, ...]]] = {
    "trials": _TRIALS,
    "checks": (
        _TRIAL,
        Column("number", "integer", "the number of the check in its trial, from 1"),
        Column("name", "category", "what was looked at"),
        Column("passed", "boolean", "whether it was as it should be"),
        Column("about", "category", "what it is about", "", get_args(About)),
        Column("symptom", "category", "what a user notices when it fails"),
        Column("detail", "text", "what was seen, empty for nothing"),
    ),
    "streams": (
        _TRIAL,
        _USER,
        _CALL,
        _KIND,
        Column("sent_packets", "integer", "RTP packets that the phone sent", "packets"),
        Column("received_packets", "integer", "RTP packets that it received", "packets"),
        Column("lost_packets", "integer", "sequence numbers that never came, between others", "packets"),
        Column("duplicate_packets", "integer", "packets that came twice", "packets"),
        Column("reordered_packets", "integer", "packets that came behind later ones", "packets"),
        Column(
            "first_packet_s",
            "real",
            "from the answer to the first packet, negative for early media; null: none came",
            "s",
            nullable=True,
        ),
        Column("silences", "integer", "how often nothing came for a while", "silences"),
        Column("silent_s", "real", "how long that was in all", "s"),
        Column("rtcp_sent", "integer", "RTCP reports on the stream that the phone sent", "reports"),
        Column("rtcp_received", "integer", "RTCP reports on the stream that it received", "reports"),
    ),
    "silences": (
        _TRIAL,
        _USER,
        _CALL,
        _KIND,
        Column("begin_s", "real", "from the answer to the beginning of the silence", "s"),
        Column("end_s", "real", "from the answer to its end", "s"),
    ),
    "changes": (
        _TRIAL,
        Column("number", "integer", "the number of the row in its trial, from 1, in the order first seen"),
        Column("gateway", "category", "the router that changed it"),
        Column("entered", "category", "the side on which the message came in", "", ("inside", "outside")),
        Column("message", "category", "the message: REGISTER, 200 OK (INVITE); empty: no SIP message"),
        Column(
            "part",
            "category",
            "the changed part: start line, a header field, a line of SDP; null: it can't be told",
            nullable=True,
        ),
        Column("packets", "integer", "in how many packets", "packets"),
    ),
    "findings": (
        _TRIAL,
        Column(
            "kind",
            "category",
            "changed: a part that the detector saw changed; fault: a model that would look like this; "
            "evidence: a sentence on what was noticed; rewritten: a part that routers rewrote, where "
            "somebody looked what was within reach",
            "",
            ("changed", "fault", "evidence", "rewritten"),
        ),
        Column(
            "number", "integer", "the number among those of its kind, from 1; faults: the likeliest first"
        ),
        Column("text", "text", "the part, the model's id, or the sentence"),
    ),
}
