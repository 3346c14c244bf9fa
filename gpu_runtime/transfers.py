# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Copies between host and device: one upload per picture, one small download per result."""

from __future__ import annotations

from functools import partial
from typing import Any
from typing import TYPE_CHECKING

import numpy as np
import torch

from gpu_runtime.device_copies import DeviceCopies
from gpu_runtime.download import Download
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.event import Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gpu_runtime.pinned_pool import PinnedPool
    from gpu_runtime.pinned_slab import PinnedSlab
    from gpu_runtime.stream import Stream
    from gpu_runtime.stream_pool import StreamPool


class Transfers:
    """
    The two ways across the bus.

    Parameters
    ----------
    device : torch.device
        The device side.
    pinned : PinnedPool
        Source of page-locked memory.
    streams : StreamPool
        Source of the upload stream.

    """

    def __init__(self, device: torch.device, pinned: PinnedPool, streams: StreamPool) -> None:
        self.device = device
        self.uploads = 0
        self._pinned = pinned
        self._streams = streams
        self._stream = streams.lease('upload')
        self._copies = DeviceCopies(streams.driver) if streams.driver else None

    def upload(
        self, data: Any, nbytes: int, *, offset: int = 0, pinned: bool = False
    ) -> tuple[torch.Tensor, Event]:
        """
        Copy bytes to the device, from page-locked memory and asynchronously.

        Parameters
        ----------
        data : bytes-like
            Copied to page-locked memory before the call returns, with the GIL released.
        nbytes : int
            How many bytes to take.
        offset : int
            First byte.
        pinned : bool
            Whether ``data`` is page-locked: then it is read where it is, until ``ready`` passes.

        Returns
        -------
        tensor : torch.Tensor
            uint8 (nbytes,) on the device, owned by the caller.
        ready : Event
            Passes when the tensor is complete.

        Raises
        ------
        SpecMismatchError
            If ``data`` is shorter than ``offset + nbytes``.

        """
        if memoryview(data).nbytes < offset + nbytes:
            raise SpecMismatchError(
                f'upload of {nbytes} bytes from byte {offset} on: the data has only '
                f'{memoryview(data).nbytes} bytes; check the publisher'
            )
        source = np.frombuffer(data, np.uint8, nbytes, offset)
        self.uploads += 1
        if self._copies is None:
            tensor = self._empty(nbytes)
            np.copyto(tensor.numpy(), source)
            return tensor, Event()
        tensor = self._stream.launch(partial(self._empty, nbytes))
        slab = None if pinned else self._pinned.lease(nbytes, self._stream.name)
        if slab is not None:
            np.copyto(slab.array, source)
        address = source.ctypes.data if slab is None else slab.address
        self._copies.to_device(address, tensor, self._stream)
        ready = self._stream.record()
        if slab is not None:
            self._pinned.release(slab, ready)
        return tensor, ready

    def _empty(self, nbytes: int) -> torch.Tensor:
        return torch.empty(nbytes, dtype=torch.uint8, device=self.device)

    def download(
        self, tensors: Sequence[torch.Tensor], stream: Stream, *, timing: bool = False
    ) -> Download:
        """
        Start copying tensors to the host, ordered after the work already on a stream.

        Parameters
        ----------
        tensors : sequence of torch.Tensor
            On the device; maybe none.
        stream : Stream
            The calling thread's current stream.  Does not block.
        timing : bool
            Whether the time until the copies are complete will be asked of their event.

        Returns
        -------
        Download
            To be waited for and released by another thread.

        """
        download = Download([], Event(), [], self._pinned)
        try:
            for tensor in tensors:
                slab = self._pinned.lease(tensor.nbytes, stream.name)
                download.slabs.append(slab)
                download.arrays.append(self._to_host(tensor, slab, stream))
        finally:
            download.event = stream.record(timing=timing)
            if len(download.arrays) < len(tensors):
                download.release()
        return download

    def copy(self, source: torch.Tensor, target: torch.Tensor, stream: Stream) -> None:
        """
        Copy a tensor's bytes into another one on the device.

        Parameters
        ----------
        source, target : torch.Tensor
            Contiguous, of one size and type.
        stream : Stream
            The calling thread's current stream, which orders the copy.  Does not block.

        """
        if self._copies is None:
            target.copy_(source)
        else:
            self._copies.to_device(source.data_ptr(), target, stream)

    def _to_host(self, tensor: torch.Tensor, slab: PinnedSlab, stream: Stream) -> NDArray[Any]:
        if self._copies is not None:
            return self._copies.to_host(tensor, slab, stream)
        # Copied on a CPU too: a tensor may be written again once its download has started.
        array = slab.view(tensor.dtype, tensor.shape)
        np.copyto(array, tensor.detach().numpy())
        return array

    def close(self) -> None:
        """Give the upload stream back."""
        self._streams.release(self._stream)
