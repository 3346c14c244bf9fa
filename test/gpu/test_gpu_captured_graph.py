# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Graphs on a real device: what they hold on, how they nest, and where their memory goes."""

from __future__ import annotations

import pytest
import torch

from gpu_runtime.captured_graph import capture
from gpu_runtime.captured_graph import CapturedGraph
from gpu_runtime.captured_graph import depend_on
from gpu_runtime.captured_graph import is_capturing
from gpu_runtime.gpu_context import GpuContext

pytestmark = pytest.mark.gpu


def doubled(source: torch.Tensor) -> CapturedGraph[torch.Tensor]:
    """Return a graph that doubles what is in a tensor."""
    return capture(lambda: source * 2.0, torch.cuda.Stream())


def test_a_replay_does_the_work_again(gpu: torch.device) -> None:
    source = torch.ones(5, device=gpu)
    graph = doubled(source)
    source.fill_(3.0)
    graph.replay()
    assert graph.result.tolist() == [6.0] * 5


def test_a_graph_becomes_part_of_another_one(gpu: torch.device) -> None:
    """In the order of the work around it, as often as it is asked for."""
    source, given = torch.ones(5, device=gpu), torch.ones(5, device=gpu)
    inner = doubled(source)

    def work() -> torch.Tensor:
        source.copy_(given + 1.0)
        inner.replay()
        source.copy_(inner.result + 1.0)
        inner.replay()
        return inner.result + 0.5

    outer = capture(work, torch.cuda.Stream())
    assert outer.valid
    for value in (1.0, 10.0):
        given.fill_(value)
        outer.replay()
        assert outer.result.tolist() == [((value + 1) * 2 + 1) * 2 + 0.5] * 5
    inner.close()
    assert not outer.valid


def test_a_graph_holds_while_its_conditions_do(gpu: torch.device) -> None:
    conditions = [True]

    def work() -> torch.Tensor:
        assert is_capturing()
        depend_on(lambda: conditions[0])
        return torch.zeros(1, device=gpu)

    graph = capture(work, torch.cuda.Stream())
    assert graph.valid and not is_capturing()
    conditions[0] = False
    assert not graph.valid


def test_what_cannot_be_captured_leaves_no_trace(gpu: torch.device) -> None:
    """The next capture works, and so does everything else."""
    values = torch.ones(5, device=gpu)
    with pytest.raises(RuntimeError):
        capture(lambda: values.nonzero(), torch.cuda.Stream())
    with pytest.raises(KeyError):
        capture(lambda: {}['missing'], torch.cuda.Stream())
    assert not is_capturing()
    graph = doubled(values)
    graph.replay()
    assert graph.result.tolist() == [2.0] * 5
    assert int(values.nonzero().numel()) == 5


def test_graphs_of_one_account_share_their_memory(context: GpuContext) -> None:
    """What one leaves behind the next one takes."""
    account = context.budget.open('/stage')
    source = torch.ones(1 << 22, device=context.device)
    sizes, stream = [], torch.cuda.Stream()
    for _ in range(4):
        graph = capture(lambda: (source * 2.0).sum(), stream, pool=account.graph_pool(stream))
        graph.replay()
        assert graph.result.item() == 2.0 * (1 << 22)
        sizes.append(account.nbytes)
        torch.cuda.synchronize()
        graph.close()
        del graph
    assert 0 < sizes[0] == sizes[-1]
    graph = capture(lambda: source * 2.0, stream, pool=account.graph_pool(stream))
    context.budget.close_account(account)
    graph.replay()
    assert graph.result.sum().item() == 2.0 * (1 << 22)
    assert account.nbytes == 0
