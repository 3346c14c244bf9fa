# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Install a wheelhouse and this project beside an existing torch, without network.

Run by ``install_offline.sh`` with the Python that has torch. What it has of torch, CuPy, CUDA and
NumPy stays and is seen from the new environment; nothing is ever written to that Python.

"""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile

PROJECT = Path(__file__).resolve().parent.parent
# A second copy of these beside the machine's own would be loaded with libraries of the first.
KEPT = re.compile(r'(torch|torchvision|triton|numpy|cupy-.*|cuda-.*|nvidia-.*)$')


class InstallFailed(RuntimeError):
    """The wheels do not fit this machine, or pip refused them."""


def main() -> int:
    """Install what the folders on the command line hold."""
    if len(sys.argv) < 2 or sys.argv[1].startswith('-'):
        print('usage: pip_env/install_offline.sh DIR…', file=sys.stderr)
        return 2
    env = Path(os.environ.get('VENV', PROJECT / '.venv-offline')).absolute()
    try:
        with tempfile.TemporaryDirectory(prefix='wheels-') as folder:
            wheels = gather([Path(name) for name in sys.argv[1:]], Path(folder))
            check_version(wheels)
            make_environment(env)
            install(wheels, env)
    except InstallFailed as error:
        print(f'install_offline: {error}', file=sys.stderr)
        return 1
    print(f'installed into {env}; to use it:')
    print(f'  source {env}/bin/activate && export AMENT_PREFIX_PATH={env}')
    return 0


def gather(folders: list[Path], room: Path) -> list[Path]:
    """
    Return every wheel below some folders, those that were cut joined again.

    Parameters
    ----------
    folders : list[Path]
        Where wheels and pieces of wheels (``NAME.whl.00``) lie, at any depth.
    room : Path
        Folder for the joined ones.

    Returns
    -------
    list[Path]
        The wheels, sorted by name.

    Raises
    ------
    InstallFailed
        A folder is missing, nothing is there, or a wheel lacks a piece.

    """
    missing = [str(folder) for folder in folders if not folder.is_dir()]
    if missing:
        raise InstallFailed(f'expected folders with wheels, {", ".join(missing)} is none')
    files = [path for folder in folders for path in folder.rglob('*') if path.is_file()]
    wheels = {path.name: path for path in files if path.suffix == '.whl'}
    pieces: dict[str, dict[int, Path]] = {}
    for path in files:
        match = re.fullmatch(r'(.+\.whl)\.(\d\d)', path.name)
        if match:
            pieces.setdefault(match[1], {})[int(match[2])] = path
    for name, parts in pieces.items():
        wheels[name] = room / name
        with wheels[name].open('wb') as whole:
            for _, part in sorted(parts.items()):
                with part.open('rb') as piece:
                    shutil.copyfileobj(piece, whole)
        if not zipfile.is_zipfile(wheels[name]) or sorted(parts) != list(range(len(parts))):
            raise InstallFailed(
                f'{name}: its pieces {sorted(parts)} are not the whole; give all parts at once'
            )
    if not wheels:
        raise InstallFailed(f'expected wheels, found none in {", ".join(map(str, folders))}')
    return [path for _, path in sorted(wheels.items())]


def check_version(wheels: list[Path]) -> None:
    """
    Refuse wheels for another Python.

    Parameters
    ----------
    wheels : list[Path]
        The wheels to install.

    Raises
    ------
    InstallFailed
        One is tied to another version of Python.

    """
    here = f'cp{sys.version_info.major}{sys.version_info.minor}'
    for wheel in wheels:
        python, abi = wheel.stem.split('-')[-3:-1]
        if abi.startswith('cp') and here not in python.split('.'):
            raise InstallFailed(
                f'{wheel.name} is for {python}, {sys.executable} is {here}; run with the Python '
                f'the wheels are for (PYTHON=…), or collect them with make wheelhouse PYTHON='
                f'{sys.version_info.major}.{sys.version_info.minor}'
            )


def make_environment(env: Path) -> None:
    """
    Make an environment that sees the packages of the running Python after its own.

    The ROS wheels look for libraries below the environment's prefix, so a plain folder of modules
    (``pip --target``) would not do. An environment of an environment does not see the packages of
    the latter, whatever ``--system-site-packages`` says; a path file does it.

    Parameters
    ----------
    env : Path
        The folder; an existing environment is kept.

    """
    if not (env / 'bin' / 'python').exists():
        venv.create(env, with_pip=False, symlinks=True)
    seen = [path for path in sys.path if Path(path).name in ('site-packages', 'dist-packages')]
    lines = ['import site', *(f'site.addsitedir({path!r})' for path in seen)]
    site = env / 'lib' / f'python3.{sys.version_info.minor}' / 'site-packages'
    (site / 'zz_packages_of_the_machine.pth').write_text('; '.join(lines) + '\n')


def install(wheels: list[Path], env: Path) -> None:
    """
    Install wheels, then the project, into an environment.

    Parameters
    ----------
    wheels : list[Path]
        The wheels; what the running Python has of torch, CuPy, CUDA and NumPy is left out.
    env : Path
        The environment.

    Raises
    ------
    InstallFailed
        There is no pip, or pip fails; its own words are above.

    """
    there = {_plain(found.metadata['Name']): found.version for found in metadata.distributions()}
    names = {wheel: _plain(wheel.name.split('-')[0]) for wheel in wheels}
    kept = {wheel for wheel, name in names.items() if KEPT.match(name) and name in there}
    for wheel in sorted(kept):
        print(f'kept: {names[wheel]} {there[names[wheel]]} of {sys.prefix}')
    pip = _pip(wheels, env)
    options = ['install', '--quiet', '--no-index', '--no-deps', '--no-compile']
    _run([*pip, *options, *(str(wheel) for wheel in wheels if wheel not in kept)])
    if any(env.glob('lib/python3.*/site-packages/setuptools')) or 'setuptools' in there:
        _run([*pip, *options, '--no-build-isolation', '--editable', str(PROJECT)])
    else:
        print('the project itself is installed with the part that has setuptools')


def _plain(name: str) -> str:
    """Spelling of a distribution's name that all spellings share."""
    return re.sub(r'[-_.]+', '-', name).lower()


def _pip(wheels: list[Path], env: Path) -> list[str]:
    """Command of a pip for the environment: its own, that of the wheels, that of the machine."""
    python = str(env / 'bin' / 'python')
    if any(env.glob('lib/python3.*/site-packages/pip')):
        return [python, '-m', 'pip']
    for wheel in wheels:
        if wheel.name.startswith('pip-'):
            return [python, f'{wheel}/pip']
    if find_spec('pip'):
        return [sys.executable, '-m', 'pip', '--python', python]
    raise InstallFailed('expected pip, there is none; begin with the part that has pip-*.whl')


def _run(command: list[str]) -> None:
    # An environment made with ROS wheels must find its own libraries, not those of its parent.
    own = {key: value for key, value in os.environ.items() if not key.startswith('_ROS_WHEELS')}
    code = subprocess.call(command, env=own)
    if code != 0:
        raise InstallFailed(f'{" ".join(command[:4])} … ended with {code}; see above')


if __name__ == '__main__':
    sys.exit(main())
