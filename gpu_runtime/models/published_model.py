# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Networks that others publish as one file without code: fetched on first use, known by hash."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gpu_runtime.errors import ModelError
from gpu_runtime.models.weights_download import fetch


@dataclass(frozen=True)
class PublishedModel:
    """
    A model file on the network.

    Parameters
    ----------
    name : str
        Value of the parameter ``model``.
    task : str
        What it does: ``'depth'``.
    url : str
        Where the publisher has it.
    sha256 : str
        Hash of the file; another file is never loaded.
    nbytes : int
        Its size.
    licence : str
        Under which it is published.
    publisher : str
        Who publishes it.
    input_wh : tuple of int
        Width and height of the picture it reads, in pixels.

    """

    name: str
    task: str
    url: str
    sha256: str
    nbytes: int
    licence: str
    publisher: str
    input_wh: tuple[int, int]

    @property
    def path(self) -> Path:
        """Where the file is once it is here: beside torchvision's weights."""
        import torch

        suffix = Path(self.url).suffix
        name = f'{self.name.replace("/", "_")}-{self.sha256}{suffix}'
        return Path(torch.hub.get_dir()) / 'checkpoints' / name

    def require(self) -> Path:
        """
        Return the file, downloaded if it is not here; blocks.

        Returns
        -------
        Path
            A file with the promised hash.

        Raises
        ------
        ModelError
            If it cannot be had.

        """
        if self.path.is_file():
            return self.path
        try:
            fetch(self.url, self.path)
        except ModelError as error:
            raise ModelError(
                f'the model {self.name} is not at {self.path} and cannot be downloaded '
                f'({error.__cause__}); fetch {self.url} on another machine and save it under '
                'that name, or set the parameter model to a file'
            ) from error
        return self.path


MIDAS_SMALL = PublishedModel(
    name='midas/v21_small',
    task='depth',
    url='https://github.com/isl-org/MiDaS/releases/download/v2_1/model-small.onnx',
    sha256='2d8c6cb8f415229daf1eb041024208e2608c9f98e17c81cc7c6ecb449c56fd58',
    nbytes=66_764_249,
    licence='MIT',
    publisher='Intel ISL',
    input_wh=(256, 256),
)
"""MiDaS v2.1 small: relative inverse depth.  Source: Ranftl et al., TPAMI 2022; its release."""

PUBLISHED = {model.name: model for model in (MIDAS_SMALL,)}
"""Every network of this kind by the value of the parameter ``model``."""
