"""The notebooks in docs/ run as they stand, and show what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))


def shown(notebook: Any) -> list[dict[str, Any]]:
    """The outputs of the cells, by MIME type."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [each.data for each in outputs if each.output_type in ("execute_result", "display_data")]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    notebook: Any = nbformat.reads(path.read_text(), as_version=4)  # type: ignore[no-untyped-call, unused-ignore]
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are not kept in the repository"
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}, kernel_name="python3"
    ).execute()
    found = shown(notebook)
    charts = [each["text/html"] for each in found if "vegaEmbed" in each.get("text/html", "")]
    assert charts, [list(each) for each in found]
    assert any("dataframe" in each.get("text/html", "") for each in found)
    if path.stem == "six-vendors":
        assert "<iframe" in found[-1]["text/html"]
        for name in ("heat-map.pdf", "cure-rates.pdf"):
            assert (
                b"/TrueType" in (tmp_path / name).read_bytes()
                or b"/FontFile2" in (tmp_path / name).read_bytes()
            )
    else:
        assert "honest routers accused" in charts[0]
        assert "streams that hear nothing" in charts[1]
