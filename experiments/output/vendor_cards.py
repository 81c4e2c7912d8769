"""What ``siplab vendors`` shows: as data, printed, and as the table of docs/vendors.md."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from rich.console import Console
from rich.text import Text

from siplab.alg_models import profiles
from siplab.alg_models import vendors as vendor_files
from siplab.alg_models.vendors.schema import UNKNOWN, VendorProfile
from siplab.experiments.output.console import print_exact, print_folded

Row = dict[str, Any]


def vendors() -> list[Row]:
    """One row per card."""
    return [_row(vendor_files.load(identifier)) for identifier in vendor_files.available()]


def vendor(name: str) -> Row:
    """Everything on one card, by id, alias or file, in the shape of its file. Raises ``UsageError``."""
    return vendor_files.load(name).model_dump(mode="json", by_alias=True, exclude_none=True)


def markdown() -> str:
    """All cards as a table for a page."""
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
        "model": profile.model,
        "lineage": profile.lineage.of if profile.lineage else "",
    }


# -- printing --------------------------------------------------------------------------------------


def print_card(card: Row, console: Console) -> None:
    """A card in full. Commands and addresses are never broken into lines: people copy them."""
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
    if "lineage" in card:
        _section(f"lineage: {card['lineage']['of']}", console)
        _statement(card["lineage"], card["lineage"]["claim"], console)
    default = card["default"]
    _section(f"default: {default['state']}", console)
    if default["state"] != UNKNOWN or "text" in default:
        _statement(default, default.get("text", f"{default['state']} as shipped"), console)
    _claims(card["claims"], console, "what it does")
    _switch_off(card["switch_off"], console)
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
        _claims(variant["claims"], console)
    if card["notes"]:
        _section("notes", console)
        for note in card["notes"]:
            print_folded(note, console, 2)


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


def _claims(claims: list[Row], console: Console, title: str = "") -> None:
    """Claims in a row from one source are followed by it once."""
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
    """What is said, with its evidence level before it and its source below it."""
    level = f"[{row['evidence']}] " if "evidence" in row else ""
    print_folded(level + text, console, 2)
    if "source" in row:
        _source(row["source"], row.get("url"), console)


def _source(source: str, url: str | None, console: Console) -> None:
    print_folded(source, console, 4, "dim")
    if url is not None:
        print_exact("    " + url, console, "dim")
