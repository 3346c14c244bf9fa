# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What all processes of the benchmark share: the environment, and where files are."""

from __future__ import annotations

import os
from pathlib import Path
import sys

from gpu_components.doctor.shm_profile import own_profile
from gpu_components.doctor.shm_profile import VARIABLES
from gpu_components.resources import resolve_path
from gpu_runtime.errors import ParameterError

DOMAIN_ID = '79'
SOURCE_TREE = Path(__file__).resolve().parents[2]
RIVALS = SOURCE_TREE / 'test' / 'bench' / 'naive_nodes.py'
"""The rivals are no part of an installation."""


def environment(threads: str = '') -> dict[str, str]:
    """
    Return the environment of a process: this machine only, room for images, one domain.

    Parameters
    ----------
    threads : str
        Value of OMP_NUM_THREADS; empty leaves it out, whatever is set here.

    Returns
    -------
    dict of str to str
        Alike for publisher, monitor and contenders, but for the threads.

    """
    found = dict(os.environ)
    found.pop('OMP_NUM_THREADS', None)
    if threads:
        found['OMP_NUM_THREADS'] = threads
    found['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    if found.get('ROS_DISTRO') == 'humble':  # it has no discovery range yet
        found['ROS_LOCALHOST_ONLY'] = '1'
    found.setdefault('ROS_DOMAIN_ID', DOMAIN_ID)
    # Python wheels of ROS have their package index in the environment's own prefix.
    found.setdefault('AMENT_PREFIX_PATH', sys.prefix)
    for variable in VARIABLES:  # version 3 warns of the name for version 2
        found.pop(variable, None)
    variable, file = own_profile(found)
    found[variable] = _profile(file)
    found['PYTHONFAULTHANDLER'] = '1'
    if (SOURCE_TREE / 'setup.py').exists():
        found['PYTHONPATH'] = os.pathsep.join(
            [str(SOURCE_TREE), *filter(None, [found.get('PYTHONPATH')])]
        )
    return found


def _profile(file: str) -> str:
    source = SOURCE_TREE / file
    return str(source) if source.exists() else resolve_path(f'package://gpu_perception/{file}')


def rivals_script(path: str) -> Path:
    """
    Return the file of the naive nodes.

    Parameters
    ----------
    path : str
        As the user gave it; empty for that of the source tree.

    Returns
    -------
    pathlib.Path
        Of a file that exists.

    Raises
    ------
    ParameterError
        If it does not.

    """
    script = Path(path) if path else RIVALS
    if not script.is_file():
        raise ParameterError(
            f'the naive nodes are not at {script}; expected naive_nodes.py of the source tree: '
            'name it with --rivals, or measure with --contenders container'
        )
    return script
