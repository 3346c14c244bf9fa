# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The environment from Python packages: message definitions, lock files, wheelhouse, installer."""

from __future__ import annotations

import io
import json
from pathlib import Path
import re
import sys
import zipfile

import build_interfaces
import install_offline
import pack_wheel
import pytest
import wheelhouse

PIP_ENV = Path(__file__).resolve().parent.parent / 'pip_env'
# RIHS01 type hashes of ros-perception/vision_msgs 4.1 and of composition_interfaces in
# ros2/rcl_interfaces 2.x: the same names and types in the same order, or no message gets through.
TABLE = """
vision_msgs/msg/BoundingBox2D
  008eacbb0cf8f26e83795547bed013eec3675485ef386ec056d80eaaf1c1ce2f
vision_msgs/msg/BoundingBox2DArray
  2464e82838009386d371b523211c21c91d74d313fcdd6788223c531d621cf691
vision_msgs/msg/BoundingBox3D
  bbb73a65c163d7f9bb29009c7bde9f7faa576bd2d23299c4511d19230dab4698
vision_msgs/msg/BoundingBox3DArray
  a81938db9576b10c2eecd7c5a5da3eac496efd00221b25ed051dfbc81fb56da6
vision_msgs/msg/Classification
  f74db28d0eaef3afb78f48bf2161cd709a1383a0309d3454383b25be11345143
vision_msgs/msg/Detection2D
  0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea
vision_msgs/msg/Detection2DArray
  214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968
vision_msgs/msg/Detection3D
  ddd703be132ab0b69d33121f1bb034132bfbb3b0ac5f9fb1516005ba1c8a265b
vision_msgs/msg/Detection3DArray
  793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018
vision_msgs/msg/LabelInfo
  3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783
vision_msgs/msg/ObjectHypothesis
  51da43cec11c01957a64d1e05a24acd18aae7745ec30b74348ad5f6d634f7f90
vision_msgs/msg/ObjectHypothesisWithPose
  41c12344c0396c48b81df12467c192d99b2a0eb1463c5c37194e4223251c80bc
vision_msgs/msg/Point2D
  eab0e83f44ab4de92ceaf76dd7d0e7638f2bdd1d16ffbe16c7a136c48e407247
vision_msgs/msg/Pose2D
  b0b5d1d7b4c20dd4fcde3ed1d4b289a919290572007d67a97043814db25d3648
vision_msgs/msg/VisionClass
  1e4a11f0fed50b5623cb8ff26ca0e37952a48a9c074d16f804b44e9164c2037a
vision_msgs/msg/VisionInfo
  95d3116a17484ad91c9a2686e1d54890bbfc3ff6c6a2de137738c4950d45d284
composition_interfaces/srv/ListNodes
  13f30d73a74c844ee4bacf78f3680f08777cad137f10fbd6a648544cc7b59d2a
composition_interfaces/srv/LoadNode
  2e521ef6066fba6d7fc3a3b175d486709f01b4d738d9a59188858546fc8e5acd
composition_interfaces/srv/UnloadNode
  dce562f83adc735ddcfe9dfb927b89293d4dd0fe2b8fc91e772fb83e970a43b0
"""
TYPE_HASHES = dict(re.findall(r'(\S+)\n {2}(\w{64})', TABLE))
MESSAGES = [name for name in TYPE_HASHES if '/msg/' in name]


@pytest.mark.parametrize('name', TYPE_HASHES)
def test_type_hash_is_the_public_one(name: str) -> None:
    """What ROS 2 exchanges on discovery to tell whether two ends mean the same."""
    from ament_index_python.packages import get_package_share_directory

    package, kind, type_name = name.split('/')
    file = Path(get_package_share_directory(package)) / kind / f'{type_name}.json'
    if not file.exists():
        pytest.skip('no type hashes in this ROS 2 installation (they came after Humble)')
    hashes = {
        entry['type_name']: entry['hash_string']
        for entry in json.loads(file.read_text(encoding='utf-8'))['type_hashes']
    }
    assert hashes[name] == f'RIHS01_{TYPE_HASHES[name]}'


