# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Names of a network's classes."""

from __future__ import annotations

from collections.abc import Iterable
import difflib

from gpu_runtime.errors import ParameterError


class LabelMap:
    """
    From class ids to names and back.

    Parameters
    ----------
    names : iterable of str
        The name of class id 0, 1, and so on.

    Examples
    --------
    >>> LabelMap(['cat', 'dog']).ids(['dog'])
    (1,)

    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)

    def __len__(self) -> int:
        """Return the number of class ids that have a name."""
        return len(self._names)

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order of their class ids."""
        return self._names

    def name(self, class_id: int) -> str:
        """
        Return the name of a class.

        Parameters
        ----------
        class_id : int
            As the network counts.

        Returns
        -------
        str
            The number itself where there is no name.

        """
        if 0 <= class_id < len(self._names):
            return self._names[class_id]
        return str(class_id)

    def ids(self, names: Iterable[str]) -> tuple[int, ...]:
        """
        Return the class ids of names.

        Parameters
        ----------
        names : iterable of str
            Spelt as in the label set.  A name that occurs twice gives both ids.

        Returns
        -------
        tuple of int
            In rising order.

        Raises
        ------
        ParameterError
            If a name is not in the set.

        """
        wanted = set(names)
        for name in sorted(wanted.difference(self._names)):
            close = difflib.get_close_matches(name, self._names, n=3)
            known = ', '.join(close) if close else ', '.join(self._names[:10]) + ', ...'
            raise ParameterError(
                f'class {name!r} is not one of the {len(self)} labels; '
                + (f'did you mean {known}?' if close else f'expected one of {known}')
            )
        return tuple(index for index, name in enumerate(self._names) if name in wanted)
