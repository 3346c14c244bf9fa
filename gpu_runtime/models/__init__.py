# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Networks: where they come from, how they are loaded, and what runs them."""

from __future__ import annotations

from gpu_runtime.models.cuda_graph import CudaGraphModel
from gpu_runtime.models.eager import EagerModel
from gpu_runtime.models.engine_model import EngineModel
from gpu_runtime.models.factory import BACKENDS
from gpu_runtime.models.factory import load_model
from gpu_runtime.models.forward import Forward
from gpu_runtime.models.model import Model
from gpu_runtime.models.model_source import ModelSource
from gpu_runtime.models.onnx_signature import OnnxSignature
from gpu_runtime.models.precision import PRECISIONS
from gpu_runtime.models.published_model import PUBLISHED
from gpu_runtime.models.published_model import PublishedModel
from gpu_runtime.models.source_kind import SourceKind

__all__ = [
    'BACKENDS',
    'PRECISIONS',
    'PUBLISHED',
    'CudaGraphModel',
    'EagerModel',
    'EngineModel',
    'Forward',
    'Model',
    'ModelSource',
    'OnnxSignature',
    'PublishedModel',
    'SourceKind',
    'load_model',
]
