"""A container engine for tests: Debian's, with everything of its own in a temporary folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.programs import images
from tests.waiting import PATIENCE, until


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """An engine of the tests' own, as ``DOCKER_HOST``; the Docker SDK's client of it."""
    import docker

    # Not pytest's folder: paths of sockets have to be short.
    folder = Path(tempfile.mkdtemp(prefix="siplab-engine-"))
    address = f"unix://{folder}/docker.sock"
    before = os.environ.get("DOCKER_HOST")
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [
                *(
                    "dockerd",
                    "--host",
                    address,
                    "--data-root",
                    f"{folder}/data",
                    "--exec-root",
                    f"{folder}/exec",
                ),
                *("--pidfile", f"{folder}/pid", "--storage-driver", "vfs", "--bridge", "none"),
                *("--iptables=false", "--ip6tables=false", "--ip-forward=false"),
            ],
            stdout=log,
            stderr=log,
        )

    def answers() -> Any:
        assert daemon.poll() is None, (folder / "log").read_text()[-2000:]
        try:
            return docker.DockerClient(base_url=address, timeout=PATIENCE)
        except docker.errors.DockerException:
            return None

    try:
        client = until(answers, "the engine does not answer")
        for name, (data, changes) in images.made().items():
            client.api.import_image_from_data(data, repository=name, tag="1", changes=changes)
        os.environ["DOCKER_HOST"] = address
        yield client
        for container in client.containers.list(all=True, ignore_removed=True):
            with suppress(docker.errors.APIError):  # it is going already
                container.remove(force=True)
        client.close()
    finally:
        os.environ.pop("DOCKER_HOST", None)
        if before is not None:
            os.environ["DOCKER_HOST"] = before
        daemon.terminate()
        daemon.wait(PATIENCE)
        shutil.rmtree(folder, ignore_errors=True)
