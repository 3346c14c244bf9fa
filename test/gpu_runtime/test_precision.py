# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of networks: types, memory order, and TF32 that no other network notices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gpu_runtime.errors import ModelError
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.models import ModelSource
from gpu_runtime.models.precision import bring_to
from gpu_runtime.models.precision import precision_problem
from gpu_runtime.models.source_kind import SourceKind

CPU = torch.device('cpu')


class Net(torch.nn.Module):
    """Convolutions with everything that they can have, and one that cannot be changed."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2)
        self.second = torch.nn.Conv2d(8, 8, 3, padding=2, dilation=2, bias=False)
        self.same = torch.nn.Conv2d(8, 2, 3, padding='same')
        self.line = torch.nn.Conv1d(2, 2, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return numbers."""
        y = self.same(self.second(self.first(x)).relu())
        return self.line(y.flatten(2))


class Seen(TorchDispatchMode):
    """Notes whether each convolution may use TF32."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed: list[bool] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._convolution.default:
            self.allowed.append(args[12])
        elif func is torch.ops.aten.convolution.default:
            self.allowed.append(torch.backends.cudnn.allow_tf32)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def switches() -> Iterator[None]:
    """Put torch's switches back."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def test_the_context_makes_fp32_exact(switches: None) -> None:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    GpuContext('cpu').close()
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_tf32_is_of_one_network_and_changes_no_switch(switches: None) -> None:
    GpuContext('cpu').close()
    torch.manual_seed(0)
    plain, x = Net().eval(), torch.rand(1, 4, 16, 20)
    changed = Net().eval()
    changed.load_state_dict(plain.state_dict())
    bring_to(changed, 'tf32', SourceKind.TORCHVISION)
    with torch.no_grad():
        with Seen() as one:
            got = changed(x)
        with Seen() as other:
            want = plain(x)
    torch.testing.assert_close(got, want)
    assert one.allowed == [True, True, False, True]
    assert other.allowed == [False] * 4
    assert not torch.backends.cudnn.allow_tf32


@pytest.mark.slow
def test_tf32_of_an_exported_program(tmp_path: Path, switches: None) -> None:
    GpuContext('cpu').close()
    torch.manual_seed(0)
    x, file = torch.rand(1, 4, 16, 20), tmp_path / 'net.pt2'
    torch.export.save(torch.export.export(Net().eval(), (x,)), str(file))
    source = ModelSource.parse(str(file))
    plain = source.load(device=CPU)
    changed = bring_to(source.load(device=CPU), 'tf32', source.kind)
    with torch.no_grad(), Seen() as seen:
        torch.testing.assert_close(changed(x), plain(x))
    assert True in seen.allowed[:2]


def test_torchscript_has_no_layers_to_change() -> None:
    module = torch.jit.trace(torch.nn.Conv2d(3, 3, 3), torch.rand(1, 3, 8, 8))
    with pytest.raises(ModelError, match='TorchScript has none'):
        bring_to(module, 'tf32', SourceKind.TORCHSCRIPT)


@pytest.mark.parametrize('dtype', ['fp16', 'bf16'])
def test_halves_are_channels_last_unless_grouped(dtype: str) -> None:
    module = bring_to(torch.nn.Conv2d(4, 8, 3), dtype, SourceKind.ONNX)
    assert module.weight.element_size() == 2
    assert module.weight.is_contiguous(memory_format=torch.channels_last)
    grouped = bring_to(torch.nn.Conv2d(4, 8, 3, groups=2), dtype, SourceKind.ONNX)
    assert grouped.weight.is_contiguous()


def test_old_cards_have_neither_bf16_nor_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = torch.device('cuda', 0)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: (7, 5))
    for precision in ('bf16', 'tf32'):
        assert 'cuda:0 has 7.5; set precision fp16' in precision_problem(precision, cuda)
    assert precision_problem('fp16', cuda) == ''
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: (8, 0))
    assert precision_problem('bf16', cuda) == ''
