# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The executable ``gpu_container``: the process that hosts all components."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import gc
import sys
import threading

import rclpy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from gpu_components.executor import PlaneExecutor
from gpu_components.pipeline_file import read_pipeline
from gpu_components.stop_signal import StopSignal
from gpu_runtime.errors import GpuPerceptionError

EXIT_REFUSED = 2
EXIT_CONTEXT_LOST = 70

SWITCH_INTERVAL_S = 0.0005
"""
How long a thread that computes in Python keeps the interpreter from those that ask for it.

A frame asks some dozens of times.  Beside 30 ms of Python each second (diagnostics, parameters),
two threads with twenty short steps each at 250 Hz ended them within 19 ms at p99 with Python's own
5 ms, within 5 with this (two cores); p50 did not change.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run a container until SIGINT or SIGTERM.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; default ``sys.argv[1:]``.

    Returns
    -------
    int
        0 after a signal; 2 if the pipeline file or the device was refused; 70 if the CUDA context
        was lost, for ``respawn`` in a launch file to start the process anew.

    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog='gpu_container', description=__doc__)
    parser.add_argument('--load', metavar='FILE.yaml', help='pipeline to load at start')
    options = parser.parse_args(remove_ros_args(['gpu_container', *arguments])[1:])
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    try:
        return _run(options.load)
    except GpuPerceptionError as error:
        print(f'gpu_container: {error}', file=sys.stderr)
        return EXIT_REFUSED
    finally:
        rclpy.shutdown()


def _run(pipeline: str | None) -> int:
    stop = StopSignal()
    requests = read_pipeline(pipeline) if pipeline else []
    # torch and torchvision take seconds: who made a mistake above need not wait for them.
    from gpu_components.container import Container

    # What was imported lives as long as the process: without it a full garbage collection does
    # not stop every thread for the time it takes to visit torch, nor does the end of the process.
    gc.freeze()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    executor = PlaneExecutor()
    container = Container(executor, on_lost=stop.on_lost)
    spinner = threading.Thread(target=executor.spin, name='control', daemon=True)
    spinner.start()
    try:
        for request in requests:  # one that is refused is logged; the others live
            container.load(request)
        stop.wait()
    finally:
        if stop.lost is None:
            container.close()
        executor.shutdown(timeout_sec=2.0)
        spinner.join(timeout=2.0)
    if stop.lost is None:
        return 0
    container.get_logger().fatal(f'CUDA context lost, the process must restart: {stop.lost}')
    return EXIT_CONTEXT_LOST


if __name__ == '__main__':
    sys.exit(main())
