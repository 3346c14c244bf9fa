# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Pooling of regions on a CUDA device: one launch, each region read from its own level."""

from __future__ import annotations

from collections.abc import Sequence
import functools
import importlib
import math

import numpy as np
import numpy.typing as npt
import torch
from torchvision.ops.poolers import LevelMapper

from gpu_runtime.models.detectors import region_pool_kernel
from gpu_runtime.transforms.cupy_kernel import CupyKernel
from gpu_runtime.transforms.float_types import FLOAT_TYPES


class CudaRegionPool:
    """
    The kernels that pool regions, for one device.

    Parameters
    ----------
    device : torch.device
        A CUDA device with its index.
    output_size : tuple of int
        Rows and columns of a pooled region.
    sampling_ratio : int
        Samples per bin and axis, at least 1.

    Raises
    ------
    ImportError
        If CuPy cannot be imported.

    """

    def __init__(
        self, device: torch.device, output_size: tuple[int, int], sampling_ratio: int
    ) -> None:
        importlib.import_module('cupy')
        self._device = device
        self._size = output_size
        self._ratio = sampling_ratio
        self._kernel = functools.cache(self._make_kernel)

    def __call__(
        self,
        maps: Sequence[torch.Tensor],
        boxes: torch.Tensor,
        octaves: Sequence[int],
        mapper: LevelMapper,
    ) -> torch.Tensor:
        """
        Enqueue the pooling on the current stream; does not block once compiled.

        Parameters
        ----------
        maps : sequence of torch.Tensor
            As :func:`is_poolable` accepts them, finest first.
        boxes : torch.Tensor
            float32 (K, 4) xyxy in pixels of the picture.
        octaves : sequence of int
            Logarithm of each map's scale to base 2.
        mapper : LevelMapper
            Which size of box belongs to which map.

        Returns
        -------
        torch.Tensor
            (K, C, rows, columns), contiguous, in the type of the maps, new memory of torch's
            allocator.  Boxes of NaN and infinity give zeros, or any values of a map.

        Raises
        ------
        CudaError
            If the kernel cannot be compiled or launched.

        """
        boxes = boxes.contiguous()
        regions, channels = boxes.shape[0], maps[0].shape[1]
        pooled = maps[0].new_empty((regions, channels, *self._size), device=self._device)
        if pooled.numel() == 0:
            return pooled
        vectors = has_vectors(maps)
        options = compile_options(maps[0].dtype, self._size, self._ratio)
        kernel = self._kernel(
            region_pool_kernel.VECTORS if vectors else region_pool_kernel.STRIDED, options
        )
        kernel.launch(
            (regions, parts(maps[0].dtype, channels, self._size, vectors=vectors)),
            (region_pool_kernel.THREADS,),
            (boxes.data_ptr(), pooled.data_ptr(), kernel_parameters(maps, octaves, mapper)),
        )
        return pooled

    def _make_kernel(self, name: str, options: tuple[str, ...]) -> CupyKernel:
        return CupyKernel(region_pool_kernel.SOURCE, name, self._device, options=options)


def is_poolable(maps: Sequence[torch.Tensor], boxes: torch.Tensor, octaves: Sequence[int]) -> bool:
    """
    Tell whether the kernels can pool from these maps.

    Parameters
    ----------
    maps : sequence of torch.Tensor
        (1, C, h, w), finest first.
    boxes : torch.Tensor
        float32 (K, 4).
    octaves : sequence of int
        Logarithm of each map's scale to base 2.

    Returns
    -------
    bool
        False on other devices, for tensors without values, as in tracing, and for maps that are
        too many or differ in more than their size.

    """
    if not boxes.is_cuda or torch.compiler.is_compiling():
        return False
    first = maps[0]
    kind = (first.dtype, boxes.device, 1, first.shape[1])
    return (
        len(maps) <= region_pool_kernel.MOST_LEVELS
        # A level for every octave that a box may belong to.
        and octaves[0] - octaves[-1] < len(maps)
        and boxes.dtype == torch.float32
        and first.dtype in FLOAT_TYPES
        # Others, such as those of a tracer, have no address.
        and all(type(tensor) is torch.Tensor for tensor in (*maps, boxes))
        and all((level.dtype, level.device, *level.shape[:2]) == kind for level in maps)
    )


