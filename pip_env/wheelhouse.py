# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Collect the wheels a machine without network needs, for ``install_offline.sh`` to install.

Run by ``make wheelhouse``. Downloads exactly what the lock files name, adds the generated message
packages, and can deal everything out into folders of a given size.

"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import tempfile

from build_interfaces import build_wheels
from build_interfaces import BuildFailed
from build_interfaces import clean_environment
from build_interfaces import PACKAGES

HERE = Path(__file__).resolve().parent
LOCKS = ('requirements-bootstrap', 'requirements', 'requirements-dev', 'requirements-demo')
TENSORRT = 'requirements-tensorrt'
# Some 3 GB that a GPU machine has already.
TORCH = re.compile(r'(torch|torchvision|triton|cupy-.*|cuda-.*|nvidia-.*)$')
# What only a developer's machine runs.
NOT_FOR_ROBOTS = re.compile(r'(uv|ruff|mypy|librt|ast-serialize|types-.*)$')
MEGABYTE = 1 << 20


def main() -> int:
    """Collect, deal out, and tell how much there is."""
    arguments = _arguments()
    out = arguments.out
    try:
        python = find_python(arguments.python, arguments.uv)
        if out.exists() and any(out.iterdir()):
            raise BuildFailed(
                f'expected an empty or new folder, got {out}; remove it or name another'
            )
        out.mkdir(parents=True, exist_ok=True)
        skip = [NOT_FOR_ROBOTS, *(re.compile(f'{name}$') for name in arguments.skip)]
        locks = (*LOCKS, TENSORRT) if arguments.with_tensorrt else LOCKS
        skip = skip if arguments.with_torch else [*skip, TORCH]
        download(python, arguments.uv, out, skip, locks)
        built = HERE.parent / 'build' / 'interfaces'
        for wheel in build_wheels(list(PACKAGES), python, built, arguments.uv):
            shutil.copy2(wheel, out)
    except BuildFailed as error:
        print(f'wheelhouse: {error}', file=sys.stderr)
        return 1
    files = sorted(out.iterdir())
    size = sum(path.stat().st_size for path in files)
    print(f'{len(files)} wheels, {size / MEGABYTE:.0f} MiB in {out}')
    if arguments.split_mb:
        print(f'in {deal_out(out, arguments.split_mb * MEGABYTE)} folders {out}/part-*')
    print(f'on the other machine: pip_env/install_offline.sh {out}')
    return 0


def find_python(wanted: str, uv: str) -> str:
    """
    Return the path of an interpreter.

    Parameters
    ----------
    wanted : str
        A version (``3.12``), a command or a path.
    uv : str
        The uv command, which knows the places interpreters are in.

    Raises
    ------
    BuildFailed
        There is none; generating messages compiles against this very version.

    """
    command = [uv, 'python', 'find', '--no-project', '--system', '--no-python-downloads', wanted]
    found = subprocess.run(command, env=clean_environment(), capture_output=True, text=True)
    if found.returncode != 0:
        raise BuildFailed(
            f'expected Python {wanted} on this machine, to compile the message packages for it: '
            f'{found.stderr.strip()}; install it, or give its path (PYTHON=/path/to/python3)'
        )
    return found.stdout.strip()


def download(
    python: str,
    uv: str,
    out: Path,
    skip: list[re.Pattern[str]],
    locks: tuple[str, ...] = LOCKS,
) -> None:
    """
    Download the locked wheels for an interpreter.

    Parameters
    ----------
    python : str
        Path of the interpreter.
    uv : str
        The uv command.
    out : Path
        Existing folder the wheels are put in.
    skip : list[re.Pattern[str]]
        Names of distributions to leave out.
    locks : tuple[str, ...]
        The lock files, without ``.lock``.

    Raises
    ------
    BuildFailed
        The package index is not reachable or has no wheel for this interpreter.

    """
    wanted: dict[str, str] = {}
    for lock in locks:
        for name, entry in read_lock(HERE / f'{lock}.lock').items():
            if not any(pattern.match(name) for pattern in skip):
                wanted[name] = entry
    with tempfile.TemporaryDirectory(prefix='wheelhouse-') as folder:
        env, chosen = Path(folder) / 'env', Path(folder) / 'wanted.lock'
        chosen.write_text(''.join(wanted.values()), encoding='utf-8')
        print(f'downloading up to {len(wanted)} wheels …', file=sys.stderr)
        _run([uv, 'venv', '--quiet', '--python', python, str(env)])
        fresh = str(env / 'bin' / 'python')
        pip = str(HERE / 'requirements-bootstrap.lock')
        _run([uv, 'pip', 'sync', '--quiet', '--python', fresh, pip])
        # `wheel` and not `download`: empy is published as source only.
        fetch = [fresh, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--require-hashes']
        _run([*fetch, '--wheel-dir', str(out), '--requirement', str(chosen)])


def read_lock(path: Path) -> dict[str, str]:
    """
    Split a lock file into its entries.

    Parameters
    ----------
    path : Path
        A file that ``uv pip compile --generate-hashes`` wrote.

    Returns
    -------
    dict[str, str]
        Distribution name to its lines, hashes included.

    """
    entries: dict[str, str] = {}
    name = ''
    for line in path.read_text(encoding='utf-8').splitlines(keepends=True):
        start = re.match(r'([A-Za-z0-9._-]+)(\[[^]]*\])?==', line)
        if start:
            name = start.group(1).lower()
            entries[name] = ''
        if name and not line.lstrip().startswith('#'):
            entries[name] += line
    return entries


def deal_out(folder: Path, limit: int) -> int:
    """
    Move files into ``part-00``, ``part-01``, … of at most ``limit`` bytes each.

    A larger file is cut into ``NAME.00``, ``NAME.01``, … first.

    Parameters
    ----------
    folder : Path
        Folder with the files.
    limit : int
        Bytes per part.

    Returns
    -------
    int
        How many parts there are.

    """
    for path in [path for path in sorted(folder.iterdir()) if path.stat().st_size > limit]:
        _cut(path, limit)
    room: list[int] = []
    for path in sorted(folder.iterdir(), key=lambda path: -path.stat().st_size):
        size = path.stat().st_size
        index = next((i for i, free in enumerate(room) if free >= size), len(room))
        if index == len(room):
            room.append(limit)
            (folder / f'part-{index:02d}').mkdir()
        room[index] -= size
        path.rename(folder / f'part-{index:02d}' / path.name)
    return len(room)


def _cut(path: Path, limit: int) -> None:
    with path.open('rb') as whole:
        for index, piece in enumerate(iter(lambda: whole.read(limit), b'')):
            path.with_name(f'{path.name}.{index:02d}').write_bytes(piece)
    path.unlink()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Collect wheels for a machine without network.')
    parser.add_argument('--python', required=True, help='version, command or path: 3.12')
    parser.add_argument('--out', type=Path, required=True, help='folder to fill')
    parser.add_argument('--split-mb', type=int, default=0, help='size of a part in MiB')
    parser.add_argument('--with-torch', action='store_true', help='torch, CuPy and CUDA too')
    parser.add_argument('--with-tensorrt', action='store_true', help='the backend tensorrt too')
    parser.add_argument('--skip', nargs='*', default=[], help='names to leave out')
    parser.add_argument('--uv', default=os.fspath(Path(sys.executable).with_name('uv')))
    return parser.parse_args()


def _run(command: list[str]) -> None:
    code = subprocess.call(command, env=clean_environment())
    if code != 0:
        raise BuildFailed(f'{" ".join(command[:6])} … ended with {code}; see above')


if __name__ == '__main__':
    sys.exit(main())
