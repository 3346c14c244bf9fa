# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
What is done on the host once work on the device is, on few threads for all streams.

A thread per stream that waits for events costs two changes of threads a frame.  Here the device
itself wakes a thread, by a host function on the stream; results that end together are taken up by
one thread, one after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count
import logging
import threading
from typing import TYPE_CHECKING

from gpu_runtime.errors import GpuPerceptionError
from gpu_runtime.semaphore import Semaphore

if TYPE_CHECKING:
    from gpu_runtime.event import Event
    from gpu_runtime.stream import Stream

_LOG = logging.getLogger(__name__)

Work = Callable[[], None]

LOOK_S = 0.5
"""Without a signal, events are looked at this often: none comes from a device that failed."""


class Lane:
    """
    Work in the order in which it was submitted; made by :meth:`Completions.lane`.

    Parameters
    ----------
    owner : Completions
        Runs it.

    """

    def __init__(self, owner: Completions) -> None:
        self._owner = owner
        self.waiting: deque[tuple[int, Event, Work]] = deque()
        self.busy = False

    def submit(self, event: Event, stream: Stream, work: Work) -> None:
        """
        Let work be done once an event has passed, and what was submitted before is done.

        Parameters
        ----------
        event : Event
            Recorded on the stream just before.
        stream : Stream
            The calling thread's current stream.  Does not block.
        work : callable
            Without arguments; called on a thread of the owner.  It is called too if the device
            fails, and finds the error by waiting for the event.

        """
        self._owner.submit(self, event, stream, work)

    def close(self) -> None:
        """Wait until all that was submitted is done; nothing may be submitted any more."""
        self._owner.close_lane(self)


class Completions:
    """
    Threads that do what follows work on the device.

    Parameters
    ----------
    threads : int
        How many; they start with the first lane.

    """

    def __init__(self, threads: int = 2) -> None:
        self._count = threads
        self._lanes: list[Lane] = []
        self._changed = threading.Condition()
        self._signals = Semaphore()
        self._owed = 0  # signals that came while the lane of their work was busy with another
        self._numbers = count()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def lane(self) -> Lane:
        """Return a new lane; its owner closes it."""
        with self._changed:
            lane = Lane(self)
            self._lanes.append(lane)
            while len(self._threads) < self._count:
                name = f'completion_{len(self._threads)}'
                self._threads.append(threading.Thread(target=self._run, name=name, daemon=True))
                self._threads[-1].start()
        return lane

    def submit(self, lane: Lane, event: Event, stream: Stream, work: Work) -> None:
        """
        Do as :meth:`Lane.submit`.

        Parameters
        ----------
        lane, event, stream, work
            As there.

        """
        lane.waiting.append((next(self._numbers), event, work))
        try:
            stream.signal(self._signals)
        except GpuPerceptionError:  # the work will find out
            self._signals.post()

    def close_lane(self, lane: Lane) -> None:
        """
        Do as :meth:`Lane.close`.

        Parameters
        ----------
        lane : Lane
            One of these.

        """
        with self._changed:
            self._changed.wait_for(lambda: not lane.waiting and not lane.busy)
            self._lanes.remove(lane)

    def close(self) -> None:
        """End the threads; every lane is closed.  Blocks until they have ended."""
        self._closed = True
        for _ in self._threads:
            self._signals.post()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _run(self) -> None:
        while not self._closed:
            signalled = self._signals.wait(LOOK_S)
            found = self._next(signalled, look=not signalled)
            while found is not None:
                lane, work = found
                self._do(work)
                del found, work  # a thread that waits holds nothing
                found = self._next(0, look=not signalled, done=lane)

    def _next(
        self, signals: int, *, look: bool, done: Lane | None = None
    ) -> tuple[Lane, Work] | None:
        """Return the oldest work whose event has passed, one for each signal; its lane is busy."""
        with self._changed:
            self._owed += signals
            if done is not None:
                done.busy = False
                if not done.waiting:
                    self._changed.notify_all()
            if not self._owed and not look:
                return None
            first = [(lane.waiting[0], lane) for lane in self._lanes if lane.waiting]
            for (_, event, work), lane in sorted(first, key=lambda one: one[0][0]):
                if not lane.busy and event.settled():
                    self._owed = max(0, self._owed - 1)
                    lane.busy = True
                    lane.waiting.popleft()
                    return lane, work
        return None

    @staticmethod
    def _do(work: Work) -> None:
        try:
            work()
        except BaseException:  # whatever it is, the thread has others to serve
            _LOG.exception('what follows work on the device failed')
