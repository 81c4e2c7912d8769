"""Answers the requests of the sandbox's page: JSON in, JSON out.

The rules of this file:

- Nothing imported here needs a terminal, a kernel or another process, because it all runs in a browser.
- A request may be anything, since it may come from a link. Bad input gives an answer, not an exception.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib import resources
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, Final

from siplab import topologies
from siplab.alg_models import vendors
from siplab.experiments import exercises
from siplab.experiments.exercises import questions
from siplab.experiments.output.compatibility import subjects
from siplab.experiments.output.document import document
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.pairs import DEFAULT
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.spec import TrialSpec, needs_emulated
from siplab.lab import foreign
from siplab.lab.errors import UsageError

Answer = dict[str, Any]
MOST_BYTES: Final = 64_000_000
"""Bytes of one capture. Reading it takes several times as much of the memory that a browser allows a page."""
_WRITTEN: Final = count(1)  # each text of a model gets its own file, since modules are imported once


def answer(request: str, files: Sequence[bytes] = ()) -> str:
    """The answer to ``{"ask": NAME, ...}``: what that function returns, or ``{"error": one line}``.

    The other fields are the function's arguments; ``asked`` describes a trial. ``files`` are given besides
    the JSON, for functions that take files.
    """
    given = json.loads(request)
    if files:
        given["files"] = files
    try:
        return json.dumps(_ANSWERS[given.pop("ask")](**given), ensure_ascii=False)
    except UsageError as error:
        return json.dumps({"error": foreign.one_line(str(error))})


def choices() -> Answer:
    """What can be chosen, each with its id, a sentence, and, if it can't be used here, why.

    ``captures``: how many bytes of a capture are read at most; 0 without scapy, which reads them.
    """
    known = subjects(["all"], vendors.available())
    return {
        "model": [
            {
                "id": each.id,
                "summary": each.about if each.kind == "model" else each.name,
                "group": _group(each.id) if each.kind == "model" else "vendors",
                "lacking": "" if each.known else "nobody documented what it does",
            }
            for each in known
        ],
        "scenario": _items(registry.scenarios()),
        "phone": _items(registry.phones()),
        "server": _items(registry.servers()),
        "topology": [
            {"id": each, "summary": topologies.load(each).summary, "lacking": ""}
            for each in topologies.available()
        ],
        "mitigation": _items(registry.mitigations()),
        "defaults": {"model": "semicolon-loss", "phone": DEFAULT.phone, "server": DEFAULT.server},
        "captures": MOST_BYTES if find_spec("scapy") is not None else 0,
        "own": resources.files(__package__).joinpath("own_model.txt").read_text(encoding="utf-8"),
    }


def run(asked: Mapping[str, Any], source: str = "", *, whole: bool = False) -> Answer:
    """The document of a trial. If ``source`` is given, its ``model`` is the one in it.

    ``whole``: also try every mitigation, which takes longer.
    """
    spec = spec_of(asked, source)
    result, trace = trial.run(spec)
    named = spec.mitigations
    if named:  # compared with the trial without it
        result, trace = trial.run(replace(spec, mitigations=()))
    return {"document": asdict(document(result, trace, named, try_remedies=whole))}


def exercise_list() -> Answer:
    """The exercises, easy ones first."""
    return {
        "exercises": [
            {"id": name, "title": each.title, "level": each.level}
            for name, each in exercises.exercises().items()
        ]
    }


def exercise(name: str, seed: int) -> Answer:
    """The question of an exercise. Nothing in it names the router's model."""
    found = exercises.get(name)
    question = questions.ask(found, _seed(seed))
    return {
        "title": found.title,
        "level": found.level,
        "story": found.story,
        "causes": question.causes,
        "remedies": question.remedies,
        "hints": len(found.hints),
        "document": asdict(question.document),
    }


def hint(name: str, number: int) -> Answer:
    """A hint, by its number from 0 on."""
    found = exercises.get(name).hints
    return {"hint": found[max(0, min(int(number), len(found) - 1))]}


def judge(name: str, cause: str, remedies: list[str]) -> Answer:
    """Whether an answer is right, and to what extent."""
    verdict = questions.judge(exercises.get(name), cause, remedies)
    return {**asdict(verdict), "right": verdict.right}


def solve(name: str, seed: int) -> Answer:
    """The answer: the router, why it fails, and what helps."""
    found = exercises.get(name)
    return {
        "cause": found.causes.right,
        "cure": found.remedies.cure,
        "solution": found.solution,
        "document": asdict(questions.solved(found, _seed(seed))),
    }


def diagnose(files: Sequence[bytes]) -> Answer:
    """What ``siplab diagnose`` says of captures. It calls them capture-1 and capture-2."""
    from siplab.experiments.diagnosis.diagnosing import diagnose_files  # most pages never need it
    from siplab.experiments.diagnosis.words import words

    paths = [Path(f"capture-{number}") for number in range(1, len(files) + 1)]
    try:
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)
        found, left_out = diagnose_files(paths)
        return {"verdict": found.verdict.value, "sentences": words(found), "left_out": left_out}
    except MemoryError:
        raise UsageError(
            "these captures need more memory than a browser gives: `siplab diagnose` reads them"
        ) from None
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def digest(asked: Mapping[str, Any]) -> Answer:
    """The digest of a trial's result and trace. It should be the same in the browser as elsewhere."""
    result, trace = trial.run(spec_of(asked))
    text = json.dumps(result.as_json(), sort_keys=True) + "\n" + trace.to_json_lines()
    return {"digest": hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()}


def spec_of(asked: Mapping[str, Any], source: str = "") -> TrialSpec:
    """The trial that the page names. Raises ``UsageError``."""
    text = {name: str(asked.get(name) or "") for name in ("topology", "model", "scenario", "phone", "server")}
    paths = (_written(source),) if source else ()
    spec = TrialSpec(
        text["topology"] or "home",
        _own_model(paths) if paths else text["model"] or "none",
        text["scenario"],
        mitigations=tuple(map(str, asked.get("mitigations") or ())),
        seed=_seed(asked.get("seed", 1)),
        model_paths=paths,
        phone=text["phone"],
        server=text["server"],
    )
    if spec.real:
        raise UsageError(needs_emulated("what 'program:' names"))
    trial.check_spec(spec)
    if lacking := _lacking(registry.scenarios().get(spec.scenario)):
        raise UsageError(f"scenario '{spec.scenario}' {lacking}")
    return spec


def _seed(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value < 2**53:
        raise UsageError("seed must be a whole number from 0 on")
    return value


def _written(source: str) -> str:
    path = Path(f"model-{next(_WRITTEN)}.py")
    path.write_text(source, encoding="utf-8")
    return str(path)


def _own_model(paths: tuple[str, ...]) -> str:
    known = trial.models(paths)
    return next(each.id for each in known if known.origin(each.id) in paths)


def _group(model: str) -> str:
    card = trial.models().get(model).card
    return str(card.fault_class or card.kind)


def _items(items: Iterable[Item[Any]]) -> list[Answer]:
    return [{"id": each.id, "summary": each.summary, "lacking": _lacking(each)} for each in items]


def _lacking(item: Item[Any]) -> str:
    """What an item needs that this Python does not have."""
    package = getattr(item.settings, "package", "")
    return (
        f"needs the package '{package}', which is not here" if package and find_spec(package) is None else ""
    )


_ANSWERS: Final[dict[str, Callable[..., Answer]]] = {
    "choices": choices,
    "run": run,
    "diagnose": diagnose,
    "digest": digest,
    "exercises": exercise_list,
    "exercise": exercise,
    "hint": hint,
    "judge": judge,
    "solve": solve,
}
