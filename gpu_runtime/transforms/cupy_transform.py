# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The image transform as one fused CUDA kernel, one launch per picture."""

from __future__ import annotations

from dataclasses import dataclass
import functools
import importlib

import numpy as np
import numpy.typing as npt
import torch

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.layout import Layout
from gpu_runtime.pixel_kind import PixelKind
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms import transform_kernel
from gpu_runtime.transforms.cupy_kernel import CupyKernel
from gpu_runtime.transforms.image_data import averages
from gpu_runtime.transforms.image_data import require_image_data
from gpu_runtime.transforms.prepared_tensor import PreparedTensor

# Distinct pairs of picture format and spec kept ready; a robot has a handful of cameras.
_REMEMBERED = 64

_BLOCK = np.dtype((np.void, transform_kernel.PARAMETERS.itemsize))


@dataclass(frozen=True)
class _Launch:
    """All that a launch needs and that does not change from picture to picture."""

    kernel: CupyKernel
    grid: tuple[int, int]
    block: tuple[int, int]
    parameters: npt.NDArray[np.void]
    map: AffineMap
    shape: tuple[int, int, int, int]


class CupyTransform:
    """
    Prepare pictures with a fused kernel; see :class:`ImageTransform` for the contract.

    Parameters
    ----------
    device : torch.device
        A CUDA device; without an index, the current one.

    Raises
    ------
    SpecMismatchError
        If the device is not a CUDA device.
    ImportError
        If CuPy cannot be imported.

    """

    def __init__(self, device: torch.device) -> None:
        if device.type != 'cuda':
            raise SpecMismatchError(
                f'CupyTransform got device {device}; expected cuda: use make_image_transform'
            )
        importlib.import_module('cupy')
        index = torch.cuda.current_device() if device.index is None else device.index
        self._device = torch.device('cuda', index)
        self._kernel = functools.cache(self._make_kernel)
        self._launch = functools.lru_cache(maxsize=_REMEMBERED)(self._make_launch)

    def __call__(
        self, data: torch.Tensor, format: ImageFormat, spec: TensorSpec
    ) -> PreparedTensor:
        """
        Enqueue the kernel on the calling thread's current torch stream; does not block.

        The first call with a combination of encoding, channels, layout and type compiles.

        Parameters
        ----------
        data : torch.Tensor
            uint8, shape (n,) with n >= ``format.nbytes``, contiguous, on this device.  It must
            stay alive and unchanged until the kernel has run.
        format : ImageFormat
            Size, encoding and row step of the picture in ``data``.
        spec : TensorSpec
            What the network wants to read.

        Returns
        -------
        PreparedTensor
            Its tensor comes from torch's allocator on the current stream.

        Raises
        ------
        SpecMismatchError
            If ``data`` has another type or device, or too few bytes, or if depth is to be read
            as a picture or a picture as depth.
        CudaError
            If the kernel cannot be compiled or launched.

        """
        require_image_data(data, format, spec, self._device)
        launch = self._launch(format, spec)
        tensor = torch.empty(launch.shape, dtype=spec.dtype, device=self._device)
        arguments = (data.data_ptr(), tensor.data_ptr(), launch.parameters)
        launch.kernel.launch(launch.grid, launch.block, arguments)
        return PreparedTensor(tensor, launch.map, spec)

    def _make_kernel(self, options: tuple[str, ...]) -> CupyKernel:
        """Return the kernel for one set of compile-time choices."""
        return CupyKernel(
            transform_kernel.SOURCE, transform_kernel.NAME, self._device, options=options
        )

    def _make_launch(self, format: ImageFormat, spec: TensorSpec) -> _Launch:
        """Work out kernel, grid and parameters for pictures of one format."""
        fitted = AffineMap.fit(spec, format.width, format.height)
        shape = spec.shape(format.width, format.height)
        rows, columns = shape[2:] if spec.layout is Layout.NCHW else shape[1:3]
        grid, block = transform_kernel.grid_and_block(columns, rows)
        return _Launch(
            kernel=self._kernel(compile_options(format, spec)),
            grid=grid,
            block=block,
            parameters=kernel_parameters(format, spec, fitted, columns, rows).view(_BLOCK),
            map=fitted,
            shape=shape,
        )


