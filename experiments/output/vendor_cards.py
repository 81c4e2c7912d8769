"""What ``siplab vendors`` shows: as data, printed, and as the table of docs/vendors.md."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from siplab.alg_models import profiles
from siplab.alg_models import vendors as vendor_files
from siplab.alg_models.vendors.schema import MAIN, UNKNOWN, VendorProfile
from siplab.experiments.output.console import print_exact, print_folded
from siplab.lab.gateway.alg import Evidence

Row = dict[str, Any]


def vendors() -> list[Row]:
    """One row per card."""
    return [_row(vendor_files.load(identifier)) for identifier in vendor_files.available()]


def vendor(name: str) -> Row:
    """Everything on one card, by id, alias or file, structured like its file. Raises ``UsageError``."""
    return vendor_files.load(name).model_dump(mode="json", by_alias=True, exclude_none=True)


def markdown() -> str:
    """All cards as a Markdown table."""
    columns = list(vendors()[0])
    lines = ["| vendor | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for identifier in vendor_files.available():
        profile = vendor_files.load(identifier)
        cells = [profile.name, *(str(value) for value in _row(profile).values())]
        cells[1] = f"`{cells[1]}`"
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _row(profile: VendorProfile) -> Row:
    return {
        "id": profile.id,
        "default": profile.default.state,
        "can be disabled": profile.switch_off.possible,
        "best evidence": profile.evidence[0].value if profile.evidence else "none",
        "behaviour": _behaviour(profile),
        "model": profile.model,
        "lineage": profile.lineage.of if profile.lineage else "",
    }


def _behaviour(profile: VendorProfile) -> str:
    """How well a router's treatment of messages is known, for the variant that is known best."""
    names = (MAIN, *(each.id for each in profile.variants))
    levels = [level for level in map(profile.behaviour, names) if level is not None]
    if levels:
        return str(min(levels, key=list(Evidence).index).value)
    return "hypothesis" if profile.hypotheses else UNKNOWN


def counted() -> Row:
    """How many cards have a known behaviour, by evidence; the others have a hypothesis, or nothing."""
    cards = [vendor_files.load(each) for each in vendor_files.available()]
    levels = Counter(_behaviour(each) for each in cards)
    return {
        "cards": len(cards),
        "behave by more than inference": sum(each.behaves for each in cards),
        "of these, as a router without an ALG": sum(
            each.behaves and set(each.models) <= {"none"} for each in cards
        ),
        "variants with a model": sum(
            each.model not in (None, UNKNOWN) for card in cards for each in card.variants
        ),
        "by evidence": {level.value: levels[level.value] for level in Evidence if levels[level.value]},
        "with hypotheses alone": levels["hypothesis"],
        "unknown": levels[UNKNOWN],
    }


def print_counted(data: Row, console: Console) -> None:
    """Print the counts, one per line."""
    for name, value in data.items():
        told = (
            ", ".join(f"{count} {level}" for level, count in value.items())
            if name == "by evidence"
            else value
        )
        console.print(f"{name}: {told}", highlight=False)


def unknown() -> Row:
    """What is unknown: the cards without a model, and what owners of these routers should run.

    A card whose variants have models is listed, too, if its own behaviour is unknown.
    """
    rows: list[Row] = []
    for each in map(vendor_files.load, vendor_files.available()):
        if each.model != UNKNOWN:
            continue
        known = [variant.id for variant in each.variants if variant.model not in (None, UNKNOWN)]
        rows.append(
            {
                "id": each.id,
                "name": each.name,
                "known variants": known,
                "hypotheses": [guess.model_dump(mode="json", exclude_none=True) for guess in each.hypotheses],
            }
        )
    return {"routers": rows, "run": _RUN}


_RUN: Final = "siplab detect run"


def print_unknown(data: Row, console: Console) -> None:
    """Print one paragraph per router, and at the end what separates most of them."""
    for row in data["routers"]:
        console.print(Text.assemble((row["id"], "bold"), "  ", row["name"]))
        if row["known variants"]:
            print_folded(f"known: variants {', '.join(row['known variants'])}", console, 2)
        for guess in row["hypotheses"]:
            print_folded(f"hypothesis {guess['id']} ({guess['sure']}): {guess['model']}", console, 2)
            for each in guess["confirm"]:
                print_folded(f"try: {each['probe']}; if it holds: {each['expect']}", console, 4)
        if not row["hypotheses"]:
            print_folded("nothing found; every observation is new", console, 2)
    console.print()
    print_folded(
        f"Behind such a router: {_RUN} (docs/detect.md) says what it changes; its report, and captures of "
        "both sides, are what a card needs.",
        console,
    )


# -- printing --------------------------------------------------------------------------------------


