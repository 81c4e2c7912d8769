"""The only way to the terminal. Texts from files, networks and users are printed as plain text.

The rules of this file:

- No text is markup: ``siplab[emulated]`` and ``[/end]`` are printed as they are. Styles come from ``Text``.
- Control characters and marks that change the direction of text are escaped before they reach a terminal.
- What people copy (commands, addresses) stays on one line, however long. Everything else fits the terminal.
- If an output can't show a character, it gets the most similar one that it can show.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from siplab.lab.counting import number_of as number_of

_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LONGEST: Final = 4000  # characters of one error message
_COMMAND: Final = re.compile(r"`siplab [^`]*`")
_NEAREST: Final = {
    **dict.fromkeys("│┃║", "|"),
    **dict.fromkeys("─━═", "-"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯", "+"),
    **{"●": "o", "–": "-", "—": "-", "…": "...", "→": "->", "←": "<-", "±": "+-", "×": "x"},
    **{"’": "'", "‘": "'", "“": '"', "”": '"', "≤": "<=", "≥": ">="},
}


def visible(text: str) -> str:
    """The text, with everything escaped that would control a terminal."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class PlainConsole(Console):
    """A ``Console`` that never reads a string as markup, and prints no control character."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, "emoji": False, "markup": False, **options})

    def render_str(self, text: str, *, style: Any = "", **options: Any) -> Text:
        """The text as it is, with any brackets in it."""
        kept = {name: options[name] for name in ("justify", "overflow") if options.get(name)}
        return Text(visible(text), style=style, **kept)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As in ``Console``, but with control characters in the text escaped."""
        for each in super().render(renderable, options):
            unsafe = not each.control and _UNSAFE.search(each.text)
            yield Segment(visible(each.text), each.style) if unsafe else each


def output() -> PlainConsole:
    """Standard output."""
    return PlainConsole()


def errors() -> PlainConsole:
    """Standard error: for everything besides the results."""
    return PlainConsole(stderr=True)


def print_json(data: Any) -> None:
    """Data as JSON on standard output, in any encoding."""
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    text = json.dumps(data, indent=2, ensure_ascii=not unicode)
    print(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def say(text: str) -> None:
    """Print one line on standard error, for notes and errors of the program; it is never folded."""
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}... ({len(text):,} characters)"
    print(f"siplab: {visible(text)}".replace("\n", "\\n"), file=sys.stderr)


# -- encodings ---------------------------------------------------------------------------------------


def tame_streams() -> None:
    """Prepare the standard streams. Characters that an output can't show are no error from now on.

    A closed stream (``>&-``) is replaced: otherwise a file opened later would get its number, and the output.
    A width of 0 means that the width is not known; it is replaced, since nothing would fit.
    """
    if not os.environ.get("COLUMNS", "").strip("0"):
        os.environ.pop("COLUMNS", None)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))
    codecs.register_error("siplab", _nearest)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="siplab")


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_in_ascii, error.object[error.start : error.end])), error.end


def _in_ascii(letter: str) -> str:
    plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return _NEAREST.get(letter) or plain or letter.encode("unicode_escape").decode()


# -- lines -------------------------------------------------------------------------------------------


def folded(text: str, width: int, indent: str = "", hanging: str | None = None) -> list[str]:
    """The lines of a text, broken between words only, and not within a command of siplab's."""
    kept = _COMMAND.sub(lambda found: found[0].replace(" ", "\0"), text)
    lines = textwrap.wrap(
        kept,
        max(width, len(indent) + 20),
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\0", " ") for line in lines]


def print_folded(text: str, console: Console, indent: int = 0, style: str = "", hanging: int = 0) -> None:
    """Print a paragraph. Lines are indented by ``indent`` blanks, all but the first by ``hanging`` more."""
    for line in folded(text, console.width, " " * indent, " " * (indent + hanging)):
        print_exact(line, console, style)


def print_exact(text: str | Text, console: Console, style: str = "") -> None:
    """Print a line that is never broken, however long, so that it can be copied."""
    console.print(Text(text, style=style) if isinstance(text, str) else text, soft_wrap=True)


# -- tables ------------------------------------------------------------------------------------------


def grid(
    heads: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    width: int,
    *,
    ruled: bool = True,
    right: bool = False,
    breakable: int | None = None,
    title: Text | None = None,
) -> RenderableType:
    """A table in which no word is broken; if ``width`` is too small for that, a list of its rows.

    ``ruled``: a line below the heads. ``right``: all columns but the first are numbers. ``breakable``: longer
    words may be broken, which is only meant for bytes of the wire; such tables have lines between rows.
    """
    cells = [[each if isinstance(each, Text) else Text(visible(each)) for each in row] for row in rows]
    texts = [[head, *(cell.plain for cell in column)] for head, *column in zip(heads, *cells, strict=True)]
    most = [max(cell_len(line) for text in column for line in text.splitlines() or [""]) for column in texts]
    least = [max((cell_len(word) for text in column for word in text.split()), default=1) for column in texts]
    if breakable is not None:
        least = [least[0], *(min(each, breakable) for each in least[1:])]
    between = 2 * (len(heads) - 1) if breakable is None else 3 * len(heads) + 1
    widths = _shares(least, most, width - between)
    if widths is None:
        return Group(*([title] if title else []), *_as_list(heads, cells, width))
    if breakable is not None:
        table = Table(show_lines=True, title=title, title_justify="left")
    elif ruled:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    else:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.header_style = "bold"
    for number, (head, share) in enumerate(zip(heads, widths, strict=True)):
        justify: Any = "right" if right and number else "left"
        table.add_column(head, width=max(share, 1), overflow="fold", justify=justify)
    for row in cells:
        table.add_row(*row)
    return table


def _shares(least: list[int], most: list[int], room: int) -> list[int] | None:
    """The width of each column: what it asks for, or an even share; ``None`` if words would be broken."""
    widths = [min(pair) for pair in zip(least, most, strict=True)]
    if sum(widths) > room:
        return None
    while sum(widths) < room:
        hungry = [number for number, each in enumerate(widths) if each < most[number]]
        if not hungry:
            break
        smallest = min(hungry, key=lambda number: widths[number])
        widths[smallest] += 1
    return widths


def _as_list(heads: Sequence[str], rows: Sequence[Sequence[Text]], width: int) -> Iterable[Text]:
    for row in rows:
        for number, (head, cell) in enumerate(zip(heads, row, strict=True)):
            if cell.plain:
                lead = f"{' '.join(head.split())}: " if number and head.strip() else ""
                words = f"{lead}{'; '.join(cell.plain.splitlines())}"
                for line in folded(words, width, "  " if number else "", "    "):
                    yield Text(line, style="" if number else "bold")
