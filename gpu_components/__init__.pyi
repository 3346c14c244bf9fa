# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""ROS 2 components, their container and executor; everything on the device is gpu_runtime's."""

from .component import Component as Component
from .component_parameters import ComponentParameters as ComponentParameters
from .output import Output as Output
from .output import Result as Result
from .output import Results as Results
from .parameters import parameter as parameter
from .parameters import StringList as StringList
from .sources.source import Source as Source
from .sources.source_parameters import SourceParameters as SourceParameters
