"""Routers, scenarios and mitigations as a table: what works, what a user notices, and what is unknown.

The rules of this file:

- A cell stands for all seeds of one trial. ``works`` and ``fails``: all of them do; ``varies``: some do.
- A vendor's router whose behaviour is not documented is ``unknown``. It is not run, and never green or red.
- What can't be set up (a mitigation for which the network has no place) is ``impossible``, with the reason.
- The first subject is the router without an ALG. What fails there is not an ALG's fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

from pydantic import TypeAdapter, ValidationError

from siplab.alg_models import vendors as vendor_files
from siplab.alg_models.catalogue import Catalogue
from siplab.alg_models.profiles import Profile
from siplab.alg_models.vendors.schema import UNKNOWN, Hypothesis, VendorProfile
from siplab.experiments.output import commands
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.rates import Rate, percent
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab import documents, specs
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.version import __version__

VERSION: Final = 1
HYPOTHESIS: Final = "hypothesis"
"""The evidence of a router that is only a hypothesis."""
Status = Literal["works", "fails", "varies", "invalid", "unknown", "impossible"]
_WORSE: Final = ("works", "varies", "fails", "invalid")  # from good to bad; other outcomes are not compared


@dataclass(frozen=True)
class Subject:
    """A router. ``evidence``: the best evidence for it; ``known``: whether its behaviour is documented.

    ``fault_class``: of the model, or of the model of the vendor's card; ``vendor``: the card's id. Each is
    empty if there is none.
    """

    id: str
    name: str
    kind: Literal["vendor", "model"]
    evidence: str
    known: bool
    about: str
    fault_class: str = ""
    vendor: str = ""


@dataclass(frozen=True)
class Key:
    """What a cell is about; ``remedy``: mitigations joined by ``+``, empty for none."""

    subject: str
    scenario: str
    remedy: str
    topology: str
    phone: str
    server: str


@dataclass(frozen=True)
class Cell:
    """The outcome of a key's trials: ``working`` of ``trials``. ``check``: what failed first most often.

    ``symptom``: what a user then notices. ``why``: the reason if it is unknown, impossible or invalid.
    ``changed``: packets that the router changed in the first trial. ``doc``: the id of its report in a page.
    """

    key: Key
    status: Status
    working: int
    trials: int
    check: str
    symptom: str
    why: str
    changed: int
    command: str
    doc: str = ""

    @property
    def rate(self) -> Rate:
        """The rate of trials that work; of none if the cell was not run or the lab failed."""
        counts = self.status in ("works", "fails", "varies")
        return Rate(self.working, self.trials) if counts else Rate(0, 0)


@dataclass(frozen=True)
class Compatibility:
    """The whole table."""

    version: Literal[1]
    siplab: str
    subjects: tuple[Subject, ...]
    scenarios: tuple[str, ...]
    remedies: tuple[str, ...]
    settings: tuple[tuple[str, str, str], ...]  # topology, phone, server
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Plan:
    """What to run: for each key its trials, or why it has none."""

    subjects: tuple[Subject, ...]
    scenarios: tuple[str, ...]
    remedies: tuple[str, ...]
    settings: tuple[tuple[str, str, str], ...]
    seeds: tuple[int, ...]
    model_paths: tuple[str, ...] = ()
    vary: bool = False

    def cells(self) -> Iterable[tuple[Key, Subject]]:
        for topology, phone, server in self.settings:
            for remedy in self.remedies:
                for subject in self.subjects:
                    for scenario in self.scenarios:
                        yield Key(subject.id, scenario, remedy, topology, phone, server), subject

    def specs(self, key: Key) -> list[TrialSpec]:
        """The trials of a key, one for each seed."""
        mitigations = tuple(each for each in key.remedy.split("+") if each)
        return [
            TrialSpec(
                key.topology,
                key.subject,
                key.scenario,
                mitigations=mitigations,
                seed=seed,
                model_paths=self.model_paths,
                phone=key.phone,
                server=key.server,
                vary=self.vary,
            )
            for seed in self.seeds
        ]


def subjects(
    models: Sequence[str], vendors: Sequence[str], paths: tuple[str, ...] = (), *, hypotheses: bool = False
) -> tuple[Subject, ...]:
    """Routers by ids, the one without an ALG first. Raises ``UsageError`` for an unknown id.

    ``hypotheses``: for vendors' routers of unknown behaviour, add each possible behaviour as a router.
    """
    known = trial.models(paths)
    rows = [_model(each) for each in (known.get("none"), *known.select(models))]
    for name in vendors:
        card = vendor_files.load(name)
        rows.append(_vendor(card, known))
        if hypotheses and card.model == UNKNOWN:
            rows += [_hypothesis(card, each, known) for each in card.hypotheses]
    return tuple({each.id: each for each in rows}.values())


def _model(model: Model) -> Subject:
    card = model.card
    evidence = next((str(source.evidence) for source in card.sources), "none")
    return Subject(
        model.id,
        model.id,
        "model",
        "control" if card.kind == "control" else evidence,
        True,
        card.summary,
        card.fault_class or "",
    )


def _vendor(card: VendorProfile, known: Catalogue) -> Subject:
    level = card.behaviour()
    documented = card.model != UNKNOWN
    about, fault_class = "Nobody has documented what it does.", ""
    if documented:
        about = known.get(card.id).card.summary + (f" As of {card.as_of}." if card.as_of else "")
        fault_class = _class_behind(known.get(card.id))
    evidence = level.value if level is not None else "none"
    return Subject(card.id, card.name, "vendor", evidence, documented, about, fault_class, card.id)


def _hypothesis(card: VendorProfile, guess: Hypothesis, known: Catalogue) -> Subject:
    spec = specs.written(card.id, {"hypothesis": guess.id})
    name = f"{card.name}, if it is {guess.id}"
    about = f"A hypothesis ({guess.sure}): {guess.because}"
    fault_class = _class_behind(known.get(spec))
    return Subject(spec, name, "vendor", HYPOTHESIS, True, about, fault_class, card.id)


def _class_behind(model: Model) -> str:
    behind = model.behind if isinstance(model, Profile) else model
    return behind.card.fault_class or "" if behind is not None else ""


def check_setting(topology: str, phone: str, server: str) -> None:
    """Raises ``UsageError`` for a network or a kind of endpoint that does not exist."""
    trial.check_spec(TrialSpec(topology, "none", "register", phone=phone, server=server))


def refused(plan: Plan) -> dict[Key, tuple[Status, str]]:
    """The keys that are not run, and why."""
    found: dict[Key, tuple[Status, str]] = {}
    for key, subject in plan.cells():
        if not subject.known:
            found[key] = "unknown", subject.about
            continue
        try:
            spec = plan.specs(key)[0]
            trial.check_spec(spec)
            trial.setup_of(spec, trial.network_of(spec))
        except UsageError as error:
            found[key] = "impossible", str(error)
    return found


def table(plan: Plan, results: Iterable[TrialResult], left: dict[Key, tuple[Status, str]]) -> Compatibility:
    """The table of a plan, from the results of its trials in order."""
    rows = iter(results)
    cells = []
    for key, _ in plan.cells():
        if key in left:
            status, why = left[key]
            cells.append(Cell(key, status, 0, 0, "", "", why, 0, ""))
        else:
            cells.append(_cell(key, [next(rows) for _ in plan.seeds]))
    return Compatibility(
        VERSION,
        __version__,
        plan.subjects,
        plan.scenarios,
        plan.remedies,
        plan.settings,
        plan.seeds,
        tuple(cells),
    )


def _cell(key: Key, results: Sequence[TrialResult]) -> Cell:
    errors = [error for each in results for error in each.errors]
    working = sum(each.outcome == "pass" for each in results)
    failures = Counter(each.first_failure for each in results if each.first_failure is not None)
    first = failures.most_common(1)[0][0] if failures else None
    status: Status = "works" if working == len(results) else "varies" if working else "fails"
    return Cell(
        key,
        "invalid" if errors else status,
        working,
        len(results),
        first.name if first else "",
        first.symptom if first else "",
        errors[0] if errors else "",
        results[0].packets_changed,
        commands.call(results[0].spec),
    )


# -- other forms -------------------------------------------------------------------------------------


def word(cell: Cell) -> str:
    """A cell in a few words. If it has several trials, with how many of them work, and the interval."""
    words = {"works": "works", "unknown": "nobody knows", "impossible": "not possible", "invalid": "invalid"}
    said = words.get(cell.status) or cell.check
    return f"{said} {counted(cell.rate)}" if cell.rate.of > 1 else said


def counted(rate: Rate) -> str:
    """``3/5 (23..88 %)``, with the 95 % Wilson interval; a dash if nothing was counted."""
    if rate.interval is None:
        return "-"
    low, high = rate.interval
    return f"{rate.count}/{rate.of} ({percent(low)}..{percent(high)} %)"


def as_json(table: Compatibility) -> dict[str, Any]:
    """Plain data. Each cell also has the interval of its rate (``low`` and ``high``)."""
    data = asdict(table)
    for row, cell in zip(data["cells"], table.cells, strict=True):
        low, high = cell.rate.interval or (None, None)
        row |= {"low": low, "high": high}
    return data


def from_json(data: object, name: str) -> Compatibility:
    """The table from the data of ``as_json``. Raises ``UsageError`` that names the field."""
    try:
        found: Compatibility = TypeAdapter(Compatibility).validate_python(data)
    except ValidationError as error:
        raise UsageError(f"{name}: no table of `siplab matrix --json`: {documents.fault(error)}") from None
    return found


# -- two runs ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """A cell in which two runs differ; ``None``: one of the runs does not have it."""

    key: Key
    before: Cell | None
    after: Cell | None

    @property
    def worse(self) -> bool:
        """Whether the later status is worse than the earlier one. Unknown is neither better nor worse."""
        cells = (self.before, self.after)
        ranks = [_WORSE.index(each.status) for each in cells if each and each.status in _WORSE]
        return len(ranks) == 2 and ranks[1] > ranks[0]


def differences(before: Compatibility, after: Compatibility) -> list[Difference]:
    """The cells that differ in status or in what fails first, in the order of the table."""
    old, new = ({each.key: each for each in table.cells} for table in (before, after))
    found = [Difference(key, old.get(key), new.get(key)) for key in {**new, **old}]
    return [each for each in found if _told(each.before) != _told(each.after)]


def _told(cell: Cell | None) -> tuple[object, ...] | None:
    return None if cell is None else (cell.status, cell.check, cell.working, cell.trials)


def with_reports(table: Compatibility, reports: dict[Key, str]) -> Compatibility:
    """The same table, with the ids of the reports in a page."""
    return replace(table, cells=tuple(replace(each, doc=reports.get(each.key, "")) for each in table.cells))
