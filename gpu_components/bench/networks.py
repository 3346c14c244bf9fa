# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The networks that every contender of the benchmark runs, with the same weights.

They are made on the fly, so that nothing has to be downloaded. What random weights cost is what
trained ones cost, with one exception: a detector whose scores are all alike reports nothing and
skips its last steps. The benchmark's detector is therefore sharpened until it reports something.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from gpu_components.bench.picture import picture

SEED = 7
CLASSES = 21
NEAR_M = 0.5
FAR_M = 10.0
SHARP = 0.6
"""Score that the best box of the sharpened detector reaches at least."""


@dataclass(frozen=True)
class NetworkFiles:
    """
    Files of the networks of one picture size.

    Parameters
    ----------
    processor : str
        torch.export file, RGB 0 to 1 in and out, (1, 3, H, W).
    depth : str
        torch.export file, RGB 0 to 1 to metres, (1, 1, H, W).
    segmenter : str
        torch.export file, RGB 0 to 1 to scores, (1, :data:`CLASSES`, H, W).
    detector : str
        torchvision's name.
    detector_weights : str
        State dict of the detector.
    classifier : str
        torchvision's name.
    classifier_weights : str
        State dict of the classifier.

    """

    processor: str
    depth: str
    segmenter: str
    detector: str
    detector_weights: str
    classifier: str
    classifier_weights: str


class MetricDepth(nn.Module):
    """Two convolutions to metres between :data:`NEAR_M` and :data:`FAR_M`."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 1, 3, padding=1)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """
        Return the depth of each pixel.

        Parameters
        ----------
        picture : torch.Tensor
            float32 (1, 3, H, W), RGB 0 to 1.

        Returns
        -------
        torch.Tensor
            float32 (1, 1, H, W) in metres, on the current stream; does not block.

        """
        values = self.second(self.first(picture).relu())
        return torch.sigmoid(values) * (FAR_M - NEAR_M) + NEAR_M


def processor_network() -> nn.Module:
    """Return three convolutions from a picture to a picture, always with the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 3, 3, padding=1),
            nn.Sigmoid(),
        ).eval()


def depth_network() -> nn.Module:
    """Return two convolutions from a picture to depth, always with the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return MetricDepth().eval()


def segmenter_network() -> nn.Module:
    """Return two convolutions from a picture to class scores, always with the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, CLASSES, 3, padding=1)
        ).eval()


def write_networks(
    folder: Path, width: int, height: int, *, detector: str, classifier: str
) -> NetworkFiles:
    """
    Write the networks of one picture size; what is there already is kept.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it is not there.
    width : int
        Columns of the pictures in pixels.
    height : int
        Rows of the pictures in pixels.
    detector : str
        A detector's name in torchvision.
    classifier : str
        A classifier's name in torchvision.

    Returns
    -------
    NetworkFiles
        Their paths.  Blocks, for seconds the first time.

    """
    folder.mkdir(parents=True, exist_ok=True)
    exported = {}
    for name, network in (
        ('processor', processor_network),
        ('depth', depth_network),
        ('segmenter', segmenter_network),
    ):
        path = folder / f'{name}_{width}x{height}.pt2'
        if not path.exists():
            program = torch.export.export(network(), (torch.zeros(1, 3, height, width),))
            torch.export.save(program, str(path))
        exported[name] = str(path)
    return NetworkFiles(
        **exported,
        detector=detector,
        detector_weights=_write_weights(folder, detector),
        classifier=classifier,
        classifier_weights=_write_weights(folder, classifier),
    )


def _write_weights(folder: Path, name: str) -> str:
    path = folder / f'{name}.pth'
    if not path.exists():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            network = bare_network(name)
        if any(key.endswith('cls_score.weight') for key in network.state_dict()):
            _sharpen(network)
        torch.save(network.state_dict(), path)
    return str(path)


def bare_network(name: str) -> nn.Module:
    """
    Return one of torchvision's networks with random weights, in evaluation mode.

    Parameters
    ----------
    name : str
        torchvision's name.

    Returns
    -------
    torch.nn.Module
        On the host.

    """
    from torchvision import models

    options = {'weights': None}
    if name in models.list_models(module=models.detection):
        options['weights_backbone'] = None
    network: nn.Module = models.get_model(name, **options).eval()
    return network


def _sharpen(detector: nn.Module) -> None:
    """Scale what the class scores are made of until some box is certain."""
    example = torch.from_numpy(picture(160, 120)).permute(2, 0, 1) / 255.0
    parameters = dict(detector.named_parameters())
    (score,) = (p for name, p in parameters.items() if name.endswith('cls_score.weight'))
    with torch.inference_mode(False), torch.no_grad():
        for _ in range(24):
            scores = detector([example])[0]['scores']
            if len(scores) and float(scores.max()) > SHARP:
                return
            score.mul_(2.0)
