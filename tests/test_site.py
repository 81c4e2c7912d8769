"""docs/ as a site: its links, menu and pictures; the built site can be searched offline."""

from __future__ import annotations

import random
import re
import struct
import zlib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from siplab.lab.errors import UsageError
from tests.browsing import found_by, lacking
from tests.conftest import ROOT, missing
from tools import screenshots, site, small_png

DOCS: Final = ROOT / "docs"
MADE: Final = {"index.md", "try.md", *(f"reference/{each.rpartition('.')[2]}.md" for each in site.SURFACE)}
PAGES: Final = sorted(DOCS.rglob("*.md"))
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")


def config() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    return found


def in_menu(entries: list[Any]) -> list[str]:
    return [
        page
        for entry in entries
        for value in entry.values()
        for page in (in_menu(value) if isinstance(value, list) else [value])
    ]


def test_every_page_is_in_the_menu_and_all_that_is_there_exists() -> None:
    menu = in_menu(config()["nav"])
    assert len(set(menu)) == len(menu)
    left_out = config()["not_in_nav"].split()
    pages = {str(each.relative_to(DOCS)) for each in PAGES} | MADE
    assert set(menu) <= pages
    unlisted = pages - set(menu)
    assert {each for each in unlisted if not any(fnmatch(each, f"{part}*") for part in left_out)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_links_and_pictures_of_a_page_are_part_of_the_site(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        target = link.partition("#")[0]
        if target and ":" not in target:
            found = (page.parent / target).resolve()
            assert found.is_relative_to(DOCS), f"{link} leads out of the site"
            assert found.exists(), f"{link} leads nowhere"


def test_screenshots_are_small_and_stand_in_pages() -> None:
    """If it fails: python -m tools.screenshots"""
    pictures = {each.stem: each.stat().st_size for each in (DOCS / "pictures").glob("*.png")}
    assert set(screenshots.PICTURES) <= set(pictures)  # tools.figures makes others
    assert max(pictures.values()) <= screenshots.LARGEST
    assert sum(pictures.values()) < 1_000_000
    shown = "".join(each.read_text() for each in PAGES)
    assert [each for each in pictures if f"](pictures/{each}.png)" not in shown] == []


def test_a_screenshot_of_few_colours_stays_as_it_is() -> None:
    """Each row of the picture has another filter (PNG section 9)."""
    width, draw = 40, random.Random(1)
    rows = [bytes(draw.choice((0, 60, 255)) for _ in range(3 * width)) for _ in range(10)]
    above, raw = bytes(3 * width), b""
    for number, row in enumerate(rows):
        kind = number % 5
        raw += bytes([kind]) + filtered(kind, row, above)
        above = row
    header = struct.pack(">IIBBBBB", width, len(rows), 8, 2, 0, 0, 0)
    made = small_png.small(
        small_png.SIGNATURE
        + b"".join(
            small_png.chunk(kind, data)
            for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
        )
    )
    parts = dict(small_png.chunks(made))
    palette = parts[b"PLTE"]
    found = zlib.decompress(parts[b"IDAT"])
    for number, row in enumerate(rows):
        start = number * (width + 1)
        assert found[start] == 0
        shown = b"".join(palette[3 * at : 3 * at + 3] for at in found[start + 1 : start + 1 + width])
        assert shown == row


def filtered(kind: int, row: bytes, above: bytes) -> bytes:
    found = bytearray()
    for at, value in enumerate(row):
        left, corner = (row[at - 3], above[at - 3]) if at >= 3 else (0, 0)
        guess = left + above[at] - corner
        paeth = min((left, above[at], corner), key=lambda each: abs(guess - each))
        found.append(value - (0, left, above[at], (left + above[at]) // 2, paeth)[kind] & 0xFF)
    return bytes(found)


@pytest.mark.deep
def test_the_site_is_whole_and_searched_without_a_network(tmp_path: Path) -> None:
    if lack := lacking():
        missing(f"{lack}; tools/setup.sh test installs it")
    try:
        assert site.build(tmp_path) == 0
    except UsageError as error:
        missing(str(error))
    found = found_by("site.mjs", tmp_path / "site", timeout=600)
    assert found == dict.fromkeys(
        (
            "the search finds a page",
            "a page of the reference has what docstrings say",
            "the report stands in its page",
            "the sandbox stands in its page, and runs",
            "no errors, no requests",
        ),
        True,
    )
    index = tmp_path / "site-source" / "index.md"
    index.write_text(index.read_text() + "\n[a page](no-such-page.md) ![a picture](pictures/none.png)\n")
    done = site.render(tmp_path, capture=True)
    assert done.returncode != 0
    assert "no-such-page.md" in done.stderr
    assert "pictures/none.png" in done.stderr
