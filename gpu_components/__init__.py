# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""ROS 2 components, their container and executor; everything on the device is gpu_runtime's."""

from __future__ import annotations

from gpu_components.component import Component
from gpu_components.component_parameters import ComponentParameters
from gpu_components.output import Output
from gpu_components.output import Result
from gpu_components.output import Results
from gpu_components.parameters import parameter
from gpu_components.parameters import StringList
from gpu_components.sources.source import Source
from gpu_components.sources.source_parameters import SourceParameters

__all__ = [
    'Component',
    'ComponentParameters',
    'Output',
    'Result',
    'Results',
    'Source',
    'SourceParameters',
    'StringList',
    'parameter',
]
