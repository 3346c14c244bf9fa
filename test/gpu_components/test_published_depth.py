# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The default depth network: fetched once, checked, used as its publisher means it; or refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
import hashlib
from pathlib import Path
from typing import Any

from file_server import served
import numpy as np
from onnx import helper
from onnx import numpy_helper
from onnx import TensorProto
from probe import Host
from probe import set_parameter
import pytest
from rclpy.lifecycle import TransitionCallbackReturn
import torch

from gpu_components.depth_estimator import DepthEstimator
from gpu_components.model_catalogue import find_model
from gpu_runtime.errors import ModelError
from gpu_runtime.models import ModelSource
from gpu_runtime.models import PUBLISHED
from gpu_runtime.models.published_model import MIDAS_SMALL

SLOPE = 500.0
"""What the stand-in answers to white."""


def stand_in() -> bytes:
    """
    Return a file with the inputs, outputs and operations of the published one.

    Opset 10, ImageNet's mean taken off inside, half the size in the middle, three dimensions
    out; where the pixels are v of 0 to 1, it answers SLOPE * v.
    """
    mean = np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1)
    std = np.array([0.229, 0.224, 0.225], np.float32).reshape(1, 3, 1, 1)
    halve = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
    weights = {
        'mean': mean,
        'std': std,
        'halve': halve,
        'twice': np.array([1, 1, 2, 2], np.float32),
        'sum': (std * SLOPE / 3).astype(np.float32),
        'bias': np.array([float(mean.mean()) * SLOPE], np.float32),
    }
    nodes = [
        helper.make_node('Sub', ['0', 'mean'], ['centred']),
        helper.make_node('Div', ['centred', 'std'], ['unit']),
        helper.make_node(
            'Conv', ['unit', 'halve'], ['small'], kernel_shape=[1, 1], strides=[2, 2]
        ),
        helper.make_node('Clip', ['small'], ['clipped'], min=-6.0, max=6.0),
        helper.make_node('Resize', ['clipped', 'twice'], ['large'], mode='linear'),
        helper.make_node('Conv', ['large', 'sum', 'bias'], ['one'], kernel_shape=[1, 1]),
        helper.make_node('Relu', ['one'], ['positive']),
        helper.make_node('Squeeze', ['positive'], ['797'], axes=[1]),
    ]
    graph = helper.make_graph(
        nodes,
        'stand_in',
        [helper.make_tensor_value_info('0', TensorProto.FLOAT, [1, 3, 256, 256])],
        [helper.make_tensor_value_info('797', TensorProto.FLOAT, [1, 256, 256])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 10)], ir_version=6
    ).SerializeToString()


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Publish the stand-in on this machine under the default's name; gives what was asked for."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    folder = tmp_path / 'served'
    folder.mkdir()
    content = stand_in()
    (folder / 'model-small.onnx').write_bytes(content)
    with served(folder) as (address, asked):
        url, sha256 = f'{address}/model-small.onnx', hashlib.sha256(content).hexdigest()
        model = replace(MIDAS_SMALL, url=url, sha256=sha256)
        monkeypatch.setitem(PUBLISHED, MIDAS_SMALL.name, model)
        yield asked


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the default's name without a publisher."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    model = replace(MIDAS_SMALL, url='http://127.0.0.1:9/model-small.onnx')
    monkeypatch.setitem(PUBLISHED, MIDAS_SMALL.name, model)


def depth_of(host: Host, node: Any, value: int) -> np.ndarray[Any, Any]:
    """Return the depth map of a grey picture."""
    reader = host.gpu.bus.subscribe('/gpu_depth_map', 'test', depth=1)
    host.gpu.bus.channel('/image_raw').publish(host.frame(1, 64, 48, value))
    frame = reader.take(30.0)
    assert frame is not None, host.metrics(node.get_fully_qualified_name())
    host.gpu.bus.unsubscribe(reader)
    return frame.data.view(torch.float32).reshape(48, 64).numpy()


def test_without_any_parameter_there_is_depth(publisher: list[str], host: Host) -> None:
    """Fetched once, read as 0 to 1 without a second normalisation, inverse depth out."""
    node = host.load(DepthEstimator, 'depth_estimator')
    grey = depth_of(host, node, 102)
    np.testing.assert_allclose(grey, 1.0 / (1e-3 * SLOPE * 0.4), rtol=1e-3)
    np.testing.assert_allclose(depth_of(host, node, 204), grey / 2, rtol=1e-3)
    assert set_parameter(node, 'scale', 2e-3).successful
    np.testing.assert_allclose(depth_of(host, node, 102), grey / 2, rtol=1e-3)
    host.load(DepthEstimator, 'second', remap=['gpu_depth_map:=b', 'gpu_depth_color:=c'])
    assert publisher == ['/model-small.onnx']
    known = find_model(MIDAS_SMALL.name)
    assert known.cached and known.intact()


def test_another_file_under_the_address_is_never_loaded(
    publisher: list[str], tmp_path: Path
) -> None:
    """Neither a damaged one nor a newer one."""
    (tmp_path / 'served' / 'model-small.onnx').write_bytes(stand_in() + b' ')
    source = ModelSource.parse(MIDAS_SMALL.name)
    source.inspect()  # a load request does not wait for a download
    with pytest.raises(ModelError, match='SHA-256'):
        source.load(device=torch.device('cpu'))
    assert publisher == ['/model-small.onnx']
    assert not find_model(MIDAS_SMALL.name).cached


def test_without_a_network_the_remedy_is_told(offline: None, host: Host) -> None:
    """The component stays loaded and unconfigured, and a file of one's own helps at once."""
    node = host.load(DepthEstimator, 'depth_estimator', active=False)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    error = host.metrics('/depth_estimator').error
    path = find_model(MIDAS_SMALL.name).path
    for part in (MIDAS_SMALL.name, str(path), 'on another machine', 'the parameter model'):
        assert part in error
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(stand_in())
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS


def test_names_and_sizes_are_those_of_the_release() -> None:
    """What a user has to trust is in the listing."""
    known = find_model('midas/v21_small')
    assert (known.task, known.licence, known.nbytes) == ('depth', 'MIT', 66_764_249)
    assert known.url.startswith('https://github.com/isl-org/MiDaS/releases/')
    assert known.path.name == f'midas_v21_small-{MIDAS_SMALL.sha256}.onnx'