def has_vectors(maps: Sequence[torch.Tensor]) -> bool:
    """
    Tell whether channels can be read 16 bytes at a time.

    Parameters
    ----------
    maps : sequence of torch.Tensor
        (1, C, h, w).

    Returns
    -------
    bool
        True for maps in ``channels_last`` whose pixels begin at multiples of 16 bytes.

    """
    nbytes = region_pool_kernel.VECTOR_NBYTES
    return all(
        level.stride(1) == 1
        and level.data_ptr() % nbytes == 0
        and all(
            step * level.element_size() % nbytes == 0
            for step in (level.shape[1], level.stride(2), level.stride(3))
        )
        for level in maps
    )


def compile_options(
    dtype: torch.dtype, output_size: tuple[int, int], sampling_ratio: int
) -> tuple[str, ...]:
    """
    Return the macros that specialise the kernels.

    Parameters
    ----------
    dtype : torch.dtype
        Of the maps.
    output_size : tuple of int
        Rows and columns of a pooled region.
    sampling_ratio : int
        Samples per bin and axis, at least 1.

    Returns
    -------
    tuple of str
        ``-D`` options.

    """
    rows, columns = output_size
    macros = {
        'TYPE': FLOAT_TYPES[dtype],
        'ROWS': rows,
        'COLUMNS': columns,
        'SAMPLES': sampling_ratio,
        'GROUPS': _groups(output_size),
    }
    return tuple(f'-D{name}={value}' for name, value in macros.items())


def parts(
    dtype: torch.dtype, channels: int, output_size: tuple[int, int], *, vectors: bool
) -> int:
    """
    Return the number of blocks per region.

    Parameters
    ----------
    dtype : torch.dtype
        Of the maps.
    channels : int
        Of the maps.
    output_size : tuple of int
        Rows and columns of a pooled region.
    vectors : bool
        Which kernel.

    Returns
    -------
    int
        Second axis of the grid.

    """
    if vectors:
        per_block = _groups(output_size) * region_pool_kernel.VECTOR_NBYTES // dtype.itemsize
        return -(-channels // per_block)
    return -(-channels * math.prod(output_size) // region_pool_kernel.THREADS)


def kernel_parameters(
    maps: Sequence[torch.Tensor], octaves: Sequence[int], mapper: LevelMapper
) -> npt.NDArray[np.void]:
    """
    Return the parameter block of the kernels.

    Parameters
    ----------
    maps : sequence of torch.Tensor
        (1, C, h, w), finest first; the caller keeps them alive, in stream order.
    octaves : sequence of int
        Logarithm of each map's scale to base 2.
    mapper : LevelMapper
        Which size of box belongs to which map.

    Returns
    -------
    numpy.ndarray
        Shape (1,), dtype :data:`~gpu_runtime.models.detectors.region_pool_kernel.PARAMETERS`.

    """
    block = np.zeros(1, region_pool_kernel.PARAMETERS)
    for entry, level, octave in zip(block['levels'][0], maps, octaves, strict=False):
        steps = level.stride()[1:]
        entry['address'], entry['scale'] = level.data_ptr(), 2.0**octave
        entry['channel_step'], entry['row_step'], entry['column_step'] = steps
        entry['height'], entry['width'] = level.shape[2:]
    block['channels'] = maps[0].shape[1]
    block['finest'], block['coarsest'] = mapper.k_min, mapper.k_max
    block['canonical_level'], block['canonical_scale'] = mapper.lvl0, mapper.s0
    block['epsilon'] = mapper.eps
    return block


def _groups(output_size: tuple[int, int]) -> int:
    """Return groups of channels per block: a warp's, or as many as its shared memory takes."""
    group_nbytes = math.prod(output_size) * region_pool_kernel.VECTOR_NBYTES + 4
    return max(1, min(32, region_pool_kernel.SHARED_NBYTES // group_nbytes))