def compile_options(format: ImageFormat, spec: TensorSpec) -> tuple[str, ...]:
    """
    Return the macros that specialise the kernel.

    Parameters
    ----------
    format : ImageFormat
        Gives the encoding.
    spec : TensorSpec
        Gives output channels, layout and type.

    Returns
    -------
    tuple of str
        ``-D`` options; equal tuples mean the same compiled kernel.

    """
    encoding = ENCODINGS[format.encoding]
    fitted = AffineMap.fit(spec, format.width, format.height)
    support_x, support_y = supports(spec, fitted)
    columns = spec.shape(format.width, format.height)[3 if spec.layout is Layout.NCHW else 2]
    planes = 2 if encoding.kind in (PixelKind.YUV420, PixelKind.BAYER) else 1
    first, second, third = encoding.order
    colour = encoding.kind not in (PixelKind.GREY, PixelKind.DEPTH)
    macros = {
        'KIND': encoding.kind.value,
        'CHANNELS': encoding.channels,
        'ITEMSIZE': encoding.itemsize,
        'FIRST': first,
        'SECOND': second,
        'THIRD': third,
        'OUTPUTS': spec.channel_count,
        'LUMA': int(spec.channels == 'mono' and colour),
        'SWAP': int(spec.channels == 'bgr' and colour),
        'NHWC': int(spec.layout is Layout.NHWC),
        'HALF': int(spec.dtype == torch.float16),
        'ROWS': transform_kernel.rows_at_once(encoding.kind, 2 * support_y),
        'TAPS': transform_kernel.taps(2 * support_x, format.width / fitted.inner_wh[0], columns),
        'WORDS': transform_kernel.WORDS[planes],
        'PIXELS': transform_kernel.PIXELS,
        'UNROLL': transform_kernel.UNROLL,
        'SPAN': transform_kernel.SPAN,
        'THREADS': transform_kernel.grid_and_block(columns, 1)[1][0],
        'BLOCKS': transform_kernel.BLOCKS,
    }
    return tuple(f'-D{name}={value}' for name, value in macros.items())


def supports(spec: TensorSpec, fitted: AffineMap) -> tuple[float, float]:
    """
    Return half the width of the filter's triangle.

    Parameters
    ----------
    spec : TensorSpec
        The tensor.
    fitted : AffineMap
        Where the picture lies in the tensor.

    Returns
    -------
    tuple of float
        Along x and y, in pixels of the picture; 1 where nothing is averaged.

    """
    if not averages(spec, fitted):
        return 1.0, 1.0
    (width, height), (inner_w, inner_h) = fitted.source_wh, fitted.inner_wh
    return max(width / inner_w, 1.0), max(height / inner_h, 1.0)


def kernel_parameters(
    format: ImageFormat, spec: TensorSpec, fitted: AffineMap, columns: int, rows: int
) -> npt.NDArray[np.void]:
    """
    Return the parameter block of the kernel.

    Parameters
    ----------
    format : ImageFormat
        The picture.
    spec : TensorSpec
        The tensor.
    fitted : AffineMap
        Where the picture lies in the tensor.
    columns : int
        Columns of the tensor, padding included.
    rows : int
        Rows of the tensor, padding included.

    Returns
    -------
    numpy.ndarray
        Shape (1,), dtype :data:`~gpu_runtime.transforms.transform_kernel.PARAMETERS`.

    """
    block = np.zeros(1, transform_kernel.PARAMETERS)
    width, height = fitted.inner_wh
    block['step'], block['nbytes'], block['pad'] = format.step, format.nbytes, spec.pad
    block['unit'] = ENCODINGS[format.encoding].unit
    block['source_w'], block['source_h'] = format.width, format.height
    block['columns'], block['rows'] = columns, rows
    block['left'], block['top'] = int(fitted.offset_x), int(fitted.offset_y)
    block['inner_w'], block['inner_h'] = width, height
    ratios = format.width / width, format.height / height
    block['ratio_x'], block['ratio_y'] = ratios
    block['support_x'], block['support_y'] = supports(spec, fitted)
    block['inverse_x'], block['inverse_y'] = 1 / block['support_x'], 1 / block['support_y']
    for output, (mean, std) in enumerate(zip(spec.mean, spec.std, strict=True)):
        block['gain'][0, output] = spec.scale / std
        block['bias'][0, output] = -mean / std
    return block
