# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A parameter class on a node: descriptors, overrides, and changes that are all or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from probe import Host
from probe import Prepared
from probe import Probe
from probe import ProbeParameters
from probe import set_parameter
import pytest
from rcl_interfaces.msg import SetParametersResult
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from gpu_components.parameter_changes import ParameterChanges
from gpu_components.parameter_store import ParameterStore
from gpu_components.parameters import parameter
from gpu_components.parameters import Parameters
from gpu_components.parameters import StringList
from gpu_runtime.errors import ParameterError


@dataclass(frozen=True)
class Sample(Parameters):
    """One parameter of every kind."""

    count: int = parameter(3, 'A number.', unit='px', ge=1, le=5)
    ratio: float = parameter(0.5, 'A part.', ge=0.0, le=1.0)
    floor: float = parameter(1.0, 'No upper end.', ge=0.0)
    mode: str = parameter('a', 'A choice.', choices=('a', 'b'))
    names: StringList = parameter((), 'A list.')
    fixed: bool = parameter(True, 'Not to be changed.', read_only=True)


NodeOf = Callable[..., Node]


@pytest.fixture
def node_of(context: Context) -> Any:
    """Return a function that makes a node with overrides."""
    nodes: list[Node] = []

    def make(**overrides: Any) -> Node:
        given = [Parameter(name, value=value) for name, value in overrides.items()]
        nodes.append(Node('sample', context=context, parameter_overrides=given))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()


def test_descriptors_say_what_the_class_says(node_of: NodeOf) -> None:
    """Range, unit, choices, and what cannot change."""
    node = node_of()
    ParameterStore(node, Sample)
    count = node.describe_parameter('count')
    assert count.description == 'A number. [px]'
    (bounds,) = count.integer_range
    assert (bounds.from_value, bounds.to_value) == (1, 5)
    (limits,) = node.describe_parameter('ratio').floating_point_range
    assert (limits.from_value, limits.to_value) == (0.0, 1.0)
    floor = node.describe_parameter('floor')
    assert (list(floor.floating_point_range), floor.additional_constraints) == (
        [],
        'at least 0.0',
    )
    assert node.describe_parameter('mode').additional_constraints == 'one of a, b'
    assert node.describe_parameter('fixed').read_only
    dynamic = {name: node.describe_parameter(name).dynamic_typing for name in ('names', 'count')}
    assert dynamic == {'names': True, 'count': False}


def test_overrides_win(node_of: NodeOf) -> None:
    """Also over read-only defaults and empty lists."""
    store = ParameterStore(node_of(count=5, fixed=False, names=['x', 'y']), Sample)
    assert store.current == Sample(count=5, fixed=False, names=('x', 'y'))


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('count', 'many'),
        ('count', 2.5),
        ('count', 6),
        ('ratio', 1.5),
        ('ratio', 1),
        ('floor', -1.0),
        ('mode', 'c'),
        ('names', 'x'),
        ('names', 4),
        ('names', [1, 2]),
        ('fixed', 'no'),
    ],
)
def test_illegal_overrides_are_refused_by_name(node_of: NodeOf, name: str, value: Any) -> None:
    """Of the wrong type or out of range: one error for both, which names the parameter."""
    with pytest.raises(ParameterError, match=name):
        ParameterStore(node_of(**{name: value}), Sample)


class Listener:
    """Notes what it is asked and told."""

    def __init__(self, node: Node) -> None:
        self.store = ParameterStore(node, Sample)
        self.asked: list[tuple[Sample, frozenset[str]]] = []
        self.told: list[Sample] = []
        self.refusal: Exception | None = None
        self.store.listen(self._accept, self.told.append)

    def _accept(self, params: Sample, changed: frozenset[str]) -> None:
        self.asked.append((params, changed))
        if self.refusal is not None:
            raise self.refusal


def test_a_change_is_asked_first_and_told_after(node_of: NodeOf) -> None:
    """With the whole new instance and the names of what is new in it."""
    node = node_of()
    listener = Listener(node)
    changes = [Parameter('count', value=4), Parameter('ratio', value=0.5)]
    assert node.set_parameters_atomically(changes).successful
    assert listener.asked == [(Sample(count=4), frozenset({'count'}))]
    assert listener.told == [Sample(count=4)]
    assert listener.store.current == Sample(count=4)


