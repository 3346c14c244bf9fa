# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The promises the project makes about its own shape."""

from __future__ import annotations

import ast
from collections.abc import Iterator
import importlib
from importlib.metadata import distribution
from importlib.metadata import EntryPoint
from importlib.metadata import PackageNotFoundError
import inspect
from pathlib import Path
import re
import statistics
import subprocess
import sys
import types

from ament_index_python import get_resource
import pytest

PROJECT = Path(__file__).resolve().parent.parent
PACKAGES = ('gpu_runtime', 'gpu_components')
ROS = re.compile(
    r'(rclpy|rcl\w*|rmw\w*|rosidl\w*|ros2\w+|ament\w*|launch\w*|rosbag2\w*|tf2\w*|cv_bridge'
    r'|message_filters|image_transport\w*|\w+_msgs|\w+_interfaces|gpu_components)$'
)
# They need a driver or take seconds: whoever needs them imports them inside a function.
LAZY = ('cupy', 'torch_tensorrt', 'tensorrt', 'tensorrt_rtx')
HEADER = (
    '# Copyright 2026 The gpu_perception Authors',
    '# SPDX-License-Identifier: Apache-2.0',
)
LONGEST_MODULE = 400
MEDIAN_MODULE = 120


def sources(package: str) -> list[Path]:
    """Source files of a package."""
    found = sorted((PROJECT / package).rglob('*.py'))
    assert found, f'no module in {PROJECT / package}'
    return found


def module_name(path: Path) -> str:
    """Import name of a source file."""
    parts = path.relative_to(PROJECT).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def modules(*packages: str) -> list[str]:
    """Import names of all modules of some packages."""
    return [module_name(path) for package in packages for path in sources(package)]


