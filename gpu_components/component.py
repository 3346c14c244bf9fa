# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
What a perception stage declares and writes; everything else is the framework's.

A subclass names its parameters, inputs and outputs as class data and writes three methods:

* ``check(params)``: cheap refusals, before a load request or a parameter change is accepted;
* ``prepare(params)``: loads and warms what ``params`` ask for and returns it.  Runs on a control
  thread and may block; while it runs, frames go on with what was prepared before;
* ``compute(frame, stream)``: enqueues one frame's work and returns.  Runs on the stage's own
  thread with ``stream`` bound; ``self.params`` and ``self.prepared`` do not change meanwhile.

A component that serves several cameras at once also says which (``cameras``), how many frames go
together (``batch``) and writes ``compute_batch``.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import re
from types import MappingProxyType
from typing import Any
from typing import ClassVar
from typing import Generic
from typing import TYPE_CHECKING
from typing import TypeVar

from gpu_components.component_parameters import ComponentParameters
from gpu_components.output import Output

if TYPE_CHECKING:
    from gpu_components.output import Results
    from gpu_runtime.camera_model import CameraModel
    from gpu_runtime.frame import Frame
    from gpu_runtime.gpu_context import GpuContext
    from gpu_runtime.stream import Stream

P = TypeVar('P', bound=ComponentParameters)
S = TypeVar('S')


class Component(Generic[P, S]):
    """
    A perception stage.

    Parameters
    ----------
    context : GpuContext
        The shared device manager.
    log : object
        Logger of the node.
    wants : callable
        ``wants(topic)`` tells whether anybody would use an output now.

    Attributes
    ----------
    publish : callable
        ``publish(topic, message)`` sends a message that does not come of a frame, from any
        thread; nothing happens while the component is not configured.
    calibration : callable
        ``calibration(stamp_ns)`` returns the camera model of a moment, or None.

    """

    parameters: ClassVar[type[ComponentParameters]] = ComponentParameters
    inputs: ClassVar[tuple[str, ...]] = ()
    outputs: ClassVar[tuple[Output, ...]] = ()
    bus_inputs: ClassVar[frozenset[str]] = frozenset()
    """Inputs that only components of this process publish."""
    camera_info: ClassVar[str] = ''
    """Topic of the camera's calibration, if the component asks for it."""
    services: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Private std_srvs/Trigger services: name to method returning (success, message)."""
    passes_on: ClassVar[bool] = False
    """Whether ``compute`` only passes frames on, and takes no time worth a change of threads."""
    capturable: ClassVar[bool] = False
    """
    Whether a frame's work may be captured as a CUDA graph and replayed for the frames after it.

    So it may where ``compute`` goes by nothing but the picture's bytes and format, its
    calibration, the parameters, what is prepared and what is wanted; where it keeps nothing from
    frame to frame; and where the ``build`` of its results takes header and values as arguments.
    """

    params: P
    prepared: S

    def __init__(self, context: GpuContext, log: Any, wants: Callable[[str], bool]) -> None:
        self.context = context
        self.log = log
        self.wants = wants
        self.publish: Callable[[str, Any], None] = lambda topic, message: None
        self.calibration: Callable[[int], CameraModel | None] = lambda stamp_ns: None

    @classmethod
    def default_name(cls) -> str:
        """Return the node name used when a load request gives none: the class in snake_case."""
        return re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', cls.__name__).lower()

    def camera(self, frame: Frame) -> CameraModel | None:
        """
        Return the calibration of a picture.

        Parameters
        ----------
        frame : Frame
            The picture.

        Returns
        -------
        CameraModel or None
            What came with the frame, else what :attr:`camera_info` has for its stamp.

        """
        return frame.camera_info or self.calibration(frame.header.stamp_ns)

    def input_topic(self, params: P) -> str:
        """
        Return the input to read; the first one unless a subclass chooses by parameter.

        Parameters
        ----------
        params : ComponentParameters
            Those it is activated with.

        Returns
        -------
        str
            One of :attr:`inputs`.

        """
        return self.inputs[0]

    def cameras(self, params: P) -> tuple[str, ...]:
        """
        Return the cameras to serve; each has inputs and outputs of its own.

        Parameters
        ----------
        params : ComponentParameters
            Those it is configured with.

        Returns
        -------
        tuple of str
            Names put before its topics, ``front/input_image``; ``('',)`` for one camera whose
            topics have their plain names.

        """
        return ('',)

    def batch(self, params: P) -> tuple[int, float]:
        """
        Return how many frames :meth:`compute_batch` takes together, and how long they may wait.

        Parameters
        ----------
        params : ComponentParameters
            The present ones; asked before every batch.

        Returns
        -------
        tuple
            Frames at most, and seconds that the first waits for the others.

        """
        return 1, 0.0

    def timer_period_s(self, params: P) -> float:
        """
        Return how often :meth:`on_timer` is called while active.

        Parameters
        ----------
        params : ComponentParameters
            The present ones; asked again whenever they change.

        Returns
        -------
        float
            Seconds; 0 for never.

        """
        return 0.0

    def on_timer(self) -> None:
        """Do regular work on a control thread; may block."""

    def check(self, params: P) -> None:
        """
        Refuse parameters that cannot work; must not block.

        Parameters
        ----------
        params : ComponentParameters
            Types and ranges are checked already.

        Raises
        ------
        GpuPerceptionError
            With what was expected, what was got and the remedy.

        """

    def prepare(self, params: P) -> S:
        """
        Return whatever ``compute`` needs for these parameters, loaded and warmed.

        Parameters
        ----------
        params : ComponentParameters
            Accepted by :meth:`check`.

        Returns
        -------
        object
            Becomes ``self.prepared``; its ``close()``, if it has one, is called when it is
            replaced.

        Raises
        ------
        GpuPerceptionError
            What was prepared before stays in use.

        """
        raise NotImplementedError

    def compute(self, frame: Frame, stream: Stream) -> Results:
        """
        Enqueue the work of one frame.

        Parameters
        ----------
        frame : Frame
            The picture; held by the framework until the results are published.
        stream : Stream
            Current on the calling thread.

        Returns
        -------
        Mapping of str to Result or Frame
            By output topic.

        """
        raise NotImplementedError

    def compute_batch(self, frames: Sequence[Frame], stream: Stream) -> Sequence[Results]:
        """
        Enqueue the work of several frames.

        Parameters
        ----------
        frames : sequence of Frame
            Pictures of any cameras; as many as :meth:`batch` allows.
        stream : Stream
            Current on the calling thread.

        Returns
        -------
        sequence of Mapping
            What :meth:`compute` returns, for each frame.

        """
        return [self.compute(frame, stream) for frame in frames]


def replace(component: Component[Any, Any], params: ComponentParameters, prepared: Any) -> None:
    """
    Give a component other parameters, between two frames.

    Parameters
    ----------
    component : Component
        Not computing now.
    params : ComponentParameters
        The new values.
    prepared : object or None
        What ``prepare`` returned for them; None keeps what is in use.

    """
    component.params = params
    if prepared is not None:
        old, component.prepared = component.prepared, prepared
        close_prepared(old)


def close_prepared(prepared: Any) -> None:
    """
    Release what a component prepared.

    Parameters
    ----------
    prepared : object
        Its ``close()`` is called if it has one.

    """
    close = getattr(prepared, 'close', None)
    if close is not None:
        close()
