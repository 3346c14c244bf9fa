# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Waits for whatever an executor's nodes have, in a wait set that is built when they change.

Who calls: the thread that spins.  rclpy's own wait builds a set for all nodes each time, and looks
through all of them for what is ready; here it only gets those nodes that have something.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from contextlib import ExitStack
from contextlib import suppress
from typing import Any
from typing import cast
from typing import get_args
from typing import Literal

from rclpy.exceptions import InvalidHandle
from rclpy.executors import Executor
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.waitable import NumberOfEntities

_Plain = Literal['subscription', 'timer', 'client', 'service']
_PLAIN: tuple[_Plain, ...] = get_args(_Plain)
_KINDS = (*_PLAIN, 'guard', 'waitable')
"""What a node has, as its properties name it."""

_Entity = tuple[str, Any, Node]


class ControlWait:
    """
    The wait of one executor.

    What it waits for is in use until `close`: destroyed meanwhile, it goes with the next wait.

    Parameters
    ----------
    executor : Executor
        Whose nodes to wait for.

    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._entities: list[_Entity] = []
        self._built: _WaitSet | None = None

    def wait(self, timeout_ns: int) -> list[Node] | None:
        """
        Wait until a node has something to execute. Blocks, without the interpreter lock.

        Parameters
        ----------
        timeout_ns : int
            Nanoseconds; negative waits without limit.

        Returns
        -------
        list of Node or None
            Nodes with something ready; none after a timeout, and where the executor was woken.
            None if this cannot wait for them: one waits for a guard condition of its own making,
            which one wait resets for all others.

        """
        nodes = self._executor.get_nodes()
        entities = [(kind, e, n) for n in nodes for kind in _KINDS for e in getattr(n, f'{kind}s')]
        if self._built is None or entities != self._entities:
            self.close()
            counts = _counted(entities)
            if counts.num_guard_conditions > sum(kind == 'guard' for kind, _, _ in entities):
                return None
            self._entities, self._built = entities, _WaitSet(self._executor, entities, counts)
        return self._built.wait(timeout_ns)

    def close(self) -> None:
        """Let go of everything."""
        built, self._built = self._built, None
        if built is not None:
            built.in_use.close()


class _WaitSet:
    """A wait set for some entities, with all that each wait needs of them."""

    def __init__(
        self, executor: Executor, entities: Iterable[_Entity], counts: NumberOfEntities
    ) -> None:
        if executor.context.handle is None:
            raise InvalidHandle('the context is not initialised')
        # What wakes the executor, whatever for, and SIGINT.
        own = [executor._guard, executor._sigint_gc]
        self._own = [guard.handle for guard in own if guard is not None]
        self._set = rclpy_implementation.WaitSet(
            counts.num_subscriptions,
            counts.num_guard_conditions + len(self._own),
            counts.num_timers,
            counts.num_clients,
            counts.num_services,
            counts.num_events,
            executor.context.handle,
        )
        self._can_execute = executor.can_execute
        self._plain: list[tuple[Any, Callable[[Any], object], Any]] = []  # entity, add, handle
        self._guards: list[tuple[GuardCondition, Node]] = []
        self._waitables: list[tuple[Any, Node]] = []
        self._node_of: dict[_Plain, dict[int, Node]] = {kind: {} for kind in _PLAIN}
        with ExitStack() as stack:
            for handle in self._own:
                stack.enter_context(handle)
            for kind, entity, node in entities:
                with suppress(InvalidHandle):  # destroyed already
                    stack.enter_context(entity if kind == 'waitable' else entity.handle)
                    self._note(kind, entity, node)
            self.in_use = stack.pop_all()

    def _note(self, kind: str, entity: Any, node: Node) -> None:
        if kind == 'waitable':
            self._waitables.append((entity, node))
        elif kind == 'guard':
            self._guards.append((entity, node))
        else:
            self._node_of[cast('_Plain', kind)][entity.handle.pointer] = node
            self._plain.append((entity, getattr(self._set, f'add_{kind}'), entity.handle))

    def wait(self, timeout_ns: int) -> list[Node]:
        """Wait for what may be executed now; return the nodes of what is ready."""
        wait_set, can_execute = self._set, self._can_execute
        wait_set.clear_entities()  # a wait leaves only what was ready in it
        for handle in self._own:
            wait_set.add_guard_condition(handle)
        for entity, add, handle in self._plain:
            if can_execute(entity):
                add(handle)
        guards = [each for each in self._guards if can_execute(each[0])]
        for guard, _ in guards:
            if guard._executor_triggered:  # an earlier wait found it while its group was busy
                guard.trigger()
            wait_set.add_guard_condition(guard.handle)
        waitables = [each for each in self._waitables if can_execute(each[0])]
        for waitable, _ in waitables:
            waitable.add_to_wait_set(wait_set)
        wait_set.wait(timeout_ns)
        ready = [
            by_pointer[pointer]
            for kind, by_pointer in self._node_of.items()
            for pointer in wait_set.get_ready_entities(kind)
            if pointer in by_pointer  # not so what a waitable has added
        ]
        triggered = wait_set.get_ready_entities('guard_condition')
        for guard, node in guards:
            if guard.handle.pointer in triggered:
                guard.trigger()  # this wait has reset it
                ready.append(node)
        ready += [node for waitable, node in waitables if waitable.is_ready(wait_set)]
        return list(dict.fromkeys(ready))


def _counted(entities: Iterable[_Entity]) -> NumberOfEntities:
    total = NumberOfEntities()
    for kind, entity, _ in entities:
        if kind == 'waitable':
            total += entity.get_num_entities()
        else:
            name = 'num_guard_conditions' if kind == 'guard' else f'num_{kind}s'
            setattr(total, name, getattr(total, name) + 1)
    return total
