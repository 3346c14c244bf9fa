# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The inputs and outputs of an ONNX file, read without its weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import mmap
from pathlib import Path

from gpu_runtime.errors import ModelError

# Field numbers of onnx.proto3: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_MODEL_IR_VERSION = 1
_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_GRAPH_INPUT = 11
_GRAPH_OUTPUT = 12
_TENSOR_NAME = 8
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_Span = tuple[int, int]


@dataclass(frozen=True)
class OnnxSignature:
    """
    Names and shapes at the two ends of an ONNX graph.

    Parameters
    ----------
    inputs : dict of str to tuple of int
        Shape per input, in order; 0 stands for a dimension that is not fixed.
    outputs : dict of str to tuple of int
        Likewise per output.

    """

    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]

    @classmethod
    def read(cls, path: Path) -> OnnxSignature:
        """
        Read the signature, skipping over the weights.

        Parameters
        ----------
        path : Path
            The file; reads a few pages of it, so it is quick whatever its size.

        Returns
        -------
        OnnxSignature
            Initialisers that old exporters list among the inputs are left out.

        Raises
        ------
        ModelError
            If the file is not an ONNX model.

        """
        try:
            with (
                path.open('rb') as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
            ):
                return cls._parse(data)
        except Exception as error:  # protobuf's DecodeError is no ValueError in every release
            raise ModelError(
                f'{path} is not a readable ONNX model ({error}); expected an ONNX protobuf '
                'file: export or download it again'
            ) from error

    @classmethod
    def _parse(cls, data: mmap.mmap) -> OnnxSignature:
        model = list(_fields(data, (0, len(data))))
        graphs = [span for number, span in model if number == _MODEL_GRAPH]
        if len(graphs) != 1 or not any(number == _MODEL_IR_VERSION for number, _ in model):
            raise ValueError('it has no graph or no IR version')
        inputs: dict[str, tuple[int, ...]] = {}
        outputs: dict[str, tuple[int, ...]] = {}
        weights: set[str] = set()
        for number, span in _fields(data, graphs[0]):
            if number == _GRAPH_INPUT:
                inputs.update(_value(data, span))
            elif number == _GRAPH_OUTPUT:
                outputs.update(_value(data, span))
            elif number == _GRAPH_INITIALIZER:
                weights.update(
                    data[a:b].decode() for n, (a, b) in _fields(data, span) if n == _TENSOR_NAME
                )
        kept = {name: shape for name, shape in inputs.items() if name not in weights}
        if not kept or not outputs:
            raise ValueError('its graph has no inputs or no outputs')
        return cls(kept, outputs)


def _value(data: mmap.mmap, span: _Span) -> dict[str, tuple[int, ...]]:
    """Parse one ValueInfoProto."""
    from onnx import ValueInfoProto

    value = ValueInfoProto.FromString(data[span[0] : span[1]])
    return {value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)}


def _fields(data: mmap.mmap, span: _Span) -> Iterator[tuple[int, _Span]]:
    """Yield number and payload span of each field of a protobuf message."""
    position, end = span
    while position < end:
        key, position = _varint(data, position, end)
        start = position
        wire = key & 7
        if wire == _BYTES:
            length, start = _varint(data, position, end)
            position = start + length
        elif wire == _VARINT:
            _, position = _varint(data, position, end)
        elif wire in (_FIXED32, _FIXED64):
            position += 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f'unknown wire type {wire} at byte {start}')
        if position > end:
            raise ValueError(f'a field at byte {start} runs past the end: the file is truncated')
        yield key >> 3, (start, position)


def _varint(data: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    """Return a base-128 number and the position behind it."""
    value = shift = 0
    while position < end and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError(f'a number at byte {position} does not end')
