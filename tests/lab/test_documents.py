"""What users' files may contain. Anything else is refused quickly, in one line, with its place."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from siplab.lab import documents, plain_data, specs
from siplab.lab.errors import UsageError
from siplab.lab.plain_data import PlainDataError, from_json, from_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, ["'a' stands in line 1 already"]),
        ("x:\n  - {k: 1}\n  - k: 1\n    l: 2\n    k: 3\n", 5, ["'k' stands in line 3 already"]),
        ("a: 1\nb: " + "9" * 5000, 2, ["5,000 digits"]),
        ("a: -0x" + "f" * 5000, 1, ["digits"]),
        ("a: 1\nb: .inf", 2, [".inf", "finite"]),
        ("a: -.INF", 1, ["finite"]),
        ("a: .nan", 1, ["finite"]),
        ("a: 1.0e+999", 1, ["finite"]),
        ("a: 1\nb: nan", 2, ["nan", "finite"]),
        ("a: 1e999", 1, ["finite"]),
        ("a: [x, -Infinity]", 1, ["finite"]),
        ("a: " + "[" * 150 + "]" * 150, 1, ["nested more than 100 deep"]),
        ("a: " + "[" * 100_000, 0, ["nest"]),
        ("\n".join(" " * depth + "a:" for depth in range(150)) + " 1", 101, ["nested"]),
        ("- " * 100_000, 0, ["nest"]),
        ("a: &a [*a]", 1, ["inside"]),
        ("a: &a {b: [1, {c: *a}]}", 1, ["inside"]),
        (BOMB, 0, ["aliases"]),
        ("a: &a {x: 1}\nb:\n  <<: *a", 3, ["'<<'"]),
        ("? [1, 2]\n: 3", 1, ["key"]),
        ("a: 2001-99-99", 0, ["month"]),
        ("a: !!python/name:os.system", 1, ["not YAML", "python/name"]),
        ("a: \x00", 0, ["not YAML"]),
        ("a: [1,\nb: 2", 2, ["not YAML"]),
    ],
)  # fmt: skip
def test_what_is_refused_in_yaml(text: str, line: int, words: list[str]) -> None:
    with pytest.raises(PlainDataError) as raised:
        from_yaml(text)
    for word in words:
        assert word in str(raised.value)
    if line:
        assert raised.value.line == line
    # From the file to the user: one line, which begins with the file's name.
    with pytest.raises(UsageError) as usage:
        documents.parse(text, Anything, "file.yaml")
    assert str(usage.value).startswith("file.yaml:")
    assert len(str(usage.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('{"a": 1,\n "b": {},\n "a": 2}', 3, ["'a' stands in line 1 already"]),
        ('{"a": Infinity}', 0, ["Infinity"]),
        ('{"a": -Infinity}', 0, ["Infinity"]),
        ('{"a": NaN}', 0, ["NaN"]),
        ('{"a": 1e999}', 0, ["finite"]),
        ('{"a": ' + "9" * 5000 + "}", 0, ["5,000 digits"]),
        ("[" * 100_000, 0, ["nested"]),
        ('{"a":' * 100_000, 0, ["nested"]),
        ('{"a": 1,\n]', 2, ["not JSON"]),
        ("", 1, ["not JSON"]),
    ],
)
def test_what_is_refused_in_json(text: str, line: int, words: list[str]) -> None:
    with pytest.raises(PlainDataError) as raised:
        from_json(text)
    for word in words:
        assert word in str(raised.value)
    if line:
        assert raised.value.line == line


PLAIN: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(PLAIN)
def test_sound_json_is_read_as_it_is(data: Any) -> None:
    assert from_json(json.dumps(data)) == data


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab:-[]{}&*!|>?'\"%@#, \n\t10.e\x00\u2028\ud800")))
def test_any_text_ends_in_data_or_in_one_error(text: str) -> None:
    for read in (from_yaml, from_json):
        with suppress(PlainDataError):  # any other exception fails the test
            read(text)


def test_what_sounds_like_a_number_is_a_text_in_quotes() -> None:
    assert from_yaml("a: 'nan'\nb: \"inf\"\nc: nano\n")[0] == {"a": "nan", "b": "inf", "c": "nano"}


class Choice(BaseModel):
    names: list[str] | Literal["all"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.yaml:1: the file must hold 'key: value' lines: it is empty"),
        ("- a\n", "x.yaml:1: the file must hold 'key: value' lines: not a list"),
        ("hello\n", "x.yaml:1: the file must hold 'key: value' lines: not a text"),
        ("\nnames: 5\n", "x.yaml:2: field 'names': "),
        ("\nnames: [a, 5]\n", "x.yaml:2: field 'names.1': "),
        ("other: 5\n", "x.yaml:1: field 'names': Field required"),
    ],
)
def test_a_wrong_document_is_told_in_the_users_words(text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        documents.parse(text, Choice, "x.yaml")
    assert str(raised.value).startswith(message)


def test_aliases_that_unfold_to_little_are_welcome() -> None:
    data, _ = from_yaml("a: &a {k: 1}\nb: [*a, *a]\n")
    assert data == {"a": {"k": 1}, "b": [{"k": 1}, {"k": 1}]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["no such file"]),
        (b"\xff\xfe", ["can't be read", "UTF-8"]),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes | None, words: list[str]) -> None:
    file = tmp_path / "x.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError) as raised:
        documents.read(file, Anything)
    assert all(word in str(raised.value) for word in words)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "."])
def test_names_that_no_file_has(name: str) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        documents.read(Path(name), Anything)


def test_a_file_without_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_data, "LARGEST", 1 << 20)
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        documents.read(Path("/dev/zero"), Anything)


@pytest.mark.parametrize(
    "value",
    ["[" * 900, "[" * 5000, "9" * 5000, ".inf", "inf", "nan", "{a: 1, a: 2}", "&a [*a]", "2001-99-99"],
)
def test_values_in_specs_are_read_by_the_same_function(value: str) -> None:
    with pytest.raises(UsageError, match="can't be read as a value"):
        specs.parse(f"x(y={value})", "model")


class Small(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int
    rows: list[int] = []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", ":1: no thing: not JSON: Expecting value, column 1"),
        ('{"number": 1', ":1: no thing: not JSON: "),
        ("[]", ": no thing: the file must hold an object, `{...}`"),
        ('{\n"number": 1,\n"number": 2}', ":3: no thing: 'number' stands in line 2 already"),
        ('{"number": Infinity}', ": no thing: Infinity is no"),
        ('{\n"rows": []}', ":1: no thing: field 'number': Field required"),
        (
            '{"number": 1,\n"rows": [1,\n"x"]}',
            ":3: no thing: field 'rows.1': Input should be a valid integer",
        ),
        (
            '{"number": 1,\n"raws": []}',
            ":2: no thing: field 'raws': unknown field; known fields are number, rows",
        ),
        ('{"number": [], "rows": [' + "1, " * 50_000 + "1]}", "d.json: no thing: field 'number': "),
    ],
)
def test_of_json_it_is_said_what_it_was_taken_for(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "d.json"
    path.write_text(text)
    with pytest.raises(UsageError) as raised:
        documents.read_json(path, Small, "thing")
    assert complaint in str(raised.value)
    assert str(raised.value).startswith(str(path))


def test_what_is_no_text_is_none_however_it_came(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError) as raised:
        documents.text(path)
    assert str(raised.value) == f"{path}: can't be read: it is not a text in UTF-8"
    with pytest.raises(UsageError) as again:
        documents.decoded(b"\xff", str(path))
    assert str(again.value) == str(raised.value)
