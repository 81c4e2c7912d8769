"""A container image that takes the place of a host or a gateway, as a topology file describes it."""

from __future__ import annotations

import shlex
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints


def _words(value: object) -> object:
    """A command line as a list of words, split without a shell."""
    if not isinstance(value, str):
        return value
    try:
        return tuple(shlex.split(value))
    except ValueError as error:
        raise ValueError(f"not a command line: {str(error).lower()}") from None


def _in_container(value: str) -> str:
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts or path == PurePosixPath("/"):
        raise ValueError(f"'{value}' must be the path of a file in the container: '/etc/...'")
    return str(path)


def _texts(value: object) -> object:
    """Numbers of YAML as text: a program's environment holds text only."""
    if isinstance(value, dict):
        return {
            str(name): str(each) if isinstance(each, int | float) else each for name, each in value.items()
        }
    return value


InContainer = Annotated[str, AfterValidator(_in_container)]


class ImageSpec(BaseModel):
    """What runs on a host that is a container.

    ``name``: the image. ``command``: replaces the image's own command. ``environment``: variables in addition
    to those that the lab sets. ``files``: maps paths in the container to files of this machine, which are put
    there before the container starts; a relative path counts from the topology's file. ``keep``: files and
    folders of the container that are kept with a trial's output. ``ready``: the port that is bound once the
    container is ready; without it, the image's HEALTHCHECK decides, and without that it is ready at once.
    ``timeout``: how many seconds it may take to get ready. ``kind``: the real program, as ``program:NAME``,
    that is the phone in it and takes the lab's orders; without it, the container takes no orders.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(min_length=1, pattern=r"^\S+$")]
    command: Annotated[tuple[str, ...], BeforeValidator(_words)] = ()
    environment: Annotated[dict[str, str], BeforeValidator(_texts)] = {}
    files: dict[InContainer, str] = {}
    keep: tuple[InContainer, ...] = ()
    ready: Annotated[str, StringConstraints(pattern=r"^((udp|tcp)/[1-9][0-9]{0,4})?$")] = ""
    timeout: Annotated[float, Field(gt=0, le=3600)] = 30.0
    kind: Annotated[str, StringConstraints(pattern=r"^(program:\S+)?$")] = ""

    def beside(self, folder: Path) -> ImageSpec:
        """The same with absolute paths in ``files``; relative ones count from ``folder``."""
        found = {
            target: str((folder / Path(source).expanduser()).resolve())
            for target, source in self.files.items()
        }
        return self.model_copy(update={"files": found})


def _from_name(value: object) -> Any:
    return {"name": value} if isinstance(value, str) else value


Image = Annotated[ImageSpec, BeforeValidator(_from_name)]
"""``image: NAME``, or all fields of an ``ImageSpec``."""
