# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The parameter files for special uses agree with the parameter classes, line by line."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpu_components.container_parameters import ContainerParameters
from gpu_components.depth_estimator import DepthEstimator
from gpu_components.image_classifier import ImageClassifier
from gpu_components.image_processor import ImageProcessor
from gpu_components.load_request import node_options
from gpu_components.memory_manager import MemoryManager
from gpu_components.object_detector import ObjectDetector
from gpu_components.parameters import from_values
from gpu_components.parameters import infos
from gpu_components.parameters import Parameters
from gpu_components.pipeline_file import read_pipeline
from gpu_components.semantic_segmenter import SemanticSegmenter

FOLDER = Path(__file__).resolve().parents[2] / 'params'
STAGES = (
    ImageProcessor,
    ObjectDetector,
    ImageClassifier,
    DepthEstimator,
    SemanticSegmenter,
    MemoryManager,
)
NODES: dict[str, type[Parameters]] = {
    'gpu_container': ContainerParameters,
    **{cls.default_name(): cls.parameters for cls in STAGES},
}
NODE_FILES = ('low_latency.yaml', 'small_gpu.yaml')
CAMERA = {'input_image': '/camera/image_raw', 'camera_info': '/camera/camera_info'}


def given(name: str) -> dict[str, dict[str, Any]]:
    """Return the parameters of a file by node name."""
    path = FOLDER / name
    if name in NODE_FILES:
        sections = yaml.safe_load(path.read_text('utf-8')).items()
        return {key.removeprefix('/**/'): value['ros__parameters'] for key, value in sections}
    return {
        request.node_name: {p.name: p.value for p in node_options(request)['parameter_overrides']}
        for request in read_pipeline(str(path))
    }


@pytest.mark.parametrize('name', [*NODE_FILES, 'isaac.yaml'])
def test_every_value_is_legal(name: str) -> None:
    """Nodes and parameters exist, and types and ranges are kept."""
    for node, values in given(name).items():
        cls = NODES[node]
        assert set(values) <= set(infos(cls)), node
        defaults = {key: getattr(cls(), key) for key in infos(cls)}
        from_values(cls, {**defaults, **values})


@pytest.mark.parametrize('name', [*NODE_FILES, 'isaac.yaml'])
def test_every_line_has_its_unit_and_range(name: str) -> None:
    """The comment above a parameter says what the class declares."""
    lines = [line.strip() for line in (FOLDER / name).read_text('utf-8').splitlines()]
    for node, values in given(name).items():
        for key in values:
            info = infos(NODES[node])[key]
            comments = [a for a, below in pairwise(lines) if below.startswith(f'{key}: ')]
            assert comments
            for comment in comments:
                assert comment.startswith('# '), (node, key)
                assert 'Legal: ' in comment, (node, key)
                assert info.constraint() in comment, (node, key)
                assert info.unit in comment, (node, key)


def test_files_for_launch_name_stages_only() -> None:
    """Every stage but those whose defaults are right; the container too."""
    assert set(given('low_latency.yaml')) == set(NODES)
    assert set(given('small_gpu.yaml')) == set(NODES) - {'image_processor'}


def test_limits_name_nodes_and_fit_into_the_process() -> None:
    """A limit for a node that no launch file loads would be of no use."""
    manager = given('small_gpu.yaml')['memory_manager']
    limits = dict(entry.split('=') for entry in manager['limits_mib'])
    assert set(limits) < set(NODES)
    assert all(int(limit) <= manager['process_limit_mib'] for limit in limits.values())


def test_isaac_reads_the_camera_once_and_the_rest_from_the_bus() -> None:
    """Plugins are classes of this package; only the processor subscribes to the camera."""
    requests = read_pipeline(str(FOLDER / 'isaac.yaml'))
    names = {f'gpu_perception::{cls.__name__}': cls.default_name() for cls in STAGES}
    assert all(names[r.plugin_name] == r.node_name for r in requests)
    remaps = {r.node_name: dict(rule.split(':=') for rule in r.remap_rules) for r in requests}
    assert remaps.pop('image_processor') == CAMERA
    assert all(set(remap.values()) == {'processed_image'} for remap in remaps.values())
