# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Fused convolutions compute the same network; cuDNN's operations are played by torch's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision import models

from gpu_runtime.models import fused_convolutions
from gpu_runtime.models import ModelSource
from gpu_runtime.models.memory_order import to_channels_last
from gpu_runtime.models.source_kind import SourceKind

CPU = torch.device('cpu')


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Play cuDNN's two operations, and count them."""
    counted: Counter[str] = Counter()
    conv = torch.nn.functional.conv2d

    def relu(x: torch.Tensor, weight: torch.Tensor, bias: Any, *sizes: Any) -> torch.Tensor:
        counted['relu'] += 1
        return conv(x, weight, bias, *sizes).relu()

    def add_relu(
        x: torch.Tensor,
        weight: torch.Tensor,
        z: torch.Tensor,
        alpha: float,
        bias: Any,
        *sizes: Any,
    ) -> torch.Tensor:
        counted['add_relu'] += 1
        return (conv(x, weight, bias, *sizes) + alpha * z).relu()

    monkeypatch.setattr(fused_convolutions, '_convolution_relu', relu)
    monkeypatch.setattr(fused_convolutions, '_convolution_add_relu', add_relu)
    yield counted


def randomised(network: torch.nn.Module) -> torch.nn.Module:
    """Give the batch norms something to do."""
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(layer.bias, -0.1, 0.1)
    return network.eval()


@pytest.mark.parametrize(
    ('name', 'relu', 'add_relu'),
    [('resnet18', 9, 8), ('resnet50', 33, 16), ('vgg11', 8, 0), ('mobilenet_v3_small', 2, 0)],
)
def test_a_network_answers_the_same(
    calls: Counter[str], name: str, relu: int, add_relu: int
) -> None:
    torch.manual_seed(0)
    network, x = randomised(models.get_model(name, weights=None)), torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        expected = network(x)
        fused_convolutions.fuse_convolutions(network)
        got = network(x)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    assert calls['relu'] == relu
    assert calls['add_relu'] == add_relu
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())


class Odd(torch.nn.Module):
    """What must not be fused, beside what may."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.grouped = torch.nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.second = torch.nn.Conv2d(8, 8, 1)
        self.last = torch.nn.Linear(8 * 6 * 5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Use the second convolution twice, once without its ReLU."""
        x = self.grouped(self.first(x).relu()).relu()
        raw = self.second(x)
        x = raw.relu() + raw
        return self.last(x.view(x.shape[0], -1))


@pytest.mark.slow
def test_an_exported_program_answers_the_same(calls: Counter[str], tmp_path: Path) -> None:
    torch.manual_seed(0)
    x, file = torch.rand(1, 3, 6, 5), tmp_path / 'odd.pt2'
    odd = Odd().eval()
    torch.export.save(torch.export.export(odd, (x,)), str(file))
    source = ModelSource.parse(str(file))
    network = source.load(device=CPU)
    fused_convolutions.fuse_convolutions(network)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), odd(x))
    assert calls == {'relu': 1}


@pytest.mark.slow
def test_channels_last_of_an_exported_program(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(96, 2)
    ).eval()
    x, file = torch.rand(1, 3, 6, 5), tmp_path / 'net.pt2'
    torch.export.save(torch.export.export(net, (x,)), str(file))
    network = to_channels_last(ModelSource.parse(str(file)).load(device=CPU), SourceKind.EXPORTED)
    kernels = [p for p in network.parameters() if p.dim() == 4]
    assert [p.is_contiguous(memory_format=torch.channels_last) for p in kernels] == [True]
    with torch.inference_mode():
        given = x.contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(network(given), net(x))


def test_a_shared_or_odd_layer_is_left_alone(calls: Counter[str]) -> None:
    """ReLUs that are not registered behind a convolution, and groups."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(4, 4, 3, groups=4),
        torch.nn.ReLU(),
        torch.nn.Conv2d(4, 4, 3, padding='same'),
        torch.nn.ReLU(),
        torch.nn.Conv2d(4, 4, 3, padding=1, padding_mode='reflect'),
        torch.nn.ReLU(),
        torch.nn.Conv2d(4, 4, 1),
        torch.nn.MaxPool2d(2),
        torch.nn.ReLU(),
    )
    x = torch.rand(1, 4, 12, 12)
    with torch.inference_mode():
        expected = network(x)
        fused_convolutions.fuse_convolutions(network)
        torch.testing.assert_close(network(x), expected)
    assert not calls
