# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The list of models, and downloads from a server on this machine."""

from __future__ import annotations

from collections.abc import Iterator
import hashlib
import io
import json
from pathlib import Path

from file_server import served
import pytest
from rich.console import Console

from gpu_components.cli import main
from gpu_components.model_catalogue import find_model
from gpu_components.model_catalogue import known_models
from gpu_components.model_catalogue import LICENCE
from gpu_components.models_command import list_models
from gpu_runtime.errors import ModelError
from gpu_runtime.models import ModelSource
from gpu_runtime.models.weights_download import expected_digits
from gpu_runtime.models.weights_download import fetch
from gpu_runtime.models.weights_download import is_intact

DATA = bytes(range(256)) * 10_000
DIGITS = hashlib.sha256(DATA).hexdigest()[:8]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serve a good file, one whose name lies, and one without hash."""
    folder = tmp_path / 'served'
    folder.mkdir()
    for name in (f'good-{DIGITS}.pth', 'bad-00000000.pth', 'plain.bin'):
        (folder / name).write_bytes(DATA)
    with served(folder) as (address, _):
        yield address


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give torch an empty cache; returns the folder of its weights."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    return tmp_path / 'hub' / 'checkpoints'


def listed(**options: bool | str) -> tuple[int, list[dict[str, str]]]:
    """Return exit status and rows of the list."""
    out = io.StringIO()
    status = list_models(as_json=True, console=Console(file=out), **options)  # type: ignore[arg-type]
    return status, json.loads(out.getvalue())


def test_a_good_file_arrives_with_its_progress(server: str, tmp_path: Path) -> None:
    path = tmp_path / 'cache' / f'good-{DIGITS}.pth'
    steps: list[tuple[int, int]] = []
    fetch(f'{server}/{path.name}', path, lambda done, total: steps.append((done, total)))
    assert path.read_bytes() == DATA
    assert is_intact(path)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert steps[-1] == (len(DATA), len(DATA))


@pytest.mark.parametrize(
    ('name', 'reason'),
    [('bad-00000000.pth', 'does not begin with 00000000'), ('none-00000000.pth', '404')],
)
def test_a_bad_download_leaves_nothing(
    server: str, tmp_path: Path, name: str, reason: str
) -> None:
    path = tmp_path / 'cache' / name
    with pytest.raises(ModelError, match=reason) as caught:
        fetch(f'{server}/{name}', path)
    assert str(path.parent) in str(caught.value)
    assert list(path.parent.iterdir()) == []


def test_no_network_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match='on another machine'):
        fetch('http://127.0.0.1:9/x-00000000.pth', tmp_path / 'x-00000000.pth')


def test_names_promise_hashes() -> None:
    assert expected_digits('fasterrcnn_resnet50_fpn_coco-258fb6c6.pth') == '258fb6c6'
    assert expected_digits('resnet18_fbgemm_16fa66dd.pth') == '16fa66dd'
    assert expected_digits('mnasnet0.5_top1_67.823-3ffadce67e.pth') == '3ffadce67e'
    assert expected_digits('plain.bin') == ''


def test_every_known_model_can_be_used_by_its_name() -> None:
    """What is listed passes the check that a load request makes."""
    models = known_models()
    assert len({model.model for model in models}) == len(models)
    tasks = {'detection', 'segmentation', 'classification', 'depth'}
    assert {model.task for model in models} == tasks
    assert [main(['models', '--cached', '--task', task]) for task in tasks] == [0] * len(tasks)
    for model in models:
        if model.url:
            ModelSource.parse(model.model).inspect(weights=model.weights)
            assert expected_digits(model.path.name), model
            assert model.nbytes > 1_000_000, model


def test_licences_that_are_not_torchvisions_are_named() -> None:
    assert find_model('fasterrcnn_resnet50_fpn').licence == LICENCE
    assert find_model('torchvision/regnet_y_128gf').licence == 'CC-BY-NC-4.0'


def test_the_state_of_files_is_told(hub: Path) -> None:
    """Missing; cached until somebody looks; damaged, with the exit status, when one does."""
    model = find_model('resnet18')
    assert model.path.parent == hub
    assert listed(cached_only=True, task='classification') == (0, [])
    hub.mkdir(parents=True)
    model.path.write_bytes(b'not what the name says')
    status, rows = listed(cached_only=True, task='classification')
    assert (status, [row['state'] for row in rows]) == (0, ['cached'])
    assert rows[0]['model'] == 'torchvision/resnet18'
    status, rows = listed(cached_only=True, task='classification', check=True)
    assert (status, [row['state'] for row in rows]) == (1, ['damaged'])
    assert any(row['state'] == 'missing' for row in listed(task='classification')[1])


def test_the_table_names_model_state_and_licence(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['models', '--task', 'segmentation']) == 0
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if 'fcn_resnet50' in line)
    assert row.split() == ['torchvision/fcn_resnet50', '135', 'missing', LICENCE]


def test_an_unknown_name_gets_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['models', 'download', 'fasterrcnn_resnet50']) == 1
    assert 'did you mean torchvision/fasterrcnn_resnet50_fpn' in capsys.readouterr().out
