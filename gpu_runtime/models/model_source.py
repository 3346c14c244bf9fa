# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Where a network comes from: named by one string, checked quickly, loaded later."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
import os
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_runtime.errors import ModelError
from gpu_runtime.models.onnx_signature import OnnxSignature
from gpu_runtime.models.published_model import PUBLISHED
from gpu_runtime.models.published_model import PublishedModel
from gpu_runtime.models.source_kind import SourceKind

if TYPE_CHECKING:
    import torch

_PREFIX = 'torchvision/'
_KINDS = {
    '.onnx': SourceKind.ONNX,
    '.pt2': SourceKind.EXPORTED,
    '.pt': SourceKind.TORCHSCRIPT,
    '.ts': SourceKind.TORCHSCRIPT,
    '.torchscript': SourceKind.TORCHSCRIPT,
}
_WEIGHTS_ONLY = ('.safetensors', '.pth')


@dataclass(frozen=True)
class ModelSource:
    """
    A network that can be loaded.

    Parameters
    ----------
    kind : SourceKind
        What it is.
    name : str
        torchvision's name of it, or the path of the file.
    published : PublishedModel, optional
        Where the file comes from if it is not there.

    """

    kind: SourceKind
    name: str
    published: PublishedModel | None = None

    @classmethod
    def parse(cls, text: str) -> ModelSource:
        """
        Read the parameter ``model``; touches no file.

        Parameters
        ----------
        text : str
            ``torchvision/<name>``, the name of a :class:`PublishedModel`, or a path ending in
            .onnx, .pt2, .pt, .ts or .torchscript.

        Returns
        -------
        ModelSource
            Not yet known to exist: call :meth:`inspect`.

        Raises
        ------
        ModelError
            If the text names no kind of source.

        Examples
        --------
        >>> ModelSource.parse('torchvision/fasterrcnn_resnet50_fpn').name
        'fasterrcnn_resnet50_fpn'

        """
        if text.startswith(_PREFIX):
            return cls(SourceKind.TORCHVISION, text.removeprefix(_PREFIX))
        if (published := PUBLISHED.get(text)) is not None:
            path = published.path
            return cls(_KINDS[path.suffix], str(path), published)
        suffix = Path(text).suffix.lower()
        if suffix in _WEIGHTS_ONLY:
            raise ModelError(
                f'model {text!r} holds weights without a network; expected torchvision/<name> as '
                'model and this file as weights'
            )
        if suffix not in _KINDS:
            raise ModelError(
                f'model {text!r} is of no known kind; expected torchvision/<name>, '
                f'{", ".join(PUBLISHED)}, or a file ending in {", ".join(_KINDS)}'
            )
        return cls(_KINDS[suffix], str(Path(text).expanduser()))

    @cached_property
    def signature(self) -> OnnxSignature | None:
        """Names and shapes of an ONNX file's inputs and outputs; None if not known yet."""
        if self.kind is not SourceKind.ONNX or self._awaited:
            return None
        return OnnxSignature.read(self._file())

    def inspect(self, *, weights: str = 'DEFAULT', allow_unsafe_models: bool = False) -> None:
        """
        Check what can be checked without loading, so that a load request is refused at once.

        Parameters
        ----------
        weights : str
            As for :meth:`load`.
        allow_unsafe_models : bool
            As for :meth:`load`.

        Raises
        ------
        ModelError
            If the source does not exist, is not what its name says, or is not allowed.

        """
        from gpu_runtime.models import torch_archive
        from gpu_runtime.models.torchvision_source import check_torchvision

        if self.kind is SourceKind.TORCHVISION:
            check_torchvision(self.name, weights)
            return
        path = Path(self.name) if self._awaited else self._file()
        if weights not in ('', 'DEFAULT'):
            raise ModelError(
                f'weights {weights!r} cannot be applied to {path}, which has its own; expected '
                "weights 'DEFAULT' with a model file, or torchvision/<name> as model"
            )
        if self._awaited:
            return
        if self.kind is SourceKind.ONNX:
            _ = self.signature
        elif self.kind is SourceKind.EXPORTED:
            torch_archive.check_export(path, allow_unsafe_models=allow_unsafe_models)
        else:
            torch_archive.check_torchscript(path, allow_unsafe_models=allow_unsafe_models)

    def load(
        self,
        *,
        weights: str = 'DEFAULT',
        allow_unsafe_models: bool = False,
        device: torch.device,
    ) -> torch.nn.Module:
        """
        Load the network.

        Parameters
        ----------
        weights : str
            For torchvision: ``'DEFAULT'`` or another enum name, ``'none'`` (random), or a .pth
            or .safetensors file.  Other kinds have their own: ``'DEFAULT'``.
        allow_unsafe_models : bool
            Accept TorchScript, and torch.export files that may run code.
        device : torch.device
            Where the weights go.

        Returns
        -------
        torch.nn.Module
            Ready for inference, without gradients.  Blocks for seconds, and while a published
            file is downloaded.

        Raises
        ------
        ModelError
            If :meth:`inspect` refuses it, or its content is damaged or unsupported.

        """
        self.inspect(weights=weights, allow_unsafe_models=allow_unsafe_models)
        module = self._load(weights, device)
        for parameter in module.parameters():  # TorchScript has no requires_grad_() as a whole
            parameter.requires_grad_(False)
        return module.to(device)

    def _load(self, weights: str, device: torch.device) -> torch.nn.Module:
        from gpu_runtime.models import torch_archive
        from gpu_runtime.models.onnx_source import load_onnx
        from gpu_runtime.models.torchvision_source import load_torchvision

        if self.published is not None:
            self.published.require()
        if self.kind is SourceKind.TORCHVISION:
            return load_torchvision(self.name, weights)
        if self.kind is SourceKind.ONNX:
            return load_onnx(self._file())
        if self.kind is SourceKind.EXPORTED:
            return torch_archive.load_export(self._file(), device)
        return torch_archive.load_torchscript(self._file(), device)

    @property
    def _awaited(self) -> bool:
        """Whether the file is published, and not here yet."""
        return self.published is not None and not Path(self.name).is_file()

    def _file(self) -> Path:
        path = Path(self.name).absolute()
        if not path.exists():
            raise ModelError(
                f'model file {path} does not exist; expected a file: correct the parameter model'
            )
        if not path.is_file():
            raise ModelError(f'model {path} is not a file; expected one: correct the parameter')
        if not os.access(path, os.R_OK):
            raise ModelError(f'model file {path} cannot be read; give this user read permission')
        if path.stat().st_size == 0:
            raise ModelError(f'model file {path} is empty; export or download it again')
        return path
