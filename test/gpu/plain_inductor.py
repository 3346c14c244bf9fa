# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Whether torch alone can load on this GPU what its own compiler makes: nothing of ours takes part.

Run as a script, with a folder, it compiles, loads and runs one layer.
"""

from __future__ import annotations

from functools import lru_cache
import os
from pathlib import Path
import subprocess
import sys
import tempfile

import torch


@lru_cache(maxsize=1)
def crash_of_torch() -> str:
    """Return how a process of torch alone crashes on it; empty if none does."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, str(Path(__file__).resolve()), folder],
            env={**os.environ, 'TORCHINDUCTOR_CACHE_DIR': folder, 'TRITON_CACHE_DIR': folder},
            capture_output=True,
            text=True,
            timeout=600.0,
            check=False,
        )
    if done.returncode >= 0:
        print(done.stderr)  # an error is none of a crash, but worth knowing
        return ''
    lines = done.stdout.split()
    doing = f'to {lines[-1]}' if lines else 'to begin'
    return (
        f'torch {torch.__version__} alone is ended by signal {-done.returncode} when asked '
        f'{doing} a package of AOTInductor'
    )


def main(folder: Path) -> None:
    """Compile one layer, load it and run it, as the documentation of torch has it."""
    import torch._inductor

    layer = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU()).cuda().eval()
    x = torch.rand(1, 3, 32, 32, device='cuda')
    with torch.no_grad():
        expected = layer(x)
        print('compile', flush=True)
        file = torch._inductor.aoti_compile_and_package(
            torch.export.export(layer, (x,)), package_path=str(folder / 'layer.pt2')
        )
        print('load', flush=True)
        loaded = torch._inductor.aoti_load_package(file, run_single_threaded=True)
        print('run', flush=True)
        torch.testing.assert_close(loaded(x), expected, rtol=1e-2, atol=1e-2)


if __name__ == '__main__':
    main(Path(sys.argv[1]))
