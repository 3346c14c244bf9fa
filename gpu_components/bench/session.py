# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The processes of one scenario while they run, and probes of them.

A probe is exact about losses: it begins and ends with nothing under way, so that every picture is
either answered or lost, and the container's counters are read after the last result.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import ExitStack
import sys
import time
from typing import Any

from gpu_components.bench.accounting import drops_of
from gpu_components.bench.accounting import playing_of
from gpu_components.bench.accounting import source_nodes
from gpu_components.bench.accounting import stamps_sent
from gpu_components.bench.accounting import timings_of
from gpu_components.bench.child_process import ChildProcess
from gpu_components.bench.contenders import NODES
from gpu_components.bench.contenders import Setup
from gpu_components.bench.contenders import start
from gpu_components.bench.instruments import Monitors
from gpu_components.bench.instruments import start_monitor
from gpu_components.bench.instruments import start_publisher
from gpu_components.bench.performance import Performance
from gpu_components.bench.probe import Probe
from gpu_components.bench.scenario import Scenario
from gpu_components.bench.usage import Usage
from gpu_runtime.errors import LifecycleError

START_S = 300.0
QUIET_S = 4.0
"""
After this long without any result, pictures that are not answered count as lost.  Longer than 3 s:
so late Fast DDS tells a reader of a message that shared memory had no room for, and sends it
again.
"""

DRAIN_S = 60.0
ROUND_S = 1.5
FRESH_S = 5.0
WARM_HZ = 4.0
WARM_FRAMES = 8
"""Results of each output that nobody counts: a graph is captured after some frames."""

FEWEST_FRAMES = 3
ANSWER_S = 120.0
CONFIGURE, ACTIVATE, DEACTIVATE = 1, 3, 4
"""As lifecycle_msgs/Transition numbers them."""


