# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The parameter files, the pages of the documentation and the classes say the same."""

from __future__ import annotations

import importlib.util
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from gpu_components.container_parameters import ContainerParameters
from gpu_components.load_request import node_options
from gpu_components.parameters import from_values
from gpu_components.parameters import infos
from gpu_components.pipeline_file import read_pipeline
from gpu_components.plugins import load_plugin

PROJECT = Path(__file__).resolve().parents[2]
REMEDY = 'run .venv/bin/python docs/generate.py'


@pytest.fixture(scope='module')
def generate() -> ModuleType:
    """Return the script that writes both files."""
    spec = importlib.util.spec_from_file_location('generate', PROJECT / 'docs' / 'generate.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def sections() -> dict[str, dict[str, Any]]:
    """Return the parameters of ``default.yaml`` by node name."""
    content = yaml.safe_load((PROJECT / 'params' / 'default.yaml').read_text('utf-8'))
    return {
        key.removeprefix('/**/'): section['ros__parameters'] for key, section in content.items()
    }


def test_components_page_is_up_to_date(generate: ModuleType) -> None:
    """Its tables are what the classes declare, for every installed component."""
    page = generate.COMPONENTS.read_text('utf-8')
    assert page == generate.components_page(page), REMEDY


def test_a_page_without_a_component_is_refused(generate: ModuleType) -> None:
    """A new component cannot be left out of the page unnoticed."""
    page = generate.COMPONENTS.read_text('utf-8')
    with pytest.raises(ValueError, match='ObjectDetector'):
        generate.components_page(page.replace('begin gpu_perception::ObjectDetector', 'begin x'))


def test_parameter_file_is_up_to_date(generate: ModuleType) -> None:
    """It is what the classes declare, comments included."""
    assert generate.DEFAULTS.read_text('utf-8') == generate.default_parameters(), REMEDY


def test_parameter_file_has_a_section_per_node(
    generate: ModuleType, sections: dict[str, dict[str, Any]]
) -> None:
    """The container, and every component by its default name."""
    nodes = {cls.default_name() for cls in generate.component_classes().values()}
    assert set(sections) == nodes | {'gpu_container'}


def test_parameter_file_names_every_parameter_and_no_other(
    generate: ModuleType, sections: dict[str, dict[str, Any]]
) -> None:
    """Read without the script: names and values are those of the classes."""
    classes = {c.default_name(): c.parameters for c in generate.component_classes().values()}
    for node, parameters in {**classes, 'gpu_container': ContainerParameters}.items():
        defaults = {name: getattr(parameters(), name) for name in infos(parameters)}
        # An empty list has no type in a parameter file; it stands there as a comment.
        assert set(sections[node]) == {name for name, value in defaults.items() if value != ()}
        assert from_values(parameters, {**defaults, **sections[node]}) == parameters()


def test_every_parameter_has_a_comment(generate: ModuleType) -> None:
    """No line of a parameter without a sentence above it."""
    lines = generate.DEFAULTS.read_text('utf-8').splitlines()
    bare = [
        line
        for above, line in pairwise(lines)
        if line.startswith('    ') and not line.lstrip().startswith('#')
        if not above.startswith('    # ')
    ]
    assert not bare


def test_demo_pipeline_is_legal() -> None:
    """Every component of the demo's pipeline exists and knows every parameter it is given."""
    requests = read_pipeline(str(PROJECT / 'params' / 'demo.yaml'))
    assert [request.node_name for request in requests] == ['photo_camera', 'object_detector']
    for request in requests:
        cls = load_plugin(request.package_name, request.plugin_name)
        given = {p.name: p.value for p in node_options(request)['parameter_overrides']}
        assert set(given) <= set(infos(cls.parameters))
        values = {name: getattr(cls.parameters(), name) for name in infos(cls.parameters)}
        from_values(cls.parameters, {**values, **given})
