"""What ``--out`` keeps of single trials, and captures that are made of it later."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.command import one_line_error, siplab

SMALL = "id: small\nmodels: [none, semicolon-loss]\nscenarios: [register, outgoing-call]\nworld: simulated\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("runs")
    (made / "x.yaml").write_text(SMALL)
    for kept in ("none", "failed", "all"):
        done = siplab("run", str(made / "x.yaml"), "--out", str(made / kept), "--traces", kept)
        assert done.returncode == 0, done.stderr
    return made


def files(folder: Path, ending: str) -> dict[str, Path]:
    return {each.name.removesuffix(ending): each for each in folder.glob(f"*{ending}")}


def test_what_fails_is_kept_packed_and_what_passes_is_not(folder: Path) -> None:
    rows = json.loads((folder / "failed" / "results.json").read_text())["trials"]
    assert {row["outcome"] for row in rows} == {"pass", "fail"}
    packed = files(folder / "failed", ".trace.jsonl.gz")
    whole = files(folder / "all", ".trace.jsonl")
    assert len(whole) == len(rows)
    failing = [row for row in rows if row["outcome"] == "fail"]
    assert sorted(each.name for each in packed.values()) == sorted(row["files"]["trace"] for row in failing)
    for name, path in packed.items():
        assert gzip.decompress(path.read_bytes()) == whole[name].read_bytes()
    for kept in ("none", "failed"):
        assert not files(folder / kept, ".pcapng")
        assert not files(folder / kept, ".wav")
    assert not files(folder / "none", ".gz")


def test_captures_are_made_of_traces_on_demand(folder: Path, tmp_path: Path) -> None:
    done = siplab("pcap", str(folder / "failed"), "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    made, written = files(tmp_path, ".pcapng"), files(folder / "all", ".pcapng")
    assert len(made) == 3 * len(files(folder / "failed", ".gz"))
    for name, path in made.items():
        assert path.read_bytes() == written[name].read_bytes()


def test_pcap_without_a_trace_says_so(folder: Path, tmp_path: Path) -> None:
    one_line_error(siplab("pcap", str(folder / "none")), "no trace is there")
    one_line_error(siplab("pcap", str(folder / "failed"), "--only", "xyz"), "no trace of a trial with 'xyz'")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "results.json").write_text((folder / "failed" / "results.json").read_text())
    for path in files(folder / "failed", ".gz").values():
        (damaged / path.name).write_bytes(path.read_bytes()[:-40])
    one_line_error(siplab("pcap", str(damaged)), "packed with gzip, and damaged")
