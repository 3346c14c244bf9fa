# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""One tree of errors; each is also the standard exception a caller would expect."""

from __future__ import annotations


class GpuPerceptionError(Exception):
    """Root of every error that this package raises on purpose."""


class WiringError(GpuPerceptionError, ValueError):
    """Two ends of a connection do not fit, or a name is already taken."""


class SpecMismatchError(GpuPerceptionError, ValueError):
    """A tensor or an image is not what its specification says."""


class ParameterError(GpuPerceptionError, ValueError):
    """A parameter has a value outside its declared type or range."""


class ModelError(GpuPerceptionError, ValueError):
    """A model source is missing, unreadable, unsafe or unsuited to its preset."""


class EngineError(GpuPerceptionError, RuntimeError):
    """A compiled network cannot be built, kept or used; the network itself goes on."""


class SourceError(GpuPerceptionError, ValueError):
    """Pictures are missing, unreadable or of an unexpected kind."""


class LifecycleError(GpuPerceptionError, RuntimeError):
    """Something was asked of an object in a state that does not allow it."""


class OutOfDeviceMemory(GpuPerceptionError, MemoryError):
    """The device, or the budget of one component, has no room left."""


class CudaError(GpuPerceptionError, RuntimeError):
    """
    A CUDA call failed.

    Parameters
    ----------
    message : str
        What was attempted, and the status that CUDA gave.
    sticky : bool
        True when the context is lost, so that every later call fails too.

    """

    def __init__(self, message: str, *, sticky: bool = False) -> None:
        super().__init__(message)
        self.sticky = sticky


STICKY_STATUSES = frozenset((214, 700, 702, 709, 710, *range(714, 720), 721))
"""Statuses of CUDA after which every later call in the process fails.  Source: ``cudaError_t``."""
