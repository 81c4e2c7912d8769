"""``python -m tools.vendor_pages``: write docs/vendors/, one page per card, and its index.

The pages are made from the cards, from what each model does to the same messages (``siplab vendors
compare``), and from ``tests/golden/vendors.txt``. ``--check`` writes nothing and exits with 1 if a page is
out of date.
"""

from __future__ import annotations

import html
import re
import sys
from typing import Any, Final

from siplab.alg_models import vendors
from siplab.alg_models.vendors.schema import MAIN, Sourced, VendorProfile
from siplab.experiments.output import vendor_cards, vendor_compare
from siplab.lab import specs
from tools import vendor_matrix
from tools.pages import DOCS

FOLDER: Final = DOCS / "vendors"
_MADE: Final = "<!-- made by: python -m tools.vendor_pages -->\n\n"


def pages() -> dict[str, str]:
    """The text of each page by file name."""
    rows = vendor_matrix.golden()
    found = {f"{each}.md": page(vendors.load(each), rows) for each in vendors.available()}
    return {"README.md": index(), **found}


def index() -> str:
    """The index: one line per card, with how well its behaviour is known."""
    lines = [
        _MADE + "# Vendors, one page each\n",
        "| router | behaviour known by | default |",
        "|---|---|---|",
    ]
    for row in vendor_cards.vendors():
        name = _text(vendors.load(row["id"]).name)
        lines.append(f"| [{name}]({row['id']}.md) | {row['behaviour']} | {row['default']} |")
    return "\n".join(lines) + "\n"


def page(card: VendorProfile, rows: dict[str, str]) -> str:
    """The page of one card."""
    parts = [_MADE + f"# {_text(card.name)}\n"]
    if card.devices:
        parts.append(f"Devices that sources name: {_text(', '.join(card.devices))}.\n")
    as_of = f" As of {card.as_of}." if card.as_of is not None else ""
    parts.append(f"`siplab vendors show {card.id}` has the same.{as_of}\n")
    parts += ["## What is known, and how well\n", _known(card)]
    parts += [f"- [{each.evidence}] {_text(each.text)} ({_source(each)})" for each in card.claims]
    for each in card.variants:
        parts.append(f"\n**{each.id}**: {_text(each.summary)}\n")
        if each.repository is not None:
            name, commit = each.repository.name, each.repository.commit
            parts.append(f"- source: {name} @{commit}, {_text(each.repository.place)}")
        parts += [f"- [{claim.evidence}] {_text(claim.text)} ({_source(claim)})" for claim in each.claims]
    for guess in card.hypotheses:
        parts.append(
            f"\n**Hypothesis, {guess.sure}, nothing that is known**: `{guess.model}`. {_text(guess.because)} "
            f"({_text(guess.source)}) It would show so:\n"
        )
        parts += [f"- {_text(each.probe)}: {_text(each.expect)}" for each in guess.confirm]
    for awaited in card.awaits:
        parts.append(f"- Documented, and no model does it yet: {_text(awaited.text)}")
    parts += ["\n## What it does to the same messages\n", _messages(card)]
    parts += ["\n## What breaks\n", _breaks(card, rows)]
    parts += ["\n## How to switch it off, and what remains\n", _off(card)]
    if card.notes:
        parts += ["\n## Notes\n", *(f"- {_text(str(each))}" for each in card.notes)]
    return "\n".join(parts).rstrip() + "\n"


def _known(card: VendorProfile) -> str:
    lines = ["| version | model | behaviour known by | what the model leaves out |", "|---|---|---|---|"]
    for name in (MAIN, *(each.id for each in card.variants)):
        where = card.variant(name)
        level = card.behaviour(name)
        model = (where.model if where is not None else None) or card.model
        covers = (where.covers if where is not None else card.covers) or ""
        known = level.value if level is not None else "nobody"
        lines.append(f"| {name} | `{model}` | {known} | {_text(covers)} |")
    return "\n".join(lines) + "\n"


