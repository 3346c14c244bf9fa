# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Pack an installed message package as a wheel laid out like the ROS 2 wheels.

Python modules go to the root of the wheel, libraries and the ament index to its data folder,
which installers put below the environment's prefix, where the loader looks for type supports.

"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
import zipfile

# Headers and CMake files name paths of the machine that built them; nothing here reads them.
LEFT_OUT = ('include', '__pycache__', 'cmake', 'environment', 'parent_prefix_path')


def pack_wheel(prefix: Path, wheel: Path) -> None:
    """
    Write the wheel of one package, atomically.

    Parameters
    ----------
    prefix : Path
        Folder the package was installed to: ``lib``, ``share``.
    wheel : Path
        File to write, ``NAME-VERSION-PYTHON-ABI-PLATFORM.whl``.

    """
    name, version, tag = wheel.stem.split('-', 2)
    info = f'{name}-{version}.dist-info'
    members = {
        f'{info}/METADATA': f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n'.encode(),
        f'{info}/WHEEL': (
            f'Wheel-Version: 1.0\nGenerator: gpu_perception\nRoot-Is-Purelib: false\nTag: {tag}\n'
        ).encode(),
    }
    for path in sorted(prefix.rglob('*')):
        place = _place(path.relative_to(prefix), f'{name}-{version}.data/data')
        if place is not None and path.is_file():
            members[place] = path.read_bytes()
    rows = [f'{place},{_digest(content)},{len(content)}' for place, content in members.items()]
    record = '\n'.join([*rows, f'{info}/RECORD,,', '']).encode()
    partial = wheel.with_suffix('.partial')
    with zipfile.ZipFile(partial, 'w', zipfile.ZIP_DEFLATED) as archive:
        for place, content in {**members, f'{info}/RECORD': record}.items():
            # A fixed date makes equal builds equal bytes.
            entry = zipfile.ZipInfo(place, (2026, 1, 1, 0, 0, 0))
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    partial.replace(wheel)


def _place(path: Path, data: str) -> str | None:
    """Return the member name of an installed file, None for one that is left out."""
    parts = path.parts
    if any(part in LEFT_OUT or part.endswith('.egg-info') for part in parts):
        return None
    if path.name.startswith('local_setup') or path.suffix in ('.c', '.dsv'):
        return None
    if 'site-packages' in parts:
        return '/'.join(parts[parts.index('site-packages') + 1 :])
    return f'{data}/{path.as_posix()}'


def _digest(content: bytes) -> str:
    raw = hashlib.sha256(content).digest()
    return 'sha256=' + base64.urlsafe_b64encode(raw).rstrip(b'=').decode()