class Session:
    """
    A contender at work, with the publisher and the monitor around it.

    Parameters
    ----------
    scenario : Scenario
        What runs.
    contenders : list of ChildProcess
        Its processes.
    publisher : ChildProcess or None
        Plays the cameras; None if the container has cameras of its own.
    monitor : Monitors
        Watches.

    """

    def __init__(
        self,
        scenario: Scenario,
        contenders: list[ChildProcess],
        publisher: ChildProcess | None,
        monitor: Monitors,
    ) -> None:
        self.scenario = scenario
        self.contenders = contenders
        self.publisher = publisher
        self.monitor = monitor
        others = [*([publisher] if publisher else []), *monitor.processes]
        self._pids = {process.name: process.pid for process in [*contenders, *others]}
        self._sources = source_nodes(scenario)

    def wait_ready(self) -> None:
        """
        Play slowly until every output answers, and nothing is under way any more; blocks.

        Raises
        ------
        LifecycleError
            If a process ends, or an output stays silent.

        """
        deadline_s = time.monotonic() + START_S
        self.monitor.ask(START_S, do='reset')  # answers once it has started
        if self.publisher is not None:
            self.publisher.ask(START_S, do='subscribers')
        if self.publisher is None:
            self._wait_sources(deadline_s)
        # Counted over all rounds: a contender may be slower than a round and all the same at work.
        began_ns = self._begin()
        while True:
            for process in self.contenders:
                process.require_alive()
            self._play(WARM_HZ, WARM_FRAMES)
            counts = self._settle(WARM_FRAMES, began_ns, ROUND_S)
            silent = [topic for topic, count in counts.items() if count < WARM_FRAMES]
            if not silent:
                self._settle(sys.maxsize, 0, QUIET_S)  # what earlier rounds left under way
                return
            if time.monotonic() > deadline_s:
                raise LifecycleError(
                    f'{self.scenario.name}: {", ".join(silent)} silent after {START_S:.0f} s; see '
                    + ', '.join(sorted({str(process.log) for process in self.contenders}))
                )

    def _wait_sources(self, deadline_s: float) -> None:
        components = {t.rpartition('/') for t in self.scenario.outputs()}
        nodes = {f'{space}/{NODES[output]}' for space, _, output in components}
        wanted = dict.fromkeys(nodes, 'active') | dict.fromkeys(self._sources, 'unconfigured')
        while any(self.monitor.ask(do='state', node=n) != state for n, state in wanted.items()):
            for process in self.contenders:
                process.require_alive()
            if time.monotonic() > deadline_s:
                raise LifecycleError(f'{self.scenario.name}: not active after {START_S:.0f} s')
            time.sleep(0.2)
        self._change_sources(CONFIGURE)

    def _change_sources(self, transition: int) -> None:
        for node in self._sources:
            if not self.monitor.ask(do='change_state', node=node, transition=transition):
                raise LifecycleError(f'{node} refused the lifecycle transition {transition}')

    def probe(
        self,
        rate_hz: float,
        seconds: float,
        accepted_loss: float,
        *,
        parameter: tuple[str, str, list[Any]] | None = None,
    ) -> tuple[Probe, list[float]]:
        """
        Play for a while, wait for the last result, and count.

        Parameters
        ----------
        rate_hz : float
            Pictures per second of each camera.
        seconds : float
            How long.
        accepted_loss : float
            As :class:`Probe` has it.
        parameter : tuple, optional
            Node, name and values of a parameter that is set meanwhile, spread over the time.

        Returns
        -------
        probe : Probe
            What came of it.
        answers_ms : list of float
            How soon the parameter requests were answered.

        """
        frames = max(FEWEST_FRAMES, round(rate_hz * seconds))
        before = self._diagnostics()
        began_ns = self._begin()
        used = Usage.now(self._pids)
        answers_ms: list[float] = []
        if parameter:
            node, name, values = parameter
            period_s = frames / rate_hz / len(values)
            self.monitor.send(
                do='set_remote_parameter', node=node, name=name, values=values, period_s=period_s
            )
        played = self._play(rate_hz, frames)
        if parameter:
            answers_ms = self.monitor.receive(ANSWER_S)
        self._settle(frames, began_ns, QUIET_S)
        now = Usage.now(self._pids)
        after = self._diagnostics()
        arrivals = self.monitor.ask(do='arrivals')
        stages = before['stages'], after['stages']
        sent, unseen = stamps_sent(self.scenario, played, arrivals, *stages)
        outputs = {
            topic: Performance.of(sent[image], arrivals[topic], unseen=unseen[image])
            for topic, image in self.scenario.outputs().items()
        }
        probe = Probe(
            playing=playing_of(rate_hz, played, sent, unseen),
            outputs=outputs,
            accepted_loss=accepted_loss,
            cpu_ms=now.ms_since(used),
            cpu_percent=now.percent_since(used),
            drops=drops_of(self.scenario, outputs, *stages),
            timings=timings_of(after['stages']),
        )
        return probe, answers_ms

    def _play(self, rate_hz: float, frames: int) -> dict[str, Any]:
        """Let the cameras play; those of the container are told when to begin and to end."""
        if self.publisher is not None:
            timeout_s = frames / rate_hz * 4 + ANSWER_S
            return dict(self.publisher.ask(timeout_s, do='play', rate_hz=rate_hz, frames=frames))
        for node in self._sources:
            self.monitor.ask(
                do='set_remote_parameter',
                node=node,
                name='rate_hz',
                values=[rate_hz],
                period_s=0.0,
            )
        self._change_sources(ACTIVATE)
        time.sleep(frames / rate_hz)
        self._change_sources(DEACTIVATE)
        return {}

    def _begin(self) -> int:
        """Forget earlier results; return the time, which no later picture's stamp precedes."""
        self.monitor.ask(do='reset')
        return time.time_ns()

    def _settle(self, frames: int, since_ns: int, quiet_s: float) -> dict[str, int]:
        """Wait until every output has answered, or nothing comes any more; return the counts."""
        deadline_s = time.monotonic() + DRAIN_S
        counts: dict[str, int] = {}
        changed_s = time.monotonic()
        while time.monotonic() < deadline_s:
            last, counts = counts, self.monitor.ask(do='counts', since_ns=since_ns)
            if counts != last:
                changed_s = time.monotonic()
            complete = self.publisher is not None and min(counts.values()) >= frames
            if complete or time.monotonic() - changed_s > quiet_s:
                break
            time.sleep(0.05)
        return counts

    def _diagnostics(self) -> dict[str, Any]:
        """Return diagnostics that were told after this call; nothing if nobody tells any."""
        if self.scenario.contender != 'container':
            return {'stages': {}, 'memory': {}}
        asked_ns = time.time_ns()
        deadline_s = time.monotonic() + FRESH_S
        while time.monotonic() < deadline_s:
            told = self.monitor.ask(do='diagnostics')
            if told['told_ns'] > asked_ns:
                return dict(told)
            time.sleep(0.05)
        raise LifecycleError(
            f'{self.scenario.name}: no diagnostics for {FRESH_S:.0f} s; see '
            f'{self.contenders[0].log}'
        )

    def memory(self) -> dict[str, dict[str, str]]:
        """Return what the container's memory manager tells; empty for others."""
        return dict(self._diagnostics()['memory'])


@contextmanager
def running(scenario: Scenario, setup: Setup) -> Iterator[Session]:
    """
    Run a scenario's processes for the length of a ``with`` block.

    Parameters
    ----------
    scenario : Scenario
        What runs.
    setup : Setup
        With what.

    Yields
    ------
    Session
        Ready to be probed.

    """
    with ExitStack() as stack:
        contenders = []
        for process in start(scenario, setup):
            stack.callback(process.close)
            contenders.append(process)
        publisher = None
        if scenario.source == 'ros':
            publisher = start_publisher(scenario, setup.folder)
            stack.callback(publisher.close)
        monitor = start_monitor(scenario, setup.folder)
        stack.callback(monitor.close)
        session = Session(scenario, contenders, publisher, monitor)
        session.wait_ready()
        yield session
