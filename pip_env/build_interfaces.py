# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Turn the message definitions beside this file into wheels, where ROS 2 does not provide them.

Run by ``make`` with any Python of the standard library; everything the generators need is
installed into a throw-away environment from ``requirements-build.lock`` and deleted afterwards.

"""

from __future__ import annotations

import argparse
import hashlib
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple
import xml.etree.ElementTree as ElementTree

from pack_wheel import pack_wheel

HERE = Path(__file__).resolve().parent
PACKAGES = ('vision_msgs', 'composition_interfaces')
# Set by the ROS wheels: library path of *this* environment, and the mark that it is in place.
INHERITED = (
    '_ROS_WHEELS_BOOTSTRAP_COMPLETE',
    'LD_LIBRARY_PATH',
    'PYTHONPATH',
    'PYTHONHOME',
    'AMENT_PREFIX_PATH',
    'CMAKE_PREFIX_PATH',
)
PROBE = """
import sys, sysconfig
print(sys.executable)
print('%d.%d' % sys.version_info[:2])
print(sysconfig.get_platform().replace('-', '_').replace('.', '_'))
print(sysconfig.get_paths()['include'])
"""


class Interpreter(NamedTuple):
    """What has to be known of a Python to compile modules for it."""

    path: str
    version: str
    platform: str
    include: str

    @property
    def tag(self) -> str:
        """Python, ABI and platform as in the name of a wheel."""
        python = f'cp{self.version.replace(".", "")}'
        return f'{python}-{python}-{self.platform}'


class BuildFailed(RuntimeError):
    """The environment cannot be made or the generated code does not build."""


def main() -> int:
    """Build what is missing and name every wheel on standard output."""
    arguments = _arguments()
    try:
        missing = [name for name in PACKAGES if not from_ros(name)]
        for wheel in build_wheels(missing, arguments.python, arguments.wheel_dir, arguments.uv):
            print(wheel)
    except BuildFailed as error:
        print(f'build_interfaces: {error}', file=sys.stderr)
        return 1
    return 0


def build_wheels(packages: list[str], python: str, wheel_dir: Path, uv: str) -> list[Path]:
    """
    Return one wheel per package for the given interpreter, building those not yet there.

    Parameters
    ----------
    packages : list[str]
        Names of folders below ``interfaces``.
    python : str
        Interpreter the wheels are for: a path or a command.
    wheel_dir : Path
        Where wheels are kept; a wheel's version carries a digest of its definitions.
    uv : str
        The uv command, which makes the throw-away environment.

    Returns
    -------
    list[Path]
        The wheels, in the order of ``packages``.

    Raises
    ------
    BuildFailed
        The interpreter, a compiler or the package index is not there, or the build fails.

    """
    target = probe(python)
    wheels = {name: wheel_dir.resolve() / f'{release(name)}-{target.tag}.whl' for name in packages}
    todo = [name for name, wheel in wheels.items() if not wheel.exists()]
    if todo:
        _need_compiler()
        wheel_dir.mkdir(parents=True, exist_ok=True)
        log = wheel_dir.resolve() / 'build.log'
        with tempfile.TemporaryDirectory(prefix='interfaces-') as folder:
            room = Path(folder)
            _make_environment(room / 'env', target, uv, log)
            _point_at_interpreter(room / 'env', target)
            for name in todo:
                _say(f'generating {name} (some 20 s) …')
                _generate(name, room, log)
                pack_wheel(room / 'install' / name, wheels[name])
    return list(wheels.values())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Generate the message packages as wheels.')
    parser.add_argument('--python', default=sys.executable, help='interpreter the wheels are for')
    parser.add_argument('--wheel-dir', type=Path, default=HERE.parent / 'build' / 'interfaces')
    parser.add_argument('--uv', default='uv', help='the uv command')
    return parser.parse_args()


def from_ros(name: str) -> bool:
    """Tell whether a sourced ROS 2 installation has the package."""
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        found = Path(prefix) / 'share' / name / 'package.xml'
        if prefix and found.exists() and not found.is_relative_to(Path(sys.prefix)):
            _say(f'{name}: provided by {prefix}, nothing to generate')
            return True
    return False


def release(name: str) -> str:
    """Name and version of a package; the local version is a digest of everything it is made of."""
    folder = HERE / 'interfaces' / name
    sources = [path for path in sorted(folder.rglob('*')) if path.is_file()]
    digest = hashlib.sha256((HERE / 'requirements-build.lock').read_bytes())
    for path in sources:
        digest.update(str(path.relative_to(folder)).encode() + b'\0' + path.read_bytes())
    version = ElementTree.parse(folder / 'package.xml').findtext('version')
    return f'{name}-{version}+{digest.hexdigest()[:12]}'


def probe(python: str) -> Interpreter:
    """Ask an interpreter, a path or a command, and refuse one that cannot be compiled for."""
    try:
        done = subprocess.run(
            [python, '-c', PROBE],
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildFailed(
            f'expected a Python interpreter, got {python!r}, which does not run ({error}); '
            'install it or name another one'
        ) from error
    found = Interpreter(*done.stdout.splitlines())
    if found.version not in ('3.11', '3.12'):
        raise BuildFailed(
            f'expected Python 3.11 or 3.12, which ROS 2 packages are published for, got '
            f'{found.version} ({found.path}); name another one (make PYTHON=python3.12)'
        )
    if not (Path(found.include) / 'Python.h').exists():
        raise BuildFailed(
            f'expected {found.include}/Python.h, which is not there; install the headers of this '
            'Python (on Debian and Ubuntu: apt install python3-dev)'
        )
    return found


def _need_compiler() -> None:
    for command in ('cc', 'c++'):
        if shutil.which(command) is None:
            raise BuildFailed(
                f'expected the C and C++ compiler, {command!r} is not on the path; install it '
                '(on Debian and Ubuntu: apt install build-essential)'
            )


def _make_environment(env: Path, target: Interpreter, uv: str, log: Path) -> None:
    _say('installing the message generators into a throw-away environment …')
    _run([uv, 'venv', '--quiet', '--python', target.path, str(env)], log)
    lock = HERE / 'requirements-build.lock'
    _run([uv, 'pip', 'sync', '--quiet', '--python', str(env / 'bin' / 'python'), str(lock)], log)


def _point_at_interpreter(env: Path, target: Interpreter) -> None:
    """
    Replace the header folders of the machine the ROS wheels were built on by this machine's.

    The wheels' CMake files name ``/opt/python/cp3XX-cp3XX/…``. Each file is replaced, never
    written in place: uv links it to its cache, which would be spoilt for every environment.

    Parameters
    ----------
    env : Path
        The throw-away environment.
    target : Interpreter
        The interpreter whose headers are to be used.

    """
    numpy = next(env.glob('lib/python3.*/site-packages/numpy/_core/include'))
    foreign = r'/opt/python/cp\d+-cp\d+/'
    for path in (env / 'share').rglob('*.cmake'):
        text = path.read_text(encoding='utf-8')
        local = re.sub(foreign + r'lib/[^;" ]*/numpy/_core/include', str(numpy), text)
        local = re.sub(foreign + r'include/python3\.\d+', target.include, local)
        if local != text:
            fresh = path.with_suffix('.fresh')
            fresh.write_text(local, encoding='utf-8')
            fresh.replace(path)


def _generate(name: str, room: Path, log: Path) -> None:
    env = room / 'env'
    build, install = room / 'build' / name, room / 'install' / name
    prefix = {'AMENT_PREFIX_PATH': str(env), 'CMAKE_PREFIX_PATH': str(env)}
    path = {'PATH': f'{env / "bin"}{os.pathsep}{os.environ["PATH"]}'}
    cmake = str(env / 'bin' / 'cmake')
    settings = {
        'CMAKE_BUILD_TYPE': 'Release',
        'BUILD_TESTING': 'OFF',
        'CMAKE_INSTALL_PREFIX': str(install),
        'Python3_EXECUTABLE': str(env / 'bin' / 'python'),
        'Python3_FIND_VIRTUALENV': 'ONLY',
    }
    options = [f'-D{key}={value}' for key, value in settings.items()]
    source = str(HERE / 'interfaces' / name)
    for command in (
        [cmake, '-G', 'Ninja', '-S', source, '-B', str(build), *options],
        [cmake, '--build', str(build)],
        [cmake, '--install', str(build)],
    ):
        _run(command, log, **prefix, **path)


def clean_environment(**more: str) -> dict[str, str]:
    """Environment without what belongs to another Python environment or ROS installation."""
    kept = {key: value for key, value in os.environ.items() if key not in INHERITED}
    return {**kept, **more}


def _run(command: list[str], log: Path, **environment: str) -> None:
    """Run a command into the log; on failure raise with its last lines."""
    with log.open('a', encoding='utf-8') as sink:
        sink.write(f'\n$ {" ".join(command)}\n')
        sink.flush()
        try:
            code = subprocess.call(
                command, env=clean_environment(**environment), stdout=sink, stderr=sink
            )
        except OSError as error:
            raise BuildFailed(f'cannot run {command[0]!r}: {error}') from error
    if code != 0:
        tail = '\n'.join(log.read_text(encoding='utf-8', errors='replace').splitlines()[-25:])
        raise BuildFailed(f'{Path(command[0]).name} ended with {code}; the end of {log}:\n{tail}')


def _say(text: str) -> None:
    print(f'[{time.strftime("%H:%M:%S")}] {text}', file=sys.stderr, flush=True)


if __name__ == '__main__':
    sys.exit(main())
