# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Plugins are found by name, refused by name, and never imported because somebody asks."""

from __future__ import annotations

from pathlib import Path
import sys

import pytest

from gpu_components.plugins import load_plugin
from gpu_components.plugins import plugin_names
from gpu_components.sources.photo_camera import PhotoCamera
from gpu_runtime.errors import WiringError

CAMERA = 'gpu_perception::PhotoCamera'


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package with four plugins, of which one is good."""
    (tmp_path / 'foreign.py').write_text(
        'from gpu_components.component import Component\n'
        'class Good(Component): pass\n'
        'class NoComponent: pass\n'
    )
    (tmp_path / 'foreign_broken.py').write_text('raise RuntimeError("no such sensor")\n')
    info = tmp_path / 'foreign-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n')
    (info / 'entry_points.txt').write_text(
        '[rclpy_components]\n'
        'foreign::Good = foreign:Good\n'
        'foreign::NoComponent = foreign:NoComponent\n'
        'foreign::Missing = foreign:Missing\n'
        'foreign::Broken = foreign_broken:Broken\n'
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_installed_plugins_are_listed() -> None:
    """Sorted, the package's own among them."""
    names = plugin_names()
    assert CAMERA in names
    assert names == sorted(names)


@pytest.mark.parametrize('package', ['gpu_perception', ''])
def test_a_plugin_is_its_class(package: str) -> None:
    """The package may be left out."""
    assert load_plugin(package, CAMERA) is PhotoCamera


def test_other_packages_add_theirs(foreign: None) -> None:
    """By entry point, without a change here."""
    cls = load_plugin('foreign', 'foreign::Good')
    assert (cls.__module__, cls.__name__) == ('foreign', 'Good')
    assert {'foreign::Good', CAMERA} <= set(plugin_names())


@pytest.mark.parametrize(
    ('package', 'plugin', 'told'),
    [
        ('other', CAMERA, "belongs to package 'gpu_perception', not 'other'"),
        ('gpu_perception', 'gpu_perception::PhotoCamra', f'did you mean {CAMERA!r}'),
        ('gpu_perception', 'PhotoCamera', 'is not installed'),
        ('', '', 'installed are'),
        ('foreign', 'foreign::NoComponent', 'expected a subclass of Component'),
        ('foreign', 'foreign::Missing', 'could not be imported.*Missing'),
        ('foreign', 'foreign::Broken', 'could not be imported.*no such sensor'),
    ],
)
def test_refusals_say_why(foreign: None, package: str, plugin: str, told: str) -> None:
    """And what there is instead."""
    with pytest.raises(WiringError, match=told):
        load_plugin(package, plugin)


def test_a_module_is_not_imported_by_name(foreign: None) -> None:
    """Unless the operator allows it: loading code by name is code execution."""
    sys.modules.pop('foreign', None)
    with pytest.raises(WiringError, match='allow_module_plugins:=true'):
        load_plugin('', 'foreign:Good')
    assert 'foreign' not in sys.modules


def test_the_operator_may_allow_modules(foreign: None) -> None:
    """Which still have to hold a component of that name."""
    cls = load_plugin('', 'foreign:Good', allow_module_plugins=True)
    assert cls.__name__ == 'Good'
    for plugin in ('foreign:NoComponent', 'foreign:Missing', 'no.such.module:X', 'os:system'):
        with pytest.raises(WiringError, match=plugin.partition(':')[2]):
            load_plugin('', plugin, allow_module_plugins=True)
