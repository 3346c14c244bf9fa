# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A component's node that is closed is gone: from the ROS graph, and from memory."""

from __future__ import annotations

import gc
from types import SimpleNamespace
import weakref

from probe import Host
from probe import Probe
import pytest
from spinning import NodeFactory
from spinning import wait_until

from gpu_components.object_detector import ObjectDetector
from gpu_components.object_detector_parameters import ObjectDetectorParameters
from gpu_components.semantic_segmenter import SemanticSegmenter
from gpu_components.semantic_segmenter import SemanticSegmenterParameters
from gpu_runtime.detection import LabelMap
from gpu_runtime.errors import ParameterError


def test_a_closed_node_leaves_the_graph(host: Host, make_node: NodeFactory) -> None:
    """Though somebody still holds it, and nothing collects garbage."""
    viewer = make_node('viewer')
    gc.disable()
    try:
        node = host.load(Probe)
        assert wait_until(lambda: 'probe' in viewer.get_node_names())
        node.close()
        assert wait_until(lambda: 'probe' not in viewer.get_node_names())
    finally:
        gc.enable()
    assert node.state == 'finalized'


def test_a_refused_node_leaves_the_graph(host: Host, make_node: NodeFactory) -> None:
    viewer = make_node('viewer')
    gc.disable()
    try:
        with pytest.raises(ParameterError) as refusal:
            host.load(Probe, model='refused')
        assert wait_until(lambda: 'probe' not in viewer.get_node_names())
        del refusal
    finally:
        gc.enable()


def test_a_detector_is_forgotten(host: Host) -> None:
    """What it looked up for its frames does not hold it."""
    detector = ObjectDetector(host.gpu, None, lambda topic: True)
    detector.params = ObjectDetectorParameters(class_filter=('dog',))
    detector.prepared = SimpleNamespace(labels=LabelMap(['cat', 'dog']))  # type: ignore[assignment]
    assert detector._limits().classes == {1}
    gone = weakref.ref(detector)
    del detector
    gc.collect()
    assert gone() is None


def test_each_segmenter_keeps_its_own_colors(host: Host) -> None:
    """A graph that was captured reads them where they are."""
    segmenters = []
    for palette in ('pascal', ('#010203',)):
        made = SemanticSegmenter(host.gpu, None, lambda topic: True)
        made.params = SemanticSegmenterParameters(palette=palette)
        made.prepared = SimpleNamespace(labels=LabelMap(['cat', 'dog']))  # type: ignore[assignment]
        segmenters.append(made)
    first, second = (made._colors() for made in segmenters)
    assert (first[0].tolist(), second[0].tolist()) == ([0, 0, 0], [1, 2, 3])
    assert segmenters[0]._colors() is first
    gone = weakref.ref(segmenters.pop())
    del made
    gc.collect()
    assert gone() is None
