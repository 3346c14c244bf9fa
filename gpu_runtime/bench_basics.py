# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The basic speeds of a machine: making tensors, a small network, copies across the bus.

Every figure is the median of single timings after a warm-up: between two CUDA events on the
stream that works where the GPU works, by the host's clock where the CPU does.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
import statistics
import time

import torch

WARM_UP = 5
REPEATS = 31
MIB = 1 << 20
IMAGES = {'640x480x3': 640 * 480 * 3, '1920x1080x3': 1920 * 1080 * 3, '64 MiB': 64 * MIB}
"""Bytes of the copies: two usual pictures, and enough to see the bus."""


@dataclass(frozen=True)
class Figure:
    """
    One thing measured on one device.

    Parameters
    ----------
    group : str
        ``tensor creation``, ``inference`` or ``bandwidth``.
    name : str
        What was done.
    device : str
        ``cpu`` or ``gpu``: what did it.
    median_s : float
        Median duration in seconds.
    nbytes : int
        Bytes moved; 0 where none are.

    """

    group: str
    name: str
    device: str
    median_s: float
    nbytes: int = 0

    @property
    def gb_per_s(self) -> float:
        """Bytes moved per nanosecond; 0 where none are."""
        return self.nbytes / self.median_s * 1e-9 if self.median_s else 0.0


@dataclass(frozen=True)
class GpuMemory:
    """
    Device memory after the measurements, in bytes.

    Parameters
    ----------
    total : int
        What the card has.
    free : int
        What no process holds.
    reserved : int
        Held by torch in this process.
    peak : int
        Most that tensors took during the measurements.

    """

    total: int
    free: int
    reserved: int
    peak: int


def small_network() -> torch.nn.Module:
    """Return three convolutions and a classifier of ten, as an image processor may have."""
    torch.manual_seed(0)
    layers: list[torch.nn.Module] = []
    for before, after in ((3, 16), (16, 32), (32, 64)):
        layers += [torch.nn.Conv2d(before, after, 3, stride=2, padding=1), torch.nn.ReLU()]
    head = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(64, 10)]
    return torch.nn.Sequential(*layers, *head).eval()


def measure(device: torch.device, *, repeats: int = REPEATS) -> Iterator[Figure]:
    """
    Measure the CPU, and the GPU if the device is one.

    Parameters
    ----------
    device : torch.device
        A CUDA device, or the CPU for its figures alone.
    repeats : int
        Timings per figure, after the warm-up.

    Yields
    ------
    Figure
        As soon as it is measured; all of them take seconds.

    """
    devices = [torch.device('cpu')] + ([device] if device.type == 'cuda' else [])
    for where in devices:
        yield from _creation(where, repeats)
    for where in devices:
        yield _inference(where, repeats)
    for name, nbytes in IMAGES.items():
        yield from _bandwidth(device, name, nbytes, repeats)


def gpu_memory(device: torch.device) -> GpuMemory | None:
    """
    Return the device's memory now.

    Parameters
    ----------
    device : torch.device
        Where.

    Returns
    -------
    GpuMemory or None
        None on a CPU.

    """
    if device.type != 'cuda':
        return None
    free, total = torch.cuda.mem_get_info(device)
    return GpuMemory(
        total=total,
        free=free,
        reserved=torch.cuda.memory_reserved(device),
        peak=torch.cuda.max_memory_allocated(device),
    )


def median_s(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """
    Return how long some work takes.

    Parameters
    ----------
    work : callable
        Enqueues on torch's current stream, or works on the host.
    device : torch.device
        Where it works.
    repeats : int
        Timings to take the median of; ``WARM_UP`` more go before.

    Returns
    -------
    float
        Seconds.

    """
    time_once = _gpu_once if device.type == 'cuda' else _cpu_once
    return statistics.median([time_once(work) for _ in range(WARM_UP + repeats)][WARM_UP:])


def _cpu_once(work: Callable[[], object]) -> float:
    begin_s = time.perf_counter()
    work()
    return time.perf_counter() - begin_s


def _gpu_once(work: Callable[[], object]) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    work()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) * 1e-3


def _name(device: torch.device) -> str:
    return 'gpu' if device.type == 'cuda' else 'cpu'


def _creation(device: torch.device, repeats: int) -> Iterator[Figure]:
    shape = (1, 3, 1080, 1920)
    for name, make in (('empty', torch.empty), ('zeros', torch.zeros), ('randn', torch.randn)):
        took_s = median_s(lambda make=make: make(shape, device=device), device, repeats)  # type: ignore[misc]
        yield Figure('tensor creation', f'{name} 3x1080x1920 float32', _name(device), took_s)


def _inference(device: torch.device, repeats: int) -> Figure:
    network = small_network().to(device)
    picture = torch.rand(1, 3, 224, 224, device=device)
    with torch.inference_mode():
        took_s = median_s(lambda: network(picture), device, repeats)
    return Figure('inference', '3-convolution network, 1x3x224x224', _name(device), took_s)


def _bandwidth(device: torch.device, name: str, nbytes: int, repeats: int) -> Iterator[Figure]:
    """Yield copies within the host, and to and from the device if there is one."""
    pageable, other = (torch.ones(nbytes, dtype=torch.uint8) for _ in range(2))
    host = torch.device('cpu')
    copies = [('host to host', host, other, pageable)]
    if device.type == 'cuda':
        pinned = pageable.pin_memory()
        remote = pageable.to(device)
        copies += [
            ('host to device, pageable', device, remote, pageable),
            ('host to device, pinned', device, remote, pinned),
            ('device to host, pageable', device, pageable, remote),
            ('device to host, pinned', device, pinned, remote),
            ('device to device', device, torch.empty_like(remote), remote),
        ]
    for direction, where, target, source in copies:
        took_s = median_s(
            lambda target=target, source=source: target.copy_(source, non_blocking=True),  # type: ignore[misc]
            where,
            repeats,
        )
        yield Figure('bandwidth', f'{direction}, {name}', _name(where), took_s, nbytes)
