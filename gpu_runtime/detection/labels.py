# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Where the names of classes come from: a published set, a file, or a list."""

from __future__ import annotations

from collections.abc import Sequence
import json
from pathlib import Path

from gpu_runtime.detection.label_map import LabelMap
from gpu_runtime.errors import ParameterError

LABEL_SETS = ('coco80', 'coco91', 'voc21', 'imagenet1k', 'face')
"""
The sets that are known by name.

``coco91`` is the numbering of the annotations, with a background class 0 and gaps; ``coco80`` the
80 classes without either, from 0.  ``voc21`` has a background class 0.
"""


def load_labels(labels: str | Sequence[str]) -> LabelMap:
    """
    Return the names for class ids.

    Parameters
    ----------
    labels : str or sequence of str
        One of :data:`LABEL_SETS`; a .txt file with one name per line; a .json or .yaml file with
        a list, or a mapping from id to name; or the names themselves.

    Returns
    -------
    LabelMap
        Blocks while it reads a file or imports torchvision, whose lists the sets are.

    Raises
    ------
    ParameterError
        If there is no such set or file, or its content is neither.

    """
    if not isinstance(labels, str):
        return LabelMap(_require_names(list(labels), 'labels'))
    if labels in LABEL_SETS:
        return LabelMap(_published(labels))
    path = Path(labels).expanduser()
    if path.suffix.lower() not in ('.txt', '.json', '.yaml', '.yml'):
        raise ParameterError(
            f'labels {labels!r} is no known set; expected one of {", ".join(LABEL_SETS)}, a '
            '.txt, .json or .yaml file, or a list of names'
        )
    return LabelMap(_read(path))


def _published(name: str) -> tuple[str, ...]:
    if name == 'face':
        return ('face',)
    from torchvision.models import ResNet18_Weights
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights
    from torchvision.models.segmentation import DeepLabV3_ResNet50_Weights

    weights = {
        'imagenet1k': ResNet18_Weights.IMAGENET1K_V1,
        'voc21': DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1,
    }.get(name, FasterRCNN_ResNet50_FPN_Weights.COCO_V1)
    categories = tuple(weights.meta['categories'])
    if name == 'coco80':
        return tuple(label for label in categories if label not in ('__background__', 'N/A'))
    return categories


def _read(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding='utf-8')
        if path.suffix.lower() == '.txt':
            return _require_names([line.strip() for line in text.splitlines()], str(path))
        return _require_names(_parsed(text, path), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(
            f'label file {path.absolute()} cannot be read ({error}); expected a UTF-8 text file: '
            'correct the parameter labels'
        ) from error


def _parsed(text: str, path: Path) -> object:
    import yaml

    try:
        return json.loads(text) if path.suffix.lower() == '.json' else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise ParameterError(
            f'label file {path.absolute()} is damaged ({str(error).splitlines()[0]}); expected a '
            'list of names, or a mapping from id to name'
        ) from error


def _require_names(value: object, where: str) -> list[str]:
    """Return a list of names, from a list or from a mapping without gaps to fill."""
    if isinstance(value, dict):
        value = _listed(value)
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise ParameterError(
            f'{where} holds no names; expected a list of strings, or a mapping from id to name'
        )
    while value and not value[-1]:
        value.pop()  # A file's empty last lines; an empty line inside keeps its number.
    return value


def _listed(mapping: dict[object, object]) -> list[object]:
    """Order a mapping from id to name; ids without a name get their number."""
    try:
        by_id = {int(str(key)): name for key, name in mapping.items()}
    except ValueError:
        return []
    if not by_id or min(by_id) < 0 or max(by_id) > 1_000_000:
        return []
    return [by_id.get(number, str(number)) for number in range(max(by_id) + 1)]