def _messages(card: VendorProfile) -> str:
    """One table per message, with one column per version with known behaviour."""
    known = vendor_matrix.known()[card.id]
    if not known:
        return "Nobody knows. It runs as a router without an ALG, which says nothing about the real one.\n"
    by_model = {vendor_matrix.behind(each): name for name, each in reversed(list(known.items()))}
    names = [_spec(card.id, name) for name in known if name in by_model.values()]
    data = vendor_compare.compare(names)
    lines: list[str] = []
    for message in data["messages"]:
        lines.append(f"**{message['message']}**\n")
        if not message["rows"]:
            lines.append("No version changes it.\n")
            continue
        lines.append("| | as sent | " + " | ".join(f"`{each}`" for each in names) + " |")
        lines.append("|---" * (len(names) + 2) + "|")
        for row in message["rows"]:
            cells = [_cell(row["routers"].get(each)) for each in names]
            lines.append("| " + " | ".join([row["part"], _code(row["sent"]), *cells]) + " |")
        lines.append("")
    return "\n".join(lines)


def _breaks(card: VendorProfile, rows: dict[str, str]) -> str:
    """What each version breaks, by endpoints; not what fails without an ALG, too."""
    lines = ["| version | phone and server | scenarios that fail |", "|---|---|---|"]
    for name, profile in vendor_matrix.known()[card.id].items():
        for pair, broken in vendor_matrix.broken(vendor_matrix.behind(profile), rows).items():
            lines.append(f"| {name} | {pair} | {', '.join(broken) or 'none'} |")
    return "\n".join(lines) + "\n" if len(lines) > 2 else "Nobody knows.\n"


def _off(card: VendorProfile) -> str:
    lines = [f"Can be switched off: {card.switch_off.possible}. {_text(card.switch_off.text or '')}\n"]
    for each in card.switch_off.procedures:
        lines.append(f"{_text(each.for_)} ({each.kind}, {each.evidence}: {_source(each)})\n")
        lines += [f"{number}. `{step}`" for number, step in enumerate(each.steps, 1)]
        lines.append("")
    for name, switch in [(MAIN, card.switch), *((each.id, each.switch) for each in card.variants)]:
        if switch is not None:
            told = f"What the switch does ({name}): {switch.effect}. {_text(switch.text or '')}"
            lines.append(f"- {told} ({switch.evidence}: {_source(switch)})")
    for work in card.switch_off.workarounds:
        lines.append(f"- Where it stays on: {_text(work.for_)}: {_text('; '.join(work.steps))}")
    lines.append(
        f"\n`siplab vendors off {card.id}` has what helps where it stays on, and what the lab found of it."
    )
    return "\n".join(lines) + "\n"


def _spec(identifier: str, variant: str) -> str:
    return identifier if variant == MAIN else specs.written(identifier, {"variant": variant})


def _cell(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return "-"
    before, after = cell["before"], cell["after"]
    return "=" if before == after and before else _code(after)


def _code(text: str) -> str:
    """Bytes of a message as code in a table cell."""
    shown = html.escape(text, quote=False).replace("|", "&#124;").replace("\n", "<br>")
    return f"<code>{shown}</code>" if shown else ""


def _text(text: str) -> str:
    """Text of a card, with the characters escaped that mean something in Markdown or HTML."""
    return re.sub(r"([*_`|])", r"\\\1", html.escape(text, quote=False))


def _source(entry: Sourced) -> str:
    return f"[{_text(entry.source)}]({entry.url})" if entry.url else _text(entry.source)


def main() -> int:
    """Write the pages, and remove those of cards that are gone."""
    made = pages()
    old = {each.name: each.read_text(encoding="utf-8") for each in FOLDER.glob("*.md")}
    if "--check" in sys.argv[1:]:
        return int(made != old)
    FOLDER.mkdir(exist_ok=True)
    for name in old.keys() - made.keys():
        (FOLDER / name).unlink()
    for name, text in made.items():
        if old.get(name) != text:
            (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
