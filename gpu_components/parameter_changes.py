# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
A change of parameters between the moment it is accepted and the frame it applies to.

Called by the component's node, on control threads, one at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import TYPE_CHECKING

from gpu_components.component import close_prepared
from gpu_components.parameters import infos

if TYPE_CHECKING:
    from gpu_components.component import Component
    from gpu_components.component_parameters import ComponentParameters


class ParameterChanges:
    """
    Checks changes for a component and prepares aside what they need.

    Parameters
    ----------
    component : Component
        Whose parameters change.
    prepare : callable
        Runs the component's ``prepare`` on its memory account.

    """

    def __init__(
        self,
        component: Component[Any, Any],
        prepare: Callable[[ComponentParameters], Any],
    ) -> None:
        self._component = component
        self._prepare = prepare
        self._staged: Any = None
        declared = infos(component.parameters)
        self._preparing = frozenset(name for name, info in declared.items() if info.prepares)

    def accept(
        self, params: ComponentParameters, changed: frozenset[str], *, configured: bool
    ) -> None:
        """
        Refuse a change or get ready for it; may block while the component prepares.

        Parameters
        ----------
        params : ComponentParameters
            The new values, all together.
        changed : frozenset of str
            Which of them are new.
        configured : bool
            Whether the component is prepared now, and so has to be again.

        Raises
        ------
        GpuPerceptionError
            As the component's ``check`` and ``prepare``.

        """
        self.discard()  # of a change that rclpy refused after it was accepted here
        self._component.check(params)
        if configured and changed & self._preparing:
            self._staged = self._prepare(params)

    def take(self) -> Any:
        """Return what was prepared for the accepted change, None if nothing had to be."""
        staged, self._staged = self._staged, None
        return staged

    def discard(self) -> None:
        """Release what was prepared and never taken."""
        close_prepared(self.take())
