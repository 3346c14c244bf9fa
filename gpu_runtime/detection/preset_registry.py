# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Presets by name, and the one that fits a model."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from gpu_runtime.detection.centerface_preset import CenterfacePreset
from gpu_runtime.detection.detr_preset import DetrPreset
from gpu_runtime.detection.torchvision_preset import TorchvisionPreset
from gpu_runtime.detection.yolox_preset import YoloxPreset
from gpu_runtime.errors import ModelError
from gpu_runtime.errors import WiringError

if TYPE_CHECKING:
    from gpu_runtime.detection.preset import DetectionPreset
    from gpu_runtime.models.model_source import ModelSource

_PRESETS: dict[str, type[DetectionPreset]] = {}


def register_preset(preset: type[DetectionPreset]) -> None:
    """
    Add a family of detectors; ``auto`` asks those added last first.

    Parameters
    ----------
    preset : type
        A subclass of :class:`DetectionPreset` with a name of its own.

    Raises
    ------
    WiringError
        If the name is taken, or is ``auto``.

    """
    taken = _PRESETS.get(preset.name)
    if taken is not None or preset.name == 'auto':
        owner = 'this package' if taken is None else f'{taken.__module__}.{taken.__qualname__}'
        raise WiringError(
            f'preset {preset.name!r} of {preset.__module__} is already taken by {owner}; give it '
            'another name'
        )
    _PRESETS[preset.name] = preset


def preset_names() -> tuple[str, ...]:
    """Return every value of the parameter ``preset``, ``auto`` first."""
    return ('auto', *_PRESETS)


def resolve_preset(
    name: str, source: ModelSource, *, input_wh: tuple[int, int] | None = None
) -> DetectionPreset:
    """
    Return the preset for a model; loads nothing but the head of an ONNX file.

    Parameters
    ----------
    name : str
        A registered name, or ``'auto'``.
    source : ModelSource
        The model.
    input_wh : tuple of int, optional
        Width and height of the network's input in pixels, where the model leaves it open.

    Returns
    -------
    DetectionPreset
        For this model alone.

    Raises
    ------
    ModelError
        If the name is unknown, ``auto`` recognises nothing, or the preset refuses the model.

    """
    if name == 'auto':
        return _recognised(source).from_source(source, input_wh)
    if name not in _PRESETS:
        close = difflib.get_close_matches(name, preset_names(), n=1)
        raise ModelError(
            f'preset {name!r} is unknown; expected one of {", ".join(preset_names())}'
            + (f': did you mean {close[0]}?' if close else '')
        )
    return _PRESETS[name].from_source(source, input_wh)


def _recognised(source: ModelSource) -> type[DetectionPreset]:
    for preset in reversed(_PRESETS.values()):
        if preset.recognises(source):
            return preset
    signature = source.signature
    ends = f' (inputs {signature.inputs}, outputs {signature.outputs})' if signature else ''
    raise ModelError(
        f'preset auto does not recognise {source.name!r}{ends} as a detector; expected the form '
        f'of one of {", ".join(_PRESETS)}: set the parameter preset to the one that fits'
    )


for _preset in (TorchvisionPreset, YoloxPreset, DetrPreset, CenterfacePreset):
    register_preset(_preset)
