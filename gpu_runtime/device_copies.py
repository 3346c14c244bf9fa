# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Copies to and from the device, enqueued by one call each."""

from __future__ import annotations

from typing import Any
from typing import TYPE_CHECKING

from gpu_runtime.errors import CudaError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    import torch

    from gpu_runtime.driver import Driver
    from gpu_runtime.pinned_slab import PinnedSlab
    from gpu_runtime.stream import Stream


class DeviceCopies:
    """
    Enqueues copies.

    ``tensor.copy_()`` takes two to three times as long under the interpreter lock: it looks for
    type conversions, for the ways between two devices, and for who made the pinned memory.

    Parameters
    ----------
    driver : Driver
        Of the device.

    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def to_device(self, address: int, tensor: torch.Tensor, stream: Stream) -> None:
        """
        Copy bytes into a tensor.  Does not block.

        Parameters
        ----------
        address : int
            Of the first byte, in page-locked memory or on the device; not written to until the
            copy is done.
        tensor : torch.Tensor
            Contiguous, on the device; says how many bytes.
        stream : Stream
            On which the copy is ordered.

        Raises
        ------
        CudaError
            If it cannot be enqueued.

        """
        self._enqueue(tensor.data_ptr(), address, tensor.nbytes, stream)

    def to_host(self, tensor: torch.Tensor, slab: PinnedSlab, stream: Stream) -> NDArray[Any]:
        """
        Copy a tensor into a slab.  Does not block.

        Parameters
        ----------
        tensor : torch.Tensor
            On the device.
        slab : PinnedSlab
            Of as many bytes.
        stream : Stream
            The calling thread's current stream.

        Returns
        -------
        numpy.ndarray
            The slab in the shape and type of the tensor.

        Raises
        ------
        CudaError
            If it cannot be enqueued.

        """
        # What contiguous() may make comes from this stream's memory: used again after the copy.
        source = tensor.contiguous()
        self._enqueue(slab.address, source.data_ptr(), slab.array.nbytes, stream)
        return slab.view(source.dtype, source.shape)

    def _enqueue(self, to: int, source: int, nbytes: int, stream: Stream) -> None:
        if not nbytes:
            return
        try:
            self._driver.copy(to, source, nbytes, stream.handle)
        except CudaError as error:
            raise CudaError(
                f'a copy of {nbytes} bytes was not enqueued on stream {stream.name!r}: {error}',
                sticky=error.sticky,
            ) from error