def print_card(card: Row, console: Console) -> None:
    """Print a card in full. Commands and addresses are never broken into lines, because people copy them."""
    console.print(Text.assemble((card["id"], "bold"), "  ", card["name"]))
    for name, words in (("devices", card["devices"]), ("found as", card["aliases"])):
        if words:
            print_folded(f"{name}: {', '.join(words)}", console, 2)
    why = ""
    if card["model"] == UNKNOWN:
        why = f" ({profiles.why_unknown(documented=bool(card['claims'] or 'lineage' in card))})"
    print_folded(f"model: {card['model']}{why}", console, 2)
    if "covers" in card:
        print_folded(card["covers"], console, 4)
    _not_shown(card, console)
    _repository(card, console)
    if "as_of" in card:
        print_folded(f"as of {card['as_of']}", console, 2)
    for guess in card["hypotheses"]:
        _hypothesis(guess, console)
    if "lineage" in card:
        _section(f"lineage: {card['lineage']['of']}", console)
        _statement(card["lineage"], card["lineage"]["claim"], console)
    _section(f"default: {card['default']['state']}", console)
    _default(card["default"], console)
    _claims(card["claims"], console, "what it does")
    _switch_off(card["switch_off"], console)
    _switch(card, console)
    if card["timers"]:
        _section("timers", console)
        for timer in card["timers"]:
            text = f"{timer['name']}: {timer['seconds']:g} s"
            _statement(timer, f"{text} ({timer['text']})" if "text" in timer else text, console)
    _claims(card["nat"], console, "address translation")
    for variant in card["variants"]:
        _section(f"variant {variant['id']}", console)
        model = f" Model: {variant['model']}." if "model" in variant else ""
        print_folded(variant["summary"] + model, console, 2)
        if variant["devices"]:
            print_folded(f"devices: {', '.join(variant['devices'])}", console, 2)
        if "covers" in variant:
            print_folded(variant["covers"], console, 4)
        _not_shown(variant, console)
        _repository(variant, console)
        if "default" in variant:
            print_folded(f"default: {variant['default']['state']}", console, 2)
            _default(variant["default"], console)
        _switch(variant, console)
        _claims(variant["claims"], console)
    if card["awaits"]:
        _section("documented, and no model does it yet", console)
        for each in card["awaits"]:
            print_folded(f"{each['model']}: {each['text']}", console, 2)
    if card["notes"]:
        _section("notes", console)
        for note in card["notes"]:
            # A sourced note is followed by its source.
            text = note["text"] if note["kind"] == "sourced" else f"{note['kind']}: {note['text']}"
            if "source" in note:
                _statement(note, text, console)
            else:
                print_folded(text, console, 2)


def _not_shown(where: Row, console: Console) -> None:
    if "not_shown" in where:
        because, text = where["not_shown"]["because"], where["not_shown"]["text"]
        print_folded(f"no scenario shows it ({because}): {text}", console, 4)


def _switch_off(switch: Row, console: Console) -> None:
    _section(f"can be switched off: {switch['possible']}", console)
    if "text" in switch or "source" in switch:
        _statement(switch, str(switch.get("text", switch["possible"])), console)
    for title, rows in (("", switch["procedures"]), ("workaround, ", switch["workarounds"])):
        for row in rows:
            _statement(row, f"{title}{row['for']} ({row['kind']}):", console)
            for number, step in enumerate(row["steps"], 1):
                print_exact(f"      {number}. {step}", console, "bold")
            for command in row["check"]:
                print_exact(f"      to see its state: {command}", console)


def _default(default: Row, console: Console) -> None:
    if default["state"] != UNKNOWN or "text" in default:
        _statement(default, default.get("text", f"{default['state']} as shipped"), console)


def _repository(row: Row, console: Console) -> None:
    if "repository" in row:
        where = row["repository"]
        print_exact(f"  source: {where['name']} @{where['commit']}", console)
        print_folded(where["place"], console, 4)


def _switch(row: Row, console: Console) -> None:
    """Print how the switch really works."""
    if "switch" not in row:
        return
    switch = row["switch"]
    _statement(switch, f"switched off: {switch['effect']}{_colon(switch.get('text'))}", console)
    if switch["on_again"]:
        print_folded(f"on again after: {', '.join(switch['on_again'])}", console, 4)


def _colon(text: str | None) -> str:
    return f": {text}" if text else ""


def _hypothesis(guess: Row, console: Console) -> None:
    """Print what the router may do, always marked as a hypothesis."""
    _section(f"hypothesis {guess['id']} ({guess['sure']}), nothing that is known", console)
    print_folded(f"model: {guess['model']}", console, 2)
    print_folded(f"[inference] {guess['because']}", console, 2)
    _source(guess["source"], guess.get("url"), console)
    for each in guess["confirm"]:
        print_folded(f"try: {each['probe']}", console, 4)
        print_folded(f"if it holds: {each['expect']}", console, 4)


def _claims(claims: list[Row], console: Console, title: str = "") -> None:
    """Print claims. Consecutive claims with the same source are followed by it once."""
    if claims and title:
        _section(title, console)
    for (source, url), rows in groupby(claims, key=lambda row: (row["source"], row.get("url"))):
        for row in rows:
            print_folded(f"[{row['evidence']}] {row['text']}", console, 2)
        _source(source, url, console)


def _section(title: str, console: Console) -> None:
    console.print()
    console.print(Text(title, style="bold cyan"))


def _statement(row: Row, text: str, console: Console) -> None:
    """Print a statement, with its evidence level before it and its source below it."""
    level = f"[{row['evidence']}] " if "evidence" in row else ""
    print_folded(level + text, console, 2)
    if "source" in row:
        _source(row["source"], row.get("url"), console)


def _source(source: str, url: str | None, console: Console) -> None:
    print_folded(source, console, 4, "dim")
    if url is not None:
        print_exact("    " + url, console, "dim")
