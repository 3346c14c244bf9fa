# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Names for a number of classes, with or without a background class in front."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpu_runtime.detection.label_map import LabelMap
from gpu_runtime.detection.labels import load_labels
from gpu_runtime.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

_BACKGROUND = ('background', '__background__', 'unlabeled', 'dummy')
_SETS = {21: 'voc21', 1000: 'imagenet1k', 1001: 'imagenet1k'}


def class_names(labels: str | Sequence[str], count: int) -> LabelMap:
    """
    Return one name per class of a network.

    Parameters
    ----------
    labels : str or sequence of str
        As for ``load_labels``; or ``'auto'``: the set that has this many classes (VOC, ImageNet),
        else their numbers.
    count : int
        Classes that the network tells apart.

    Returns
    -------
    LabelMap
        Of exactly ``count`` names.  A background class that only one of the two has in front is
        dropped or added: ImageNet comes with 1000 and with 1001 classes.

    Raises
    ------
    ParameterError
        If the labels cannot be read, or are of another number.

    """
    if labels == 'auto':
        labels = _SETS.get(count, tuple(map(str, range(count))))
    names = load_labels(labels).names
    has_background = names[0].lower() in _BACKGROUND
    if len(names) == count + 1 and has_background:
        names = names[1:]
    elif len(names) == count - 1 and not has_background:
        names = ('background', *names)
    if len(names) != count:
        raise ParameterError(
            f'labels has {len(names)} names; the network tells {count} classes apart: give one '
            'name per class, a background class in front or not, or set labels to auto'
        )
    return LabelMap(names)
