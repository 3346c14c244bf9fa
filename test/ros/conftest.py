# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests that talk to a real container process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from container_process import RosClient
from container_process import running_container
import pytest


@pytest.fixture(scope='module')
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start one container for all tests of a module; gives its process id."""
    with running_container(tmp_path_factory.mktemp('container')) as process:
        yield process.pid


@pytest.fixture(scope='module')
def client(container: int) -> Iterator[RosClient]:
    """Connect to the container."""
    client = RosClient()
    yield client
    client.close()


@pytest.fixture
def ros(client: RosClient) -> Iterator[RosClient]:
    """Connect to the container and leave it empty to the next test."""
    yield client
    for unique_id in client.loaded():
        assert client.unload(unique_id).success


@pytest.fixture(scope='session')
def yolox(shared_dir: Path) -> str:
    """Return the path of a real detector of COCO's 80 classes."""
    return str(shared_dir / 'models/detection/yolox_nano_coco_416.onnx')