def imports(path: Path) -> Iterator[str]:
    """Top-level names of everything a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition('.')[0]


def test_runtime_names_no_ros_import() -> None:
    """Not even inside a function."""
    found = {
        f'{path.relative_to(PROJECT)}: {name}'
        for path in sources('gpu_runtime')
        for name in imports(path)
        if ROS.match(name)
    }
    assert not found


def test_runtime_loads_no_ros_and_no_driver_library() -> None:
    """Importing every module of the runtime loads neither ROS nor what is imported lazily."""
    code = 'import sys, importlib\nfor name in sys.argv[1:]: importlib.import_module(name)\n'
    code += 'print(*sorted({name.partition(".")[0] for name in sys.modules}))'
    done = subprocess.run(
        [sys.executable, '-c', code, *modules('gpu_runtime')],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = done.stdout.split()
    assert 'gpu_runtime' in loaded
    assert [name for name in loaded if ROS.match(name) or name in LAZY] == []


SWIFT = (
    'gpu_components.cli',
    'gpu_components.bench.publisher',
    'gpu_components.bench.monitor',
    'gpu_components.gpu_container',
    'gpu_components.doctor.run',
)


@pytest.mark.parametrize('name', SWIFT)
def test_what_needs_no_torch_does_not_import_it(name: str) -> None:
    """It takes seconds, for seven processes of bench too; and the doctor has to do without."""
    code = f'import sys, {name}\nprint("torch" in sys.modules)'
    command = [sys.executable, '-c', code]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ['False']


@pytest.mark.parametrize('package', PACKAGES)
def test_what_type_checkers_read_is_installed(package: str) -> None:
    """The mark that there are types, and the list of what is exported."""
    setup = (PROJECT / 'setup.py').read_text(encoding='utf-8')
    for name in ('py.typed', '__init__.pyi'):
        assert (PROJECT / package / name).is_file()
        assert repr(name) in setup


def test_components_import_no_driver_library() -> None:
    """Everything on the GPU goes through the runtime."""
    found = {
        f'{path.relative_to(PROJECT)}: {name}'
        for path in sources('gpu_components')
        for name in imports(path)
        if name in LAZY
    }
    assert not found


def test_components_make_no_cuda_call() -> None:
    """No ``torch.cuda``, no waiting for the device, no emptying of its caches."""
    found = []
    for path in sources('gpu_components'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if not isinstance(node, ast.Attribute):
                continue
            text = ast.unparse(node)
            if text == 'torch.cuda' or node.attr in ('synchronize', 'empty_cache'):
                found.append(f'{path.relative_to(PROJECT)}:{node.lineno}: {text}')
    assert not found


@pytest.mark.parametrize('package', PACKAGES)
def test_public_list_is_what_can_be_imported(package: str) -> None:
    """``__all__`` names everything public, and all of it is there."""
    module = importlib.import_module(package)
    listed = module.__all__
    assert len(set(listed)) == len(listed)
    missing = [name for name in listed if not hasattr(module, name)]
    assert not missing
    public = {
        name
        for name, value in vars(module).items()
        if not name.startswith('_')
        and not isinstance(value, types.ModuleType)
        and name != 'annotations'
    }
    assert public <= set(listed)


@pytest.mark.parametrize('name', modules(*PACKAGES))
def test_everything_public_is_documented(name: str) -> None:
    """Modules, classes, functions, and the public methods of classes; an override may inherit."""
    module = importlib.import_module(name)
    if Path(str(module.__file__)).read_text(encoding='utf-8').strip():
        assert module.__doc__
    undocumented = []
    for label, thing in vars(module).items():
        if label.startswith('_') or getattr(thing, '__module__', None) != name:
            continue
        if inspect.isclass(thing):
            undocumented += list(_undocumented(thing))
        elif inspect.isfunction(thing) and not thing.__doc__:
            undocumented.append(label)
    assert not undocumented


def _undocumented(cls: type) -> Iterator[str]:
    """Name a class without docstring, and its public methods and properties without."""
    # A dataclass without a docstring gets its signature for one.
    if not cls.__doc__ or cls.__doc__.startswith(f'{cls.__name__}('):
        yield cls.__name__
    for label, value in vars(cls).items():
        code = inspect.isroutine(value) or isinstance(value, (property, classmethod, staticmethod))
        if code and not label.startswith('_') and not inspect.getdoc(getattr(cls, label)):
            yield f'{cls.__name__}.{label}'


@pytest.mark.parametrize('package', PACKAGES)
def test_modules_stay_small(package: str) -> None:
    """None too long to read, and most of them short."""
    lengths = {
        str(path.relative_to(PROJECT)): len(path.read_text(encoding='utf-8').splitlines())
        for path in sources(package)
        if path.name != '__init__.py'
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE} == {}
    assert statistics.median(lengths.values()) <= MEDIAN_MODULE


def test_every_file_has_the_licence_header() -> None:
    """Two lines, after the line that names the interpreter if there is one."""
    folders = ('gpu_runtime', 'gpu_components', 'launch', 'pip_env', 'test')
    files = [path for folder in folders for path in (PROJECT / folder).rglob('*.py')]
    without = []
    for path in [*files, PROJECT / 'setup.py', PROJECT / 'Makefile', PROJECT / '.ci' / 'run']:
        lines = path.read_text(encoding='utf-8').splitlines()
        begin = 1 if lines and lines[0].startswith('#!') else 0
        if lines and tuple(lines[begin : begin + 2]) != HEADER:
            without.append(str(path.relative_to(PROJECT)))
    assert not without


def _entry_points() -> list[EntryPoint]:
    try:
        return list(distribution('gpu_perception').entry_points)
    except PackageNotFoundError:
        return []


@pytest.mark.parametrize('entry', _entry_points(), ids=lambda entry: entry.name)
def test_entry_point_resolves(entry: EntryPoint) -> None:
    """Executables are functions, plugins classes of the name they are known by."""
    thing = entry.load()
    assert callable(thing)
    if entry.group == 'rclpy_components':
        assert inspect.isclass(thing)
        assert entry.name == f'gpu_perception::{thing.__name__}'


def test_plugins_and_executables_are_installed() -> None:
    """The names that launch files and people use."""
    assert _entry_points(), 'the project is not installed into this environment (make setup)'
    names = {(entry.group, entry.name) for entry in _entry_points()}
    assert ('console_scripts', 'gpu_container') in names
    assert ('console_scripts', 'gpu_perception') in names
    assert ('rclpy_components', 'gpu_perception::ObjectDetector') in names


def test_ros2_component_types_lists_every_plugin() -> None:
    """By the names that load them, each with what implements it."""
    content, _ = get_resource('rclcpp_components', 'gpu_perception')
    plugins = (entry for entry in _entry_points() if entry.group == 'rclpy_components')
    assert content.splitlines() == sorted(f'{entry.name};{entry.value}' for entry in plugins)


def test_the_container_imports_all_of_the_runtime_before_threads_do() -> None:
    """Threads that import a package from two ends get modules that are not complete."""
    script = (
        'import gpu_components.container, gpu_runtime, pkgutil, sys\n'
        'modules = pkgutil.walk_packages(gpu_runtime.__path__, "gpu_runtime.")\n'
        'names = [module.name for module in modules]\n'
        'assert len(names) > 100, names\n'
        'print([name for name in names if name not in sys.modules])\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.splitlines()[-1] == '[]'