def test_type_hashes_are_those_of_the_interface_page(shared_dir: Path) -> None:
    """The table above against the page the definitions were written after."""
    page = (shared_dir / 'interfaces.md').read_text(encoding='utf-8')
    assert dict(re.findall(r'### (\S+)\n`RIHS01_(\w+)`', page)) == TYPE_HASHES
    assert len(TYPE_HASHES) == 19


@pytest.mark.ros
def test_type_hash_arrives_on_discovery() -> None:
    """Every message type of vision_msgs is published under its public hash."""
    import importlib

    import rclpy
    from rclpy.context import Context
    from rclpy.node import Node

    context = Context()
    rclpy.init(context=context)
    try:
        node = Node('type_hashes', context=context, start_parameter_services=False)
        for name in MESSAGES:
            package, _, type_name = name.split('/')
            message = getattr(importlib.import_module(f'{package}.msg'), type_name)
            node.create_publisher(message, f'/type_hashes/{type_name}', 1)
        for name in MESSAGES:
            (info,) = node.get_publishers_info_by_topic(f'/type_hashes/{name.split("/")[2]}')
            assert info.topic_type == name
            assert str(info.topic_type_hash) == f'RIHS01_{TYPE_HASHES[name]}'
    finally:
        context.shutdown()


@pytest.mark.parametrize('lock', sorted(PIP_ENV.glob('*.lock')), ids=lambda path: path.name)
def test_lock_is_exact_and_names_no_index(lock: Path) -> None:
    """One version and at least one hash each; where to download is the machine's business."""
    text = lock.read_text(encoding='utf-8')
    entries = wheelhouse.read_lock(lock)
    assert entries
    assert all('--hash=sha256:' in entry for entry in entries.values())
    assert '://' not in text
    assert not re.search(r'^--', text, re.MULTILINE)


@pytest.mark.parametrize('wanted', sorted(PIP_ENV.glob('*.in')), ids=lambda path: path.name)
def test_lock_has_what_is_asked_for(wanted: Path) -> None:
    """No dependency was added to a list and left out of its lock."""
    locked = wheelhouse.read_lock(wanted.with_suffix('.lock'))
    for line in wanted.read_text(encoding='utf-8').splitlines():
        match = re.match(r'([A-Za-z][\w.-]*)', line)
        if match:
            assert match[1].lower() in locked


def test_generation_names_an_interpreter_that_does_not_run(tmp_path: Path) -> None:
    """The remedy is in the message."""
    with pytest.raises(build_interfaces.BuildFailed, match='no-such-python'):
        build_interfaces.build_wheels(['vision_msgs'], 'no-such-python', tmp_path, 'uv')


def test_generation_reuses_a_wheel_of_the_same_definitions(tmp_path: Path) -> None:
    """Without an installer, a compiler or a network, as nothing has to be built."""
    here = build_interfaces.probe(sys.executable)
    release = build_interfaces.release('vision_msgs')
    wheel = tmp_path / f'{release}-{here.tag}.whl'
    wheel.touch()
    built = build_interfaces.build_wheels(['vision_msgs'], sys.executable, tmp_path, 'no-uv')
    assert built == [wheel]


