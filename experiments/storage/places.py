"""Where files are stored: a folder, or a URL that fsspec knows (``s3://``, ``file://``, ``memory://``).

A file exists completely or not at all. In a folder it gets its name once it is written; in an object store
the object exists once its upload ends.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siplab.experiments.tables.libraries import needed
from siplab.lab.errors import OutputError, UsageError
from siplab.lab.outputs import replaced


@dataclass(frozen=True)
class Place:
    """A folder, or a URL. Can be pickled, since workers write into it themselves."""

    at: str

    @property
    def is_url(self) -> bool:
        """Whether this is a URL, for fsspec."""
        return "://" in self.at

    @property
    def is_shared(self) -> bool:
        """Whether other processes can see what is written."""
        return not self.at.startswith("memory:")

    def write(self, name: str, data: bytes) -> None:
        """Write a file, and create its folders. Raises ``OutputError``."""
        if not self.is_url:
            path = Path(self.at, name)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"{path.parent}: {error.strerror}") from None
            with replaced(path) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            return
        files, root = self._files()
        path_ = f"{root}/{name}"
        try:
            files.makedirs(path_.rpartition("/")[0], exist_ok=True)
            if "file" in files.protocol:  # elsewhere an interrupted upload leaves nothing
                files.pipe_file(f"{path_}.part", data)
                files.mv(f"{path_}.part", path_)
            else:
                files.pipe_file(path_, data)
        except OSError as error:
            raise OutputError(f"{self.at}/{name}: {error.strerror or error}") from None

    def read(self, name: str) -> bytes | None:
        """The content of a file; ``None`` if there is no such file. Raises ``UsageError``."""
        try:
            if not self.is_url:
                return Path(self.at, name).read_bytes()
            files, root = self._files()
            data: bytes = files.cat_file(f"{root}/{name}")
            return data
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UsageError(f"{self.at}/{name}: {error.strerror or error}") from None

    def names(self, folder: str, ending: str) -> list[str]:
        """The sorted names of the files below a folder that have this ending. Raises ``UsageError``."""
        try:
            if not self.is_url:
                found = [each.name for each in Path(self.at, folder).iterdir()]
            else:
                files, root = self._files()
                files.invalidate_cache()
                found = [each.rpartition("/")[2] for each in files.ls(f"{root}/{folder}", detail=False)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise UsageError(f"{self.at}/{folder}: {error.strerror or error}") from None
        return sorted(each for each in found if each.endswith(ending))

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        with suppress(OSError):
            if self.is_url:
                files, root = self._files()
                files.rm_file(f"{root}/{name}")
            else:
                Path(self.at, name).unlink(missing_ok=True)

    def size(self) -> int:
        """Bytes of all its Parquet files."""
        if not self.is_url:
            return sum(each.stat().st_size for each in Path(self.at).rglob("*.parquet"))
        files, root = self._files()
        return sum(files.size(each) for each in files.find(root) if each.endswith(".parquet"))

    def _files(self) -> tuple[Any, str]:
        core = needed("fsspec.core", f"--parquet {self.at}", "scale")
        try:
            files, root = core.url_to_fs(self.at)
        except (ValueError, ImportError) as error:
            raise UsageError(f"--parquet {self.at}: {error}") from None
        return files, str(root).rstrip("/")