@pytest.mark.parametrize('error', [ParameterError, KeyError])
def test_a_refusal_gives_its_reason_and_changes_nothing(
    node_of: NodeOf, error: type[Exception]
) -> None:
    """Whatever kind of exception it is."""
    node = node_of()
    listener = Listener(node)
    listener.refusal = error('not today')
    answer = set_parameter(node, 'count', 4)
    assert not answer.successful
    assert 'not today' in answer.reason
    assert listener.told == []
    assert listener.store.current == Sample()
    assert node.get_parameter('count').value == 3


def test_one_illegal_value_refuses_all_of_an_atomic_change(node_of: NodeOf) -> None:
    """Nothing is asked, nothing changes."""
    node = node_of()
    listener = Listener(node)
    changes = [Parameter('count', value=4), Parameter('floor', value=-1.0)]
    answer = node.set_parameters_atomically(changes)
    assert not answer.successful
    assert 'floor is -1.0; expected at least 0.0' in answer.reason
    assert listener.asked == []
    assert listener.store.current == Sample()


@pytest.mark.parametrize(
    ('name', 'value'),
    [('count', 'x'), ('count', 9), ('fixed', False), ('names', 3), ('names', None)],
)
def test_illegal_changes_are_refused(node_of: NodeOf, name: str, value: Any) -> None:
    """By type, range, read-only, and removal."""
    node = node_of()
    listener = Listener(node)
    assert not set_parameter(node, name, value).successful
    assert listener.store.current == Sample()
    assert node.has_parameter(name)


def test_a_list_grows_and_shrinks(node_of: NodeOf) -> None:
    """To empty and back, though an empty list has no type in ROS."""
    node = node_of()
    listener = Listener(node)
    for value in (['x', 'y'], [], ['z']):
        assert set_parameter(node, 'names', value).successful
        assert listener.store.current.names == tuple(value)


def test_parameters_of_others_pass(node_of: NodeOf) -> None:
    """What the class does not declare is not its business."""
    node = node_of()
    listener = Listener(node)
    node.declare_parameter('foreign', 1)
    assert set_parameter(node, 'foreign', 2).successful
    assert listener.store.current == Sample()


# What a component has to prepare for a change ------------------------------------------------


@pytest.fixture
def changes(host: Host) -> Any:
    """Make the changes of a probe, and the list of what it prepared."""
    probe = Probe(host.gpu, host.ingress_node.get_logger(), lambda topic: True)
    return ParameterChanges(probe, probe.prepare), probe.prepares


MODEL = frozenset({'model'})


def test_only_what_prepares_is_prepared(
    changes: tuple[ParameterChanges, list[Prepared]],
) -> None:
    """And only while the component is configured."""
    staged, prepares = changes
    staged.accept(ProbeParameters(gain=2), frozenset({'gain'}), configured=True)
    staged.accept(ProbeParameters(model='x'), MODEL, configured=False)
    assert (prepares, staged.take()) == ([], None)
    staged.accept(ProbeParameters(model='x'), MODEL, configured=True)
    assert [p.model for p in prepares] == ['x']
    assert staged.take() is prepares[0]
    assert (staged.take(), prepares[0].closed) == (None, 0)


def test_what_is_not_taken_is_closed_once(
    changes: tuple[ParameterChanges, list[Prepared]],
) -> None:
    """By the next change, also one that is refused, or when the component goes."""
    staged, prepares = changes
    staged.accept(ProbeParameters(model='x'), MODEL, configured=True)
    with pytest.raises(ParameterError):
        staged.accept(ProbeParameters(model='refused'), MODEL, configured=True)
    assert prepares[0].closed == 1
    staged.accept(ProbeParameters(model='y'), MODEL, configured=True)
    staged.discard()
    staged.discard()
    assert [p.closed for p in prepares] == [1, 1]


def test_a_change_another_callback_refuses_is_closed(host: Host) -> None:
    """The node has callbacks of its own, which are asked after the component."""
    probe = host.load(Probe)
    refusals = [SetParametersResult(successful=False, reason='by another')]

    def refuse_once(_: Any) -> SetParametersResult:
        return refusals.pop() if refusals else SetParametersResult(successful=True)

    probe._on_set_parameters_callbacks.append(refuse_once)
    assert set_parameter(probe, 'model', 'second').reason == 'by another'
    staged = probe.component.prepares[1]
    assert (staged.closed, probe.component.prepared.model) == (0, 'first')
    assert set_parameter(probe, 'gain', 2).successful
    assert staged.closed == 1
