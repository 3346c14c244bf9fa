# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Floating types as kernels of several types read and write them; no CUDA headers are needed."""

from __future__ import annotations

import torch

FLOAT_TYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}
"""Value of the macro ``TYPE`` for each type."""

FLOAT_SOURCE = r"""
#if TYPE == 0
typedef float Value;
__device__ inline float widened(Value value) { return value; }
__device__ inline Value narrowed(float value) { return value; }
#elif TYPE == 1
typedef unsigned short Value;
__device__ inline float widened(Value bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}
__device__ inline Value narrowed(float value) {
    Value bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}
#else
typedef unsigned short Value;
__device__ inline float widened(Value bits) { return __uint_as_float((unsigned)bits << 16); }
__device__ inline Value narrowed(float value) {
    if (value != value) return 0x7FC0;
    const unsigned bits = __float_as_uint(value);
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
}
#endif
"""
"""CUDA source of ``Value``, the type that ``TYPE`` names, and of ``widened`` and ``narrowed``."""
