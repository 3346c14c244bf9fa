# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Files named by path or by ``package://NAME/path``, as launch files and URDF name them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from gpu_runtime.errors import ParameterError

PREFIX = 'package://'


def resolve_path(text: str) -> str:
    """
    Return the path that a parameter names.

    Parameters
    ----------
    text : str
        A path, with ``~`` for home, or ``package://NAME/path``: below the share directory of
        the ROS package NAME, or below the installed Python package NAME (never imported).
        Other texts, such as URLs, come back unchanged.

    Returns
    -------
    str
        The path; whether it exists is not checked for plain paths.

    Raises
    ------
    ParameterError
        If a ``package://`` name has no such package or file.

    """
    if not text.startswith(PREFIX):
        return str(Path(text).expanduser()) if text.startswith('~') else text
    package, _, inner = text.removeprefix(PREFIX).partition('/')
    folders = [*_share_folders(package), *_python_folders(package)]
    for folder in folders:
        if inner and (folder / inner).exists():
            return str(folder / inner)
    if not folders:
        raise ParameterError(f'{text}: no ROS or Python package {package!r} is installed')
    raise ParameterError(f'{text}: not found below {", ".join(map(str, folders))}')


def _share_folders(package: str) -> list[Path]:
    from ament_index_python.packages import get_package_share_directory
    from ament_index_python.packages import PackageNotFoundError

    try:
        return [Path(get_package_share_directory(package))]
    except (PackageNotFoundError, OSError, ValueError):
        return []


def _python_folders(package: str) -> list[Path]:
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return []
    return [Path(p) for p in (spec.submodule_search_locations or ())] if spec else []
