# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The basic speeds of this machine, CPU against GPU; the same as ``gpu_perception bench basics``.

::

    .venv/bin/python test/bench/performance_test.py [--device cpu] [--json]
"""

from __future__ import annotations

import sys

from gpu_components.cli import main

if __name__ == '__main__':
    sys.exit(main(['bench', 'basics', *sys.argv[1:]]))
