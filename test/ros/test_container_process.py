# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What the executable ``gpu_container`` makes of its arguments, files and signals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from container_process import end
from container_process import RosClient
from container_process import wait_until
import pytest

PIPELINE = """
components:
  - plugin: gpu_perception::PhotoCamera
    name: cam
    namespace: /front
    remappings: {image_raw: rgb}
    parameters: {rate_hz: 7.5}
  - plugin: gpu_perception::NoSuchThing
  - plugin: gpu_perception::PhotoCamera
    name: bad
    parameters: {rate_hz: -1.0}
  - plugin: gpu_perception::ImageFolderSource
    name: folder
    parameters: {folder: 'package://skimage/data', autostart: false}
"""

PARAMETERS = """
/gpu_container:
  ros__parameters: {device: cpu, torch_threads: 1}
"""


def command(*arguments: str) -> list[str]:
    """Return a command line of the container."""
    return [sys.executable, '-m', 'gpu_components.gpu_container', *arguments]


def refused(*arguments: str) -> str:
    """Run a container that is to refuse its start; return what it says."""
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr
    assert 'Traceback' not in done.stderr
    return done.stderr


@contextmanager
def started(log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a container; end it unless the test has."""
    env = {**os.environ, 'PYTHONFAULTHANDLER': '1'}
    with log.open('wb') as out:
        process = subprocess.Popen(
            command(*arguments), stdout=out, stderr=subprocess.STDOUT, env=env
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                end(process)
            print(log.read_text())


@pytest.fixture
def client() -> Iterator[RosClient]:
    """Make a client of a container that the test itself starts."""
    client = RosClient()
    yield client
    client.close()


def test_a_pipeline_is_loaded_and_its_mistakes_told(client: RosClient, tmp_path: Path) -> None:
    """One component that is refused does not stop the others; parameters come from a file."""
    pipeline, parameters = tmp_path / 'pipeline.yaml', tmp_path / 'parameters.yaml'
    pipeline.write_text(PIPELINE)
    parameters.write_text(PARAMETERS)
    log = tmp_path / 'container.log'
    arguments = ('--load', str(pipeline), '--ros-args', '--params-file', str(parameters))
    with started(log, *arguments) as process:
        wait_until(lambda: len(client.loaded()) == 2, 'the pipeline is not loaded')
        assert sorted(client.loaded().values()) == ['/folder', '/front/cam']
        client.wait_state('/front/cam', 'active')
        assert client.state('/folder') == 'unconfigured'
        assert client.get_parameter('/front/cam', 'rate_hz') == 7.5
        assert client.get_parameter('/gpu_container', 'torch_threads') == 1
        assert client.get_parameter('/gpu_container', 'device') == 'cpu'
        topics = dict(client.node.get_publisher_names_and_types_by_node('cam', '/front'))
        assert '/front/rgb' in topics
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20.0) == 0
    text = log.read_text()
    assert 'gpu_perception::NoSuchThing not loaded' in text
    assert 'rate_hz' in text
    assert 'Traceback' not in text


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_success(
    client: RosClient, tmp_path: Path, number: signal.Signals
) -> None:
    """In a second or two, components and all."""
    with started(tmp_path / 'container.log', '--ros-args', '-p', 'device:=cpu') as process:
        client.load('gpu_perception::PhotoCamera', node_name='cam')
        client.wait_state('/cam', 'active')
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=20.0) == 0
        assert time.monotonic() - began < 10.0
    assert 'not given back' not in (tmp_path / 'container.log').read_text()


def test_a_bad_pipeline_is_refused(tmp_path: Path) -> None:
    """Before anything runs, with the file and what is wrong in it."""
    path = tmp_path / 'pipeline.yaml'
    path.write_text('components: [{plugin: a::B, parameter: {}}]')
    said = refused('--load', str(path))
    assert str(path) in said
    assert "unknown key ['parameter']" in said


def test_a_missing_pipeline_is_refused(tmp_path: Path) -> None:
    """By its name."""
    assert 'missing.yaml' in refused('--load', str(tmp_path / 'missing.yaml'))


@pytest.mark.parametrize(
    ('parameter', 'told'),
    [
        ('device:=cuda:99', "device 'cuda:99'"),
        ('torch_threads:=many', 'torch_threads'),
    ],
)
def test_bad_parameters_are_refused(parameter: str, told: str) -> None:
    """A device that is not there, and a value of the wrong type."""
    said = refused('--ros-args', '-p', parameter)
    assert told in said


def test_unknown_arguments_are_refused() -> None:
    """With the usage."""
    assert 'usage: gpu_container' in refused('--lode', 'x.yaml')