def test_packages_of_a_ros_installation_are_not_generated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sourced ROS 2 is recognised by the ament prefix path."""
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    assert not build_interfaces.from_ros('vision_msgs')
    (tmp_path / 'share' / 'vision_msgs').mkdir(parents=True)
    (tmp_path / 'share' / 'vision_msgs' / 'package.xml').touch()
    assert build_interfaces.from_ros('vision_msgs')
    assert not build_interfaces.from_ros('composition_interfaces')


def test_wheel_lays_modules_and_libraries_where_the_loader_looks(tmp_path: Path) -> None:
    """Modules at the root, libraries and the index below the prefix, build paths nowhere."""
    prefix = tmp_path / 'install'
    for name in (
        'lib/libthing.so',
        'lib/python3.11/site-packages/thing/__init__.py',
        'lib/python3.11/site-packages/thing/__pycache__/__init__.pyc',
        'share/thing/package.xml',
        'share/thing/cmake/thingConfig.cmake',
        'include/thing/thing.h',
    ):
        (prefix / name).parent.mkdir(parents=True, exist_ok=True)
        (prefix / name).write_text(name)
    wheel = tmp_path / 'thing-1.0-cp311-cp311-linux_x86_64.whl'
    pack_wheel.pack_wheel(prefix, wheel)
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        record = archive.read('thing-1.0.dist-info/RECORD').decode()
    assert names == {
        'thing-1.0.data/data/lib/libthing.so',
        'thing-1.0.data/data/share/thing/package.xml',
        'thing/__init__.py',
        'thing-1.0.dist-info/METADATA',
        'thing-1.0.dist-info/WHEEL',
        'thing-1.0.dist-info/RECORD',
    }
    assert {line.split(',')[0] for line in record.splitlines()} == names


def test_parts_keep_to_their_size_and_join_to_the_same_wheels(tmp_path: Path) -> None:
    """What the wheelhouse cuts, the installer puts together byte by byte."""
    house, room = tmp_path / 'house', tmp_path / 'room'
    house.mkdir()
    room.mkdir()
    wheels = {f'thing{i}-1.0-py3-none-any.whl': bytes([i]) * (i * 100) for i in range(1, 9)}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, 'w') as archive:
        archive.writestr('large/__init__.py', bytes(range(256)) * 10)
    wheels['large-1.0-py3-none-any.whl'] = packed.getvalue()
    for name, content in wheels.items():
        (house / name).write_bytes(content)
    parts = wheelhouse.deal_out(house, 1000)
    sizes = [sum(f.stat().st_size for f in part.iterdir()) for part in house.iterdir()]
    assert len(sizes) == parts
    assert max(sizes) <= 1000
    gathered = install_offline.gather([house], room)
    assert {path.name: path.read_bytes() for path in gathered} == wheels


@pytest.mark.parametrize('piece', ['00', '01'])
def test_installer_refuses_a_wheel_without_all_its_pieces(tmp_path: Path, piece: str) -> None:
    """Half a wheel would fail later, and worse."""
    (tmp_path / f'large-1.0-py3-none-any.whl.{piece}').write_bytes(b'half')
    with pytest.raises(install_offline.InstallFailed, match='give all parts'):
        install_offline.gather([tmp_path], tmp_path)


def test_installer_refuses_wheels_for_another_python() -> None:
    """Told before anything is written."""
    wheel = Path('numpy-2.0-cp36-cp36m-linux_x86_64.whl')
    with pytest.raises(install_offline.InstallFailed, match='is for cp36'):
        install_offline.check_version([wheel])
    install_offline.check_version([Path('onnx-1.0-cp310-abi3-linux_x86_64.whl')])


def test_tensorrt_is_in_no_lock_of_the_environment() -> None:
    """Its import fails without a driver; machines with a GPU ask for it."""
    for lock in wheelhouse.LOCKS:
        assert not [n for n in wheelhouse.read_lock(PIP_ENV / f'{lock}.lock') if 'tensorrt' in n]
    locked = wheelhouse.read_lock(PIP_ENV / f'{wheelhouse.TENSORRT}.lock')
    assert {'torch-tensorrt-rtx', 'tensorrt-rtx', 'tensorrt-rtx-cu13-libs'} <= locked.keys()


def test_tensorrt_fits_the_locked_torch() -> None:
    """Where both locks name a distribution, it is the same one."""
    ours = wheelhouse.read_lock(PIP_ENV / 'requirements.lock')
    other = wheelhouse.read_lock(PIP_ENV / f'{wheelhouse.TENSORRT}.lock')
    common = ours.keys() & other.keys()
    assert 'torch' in common
    versions = [{name: lock[name].split()[0] for name in common} for lock in (ours, other)]
    assert versions[0] == versions[1]
