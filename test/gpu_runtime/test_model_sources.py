# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Every kind of source: what is accepted, what is refused, and that refusals name the remedy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import json
import os
from pathlib import Path
import subprocess
import sys
import time
from typing import Any
import zipfile

import onnx
from onnx import helper
from onnx import TensorProto
import pytest
from safetensors.torch import save_file
import torch

from gpu_runtime.errors import ModelError
from gpu_runtime.models import ModelSource
from gpu_runtime.models import SourceKind
from gpu_runtime.models import weights_download
from gpu_runtime.models.grid_sample import register_grid_sample

CPU = torch.device('cpu')
NAME = 'mobilenet_v3_small'


def network() -> torch.nn.Module:
    """Return a small network."""
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()).eval()


def save_onnx(path: Path, op: str = 'Relu', name: str = 'a', domain: str = '') -> Path:
    """Write an ONNX file of one node."""
    shape = [1, 3, 8, 8]
    graph = helper.make_graph(
        [helper.make_node(op, ['images'], ['y'], name=name, domain=domain)],
        'g',
        [helper.make_tensor_value_info('images', TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, shape)],
    )
    opsets = [helper.make_opsetid('', 17)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    onnx.save(helper.make_model(graph, opset_imports=opsets), str(path))
    return path


def save_export(path: Path, dynamic: bool = False) -> Path:
    """Write a torch.export file."""
    shapes = ({2: torch.export.Dim('h', min=8, max=512)},) if dynamic else None
    program = torch.export.export(
        torch.nn.Conv2d(3, 4, 3).eval(), (torch.rand(1, 3, 16, 16),), dynamic_shapes=shapes
    )
    torch.export.save(program, str(path))
    return path


def rewrite(path: Path, edits: dict[str, bytes]) -> Path:
    """Replace or add members of a zip archive, named by the end of their name."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    top = next(iter(members)).split('/')[0]
    for end, data in edits.items():
        members[f'{top}/{end}'] = data
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def graph_of(path: Path) -> dict:
    """Return the graph inside a torch.export file."""
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith('models/model.json'))
        return json.loads(archive.read(name))


@pytest.mark.parametrize(
    ('text', 'kind'),
    [
        ('torchvision/resnet18', SourceKind.TORCHVISION),
        ('a/b.onnx', SourceKind.ONNX),
        ('b.ONNX', SourceKind.ONNX),
        ('b.pt2', SourceKind.EXPORTED),
        ('b.pt', SourceKind.TORCHSCRIPT),
        ('b.torchscript', SourceKind.TORCHSCRIPT),
    ],
)
def test_kind_follows_the_spelling(text: str, kind: SourceKind) -> None:
    assert ModelSource.parse(text).kind is kind


@pytest.mark.parametrize('text', ['', 'resnet18', 'a.tflite', 'b.safetensors', 'b.pth'])
def test_unknown_spelling_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ModelError, match='torchvision/<name>'):
        ModelSource.parse(text)


@pytest.mark.parametrize('suffix', ['onnx', 'pt2', 'pt', 'ts', 'torchscript'])
@pytest.mark.parametrize(
    'content', [b'', b'\x00' * 64, os.urandom(4096), b'PK\x03\x04 cut short', b'<html>404</html>']
)
def test_garbage_is_refused_on_inspection(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f'model.{suffix}'
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r'model\.'):
        ModelSource.parse(str(path)).inspect(allow_unsafe_models=True)


@pytest.mark.parametrize('suffix', ['onnx', 'pt2', 'pt'])
def test_missing_file_and_folder(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f'model.{suffix}'
    with pytest.raises(ModelError, match='does not exist'):
        ModelSource.parse(str(path)).inspect()
    path.mkdir()
    with pytest.raises(ModelError, match='not a file'):
        ModelSource.parse(str(path)).inspect()


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    for path in (save_onnx(tmp_path / 'a.onnx'), save_export(tmp_path / 'a.pt2')):
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        with pytest.raises(ModelError, match='again'):
            ModelSource.parse(str(path)).inspect()


def test_weights_with_a_model_file_are_not_ignored(tmp_path: Path) -> None:
    source = ModelSource.parse(str(save_onnx(tmp_path / 'a.onnx')))
    with pytest.raises(ModelError, match='its own'):
        source.inspect(weights='none')


def test_onnx_signature_and_load(tmp_path: Path) -> None:
    source = ModelSource.parse(str(save_onnx(tmp_path / 'a.onnx')))
    assert source.signature is not None
    assert source.signature.inputs == {'images': (1, 3, 8, 8)}
    assert source.signature.outputs == {'y': (1, 3, 8, 8)}
    x = torch.randn(1, 3, 8, 8)
    assert torch.equal(source.load(device=CPU)(x), x.relu())


@pytest.mark.parametrize(('op', 'domain'), [('StringNormalizer', ''), ('Magic', 'my.ops')])
def test_onnx_operation_that_cannot_be_converted(tmp_path: Path, op: str, domain: str) -> None:
    source = ModelSource.parse(str(save_onnx(tmp_path / 'a.onnx', op, domain=domain)))
    with pytest.raises(ModelError, match=op):
        source.load(device=CPU)


def test_onnx_files_are_loaded_side_by_side_from_the_first_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As components are prepared; onnx2torch refuses to learn an operation twice."""
    from onnx2torch.node_converters import registry

    source = ModelSource.parse(str(save_onnx(tmp_path / 'a.onnx')))
    source.load(device=CPU)
    known = registry._CONVERTER_REGISTRY.items()
    untaught = {op: make for op, make in known if op.operation_type != 'GridSample'}
    assert len(untaught) < len(known)
    add = registry.add_converter

    def slowly(**operation: Any) -> Any:
        time.sleep(0.02)
        return add(**operation)

    monkeypatch.setattr(registry, '_CONVERTER_REGISTRY', untaught)
    monkeypatch.setattr(registry, 'add_converter', slowly)
    register_grid_sample.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(lambda _: source.load(device=CPU), range(4)))
    assert len(loaded) == 4
    assert len(untaught) == len(known)


def test_onnx_node_names_are_never_run(tmp_path: Path) -> None:
    mark = tmp_path / 'mark'
    name = f'x") or open("{mark}", "w") or getattr(self, "x'
    source = ModelSource.parse(str(save_onnx(tmp_path / 'a.onnx', name=name)))
    x = torch.randn(1, 3, 8, 8)
    assert torch.equal(source.load(device=CPU)(x), x.relu())
    assert not mark.exists()


def test_export_loads_and_keeps_dynamic_sizes(tmp_path: Path) -> None:
    source = ModelSource.parse(str(save_export(tmp_path / 'a.pt2', dynamic=True)))
    source.inspect()
    module = source.load(device=CPU)
    assert module(torch.rand(1, 3, 40, 16)).shape == (1, 4, 38, 14)
    assert not any(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_exports_load_on_any_thread(tmp_path: Path) -> None:
    """One thread after the other, and several at once; torch alone crashes or refuses."""
    code = """
import sys, threading, torch
from gpu_runtime.models import ModelSource

def load():
    loaded.append(ModelSource.parse(sys.argv[1]).load(device=torch.device("cpu")))

loaded = []
for together in (1, 1, 4):
    threads = [threading.Thread(target=load) for _ in range(together)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print(len(loaded))
"""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code, str(save_export(tmp_path / 'a.pt2'))],
        capture_output=True,
        text=True,
        timeout=250.0,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, '6'), done.stderr


def test_export_of_a_whole_network_passes_the_audit(tmp_path: Path) -> None:
    from torchvision.models import get_model

    network = get_model(NAME, weights=None).eval()
    x = torch.rand(1, 3, 64, 64)
    path = tmp_path / 'a.pt2'
    torch.export.save(torch.export.export(network, (x,)), str(path))
    loaded = ModelSource.parse(str(path)).load(device=CPU)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(x), network(x))


class Evil:
    """Runs code when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return (os.mkdir, (str(self.mark),))


def test_export_that_could_run_code_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / 'mark'
    evil = tmp_path / 'evil.pt'
    torch.save(Evil(mark), evil)
    graph = graph_of(save_export(tmp_path / 'a.pt2'))

    def edited(**edit: object) -> bytes:
        return json.dumps({**graph, **edit}).encode()

    target = json.loads(json.dumps(graph))
    target['graph_module']['graph']['nodes'][0]['target'] = 'torch.os.mkdir'
    expression = json.loads(json.dumps(graph))
    expression['extra'] = {'expr_str': f'__import__("os").mkdir("{mark}")'}
    config = {'config': {'weight': {'path_name': 'weight_0', 'use_pickle': True}}}
    cases = {
        'pickled tensor': {
            'data/weights/model_weights_config.json': json.dumps(config).encode(),
            'data/weights/weight_0': evil.read_bytes(),
        },
        'sample inputs': {'data/sample_inputs/model.pt': evil.read_bytes()},
        'torch.os.mkdir': {'models/model.json': json.dumps(target).encode()},
        'expression': {'models/model.json': json.dumps(expression).encode()},
        'guards': {'models/model.json': edited(guards_code=['import os'])},
        'member': {'data/constants/custom_obj_0': b'x'},
    }
    for reason, edits in cases.items():
        path = rewrite(save_export(tmp_path / 'b.pt2'), edits)
        with pytest.raises(ModelError, match=f'(?s){reason}.*allow_unsafe_models'):
            ModelSource.parse(str(path)).load(device=CPU)
        assert not mark.exists(), reason


def test_torchscript_needs_permission(tmp_path: Path) -> None:
    path = tmp_path / 'a.pt'
    module = network()
    x = torch.rand(1, 3, 8, 8)
    torch.jit.trace(module, x).save(str(path))
    source = ModelSource.parse(str(path))
    with pytest.raises(ModelError, match='allow_unsafe_models'):
        source.inspect()
    with pytest.raises(ModelError, match='allow_unsafe_models'):
        source.load(device=CPU)
    with torch.inference_mode():
        loaded = source.load(device=CPU, allow_unsafe_models=True)(x)
        torch.testing.assert_close(loaded, module(x))


def test_checkpoint_as_model_names_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / 'a.pt'
    torch.save(network().state_dict(), path)
    with pytest.raises(ModelError, match='weights to this file'):
        ModelSource.parse(str(path)).inspect(allow_unsafe_models=True)


def test_torchvision_name_and_weights_are_checked_without_loading() -> None:
    with pytest.raises(ModelError, match='fasterrcnn_resnet50_fpn'):
        ModelSource.parse('torchvision/fasterrcnn_resnet_50').inspect()
    with pytest.raises(ModelError, match='COCO_V1'):
        ModelSource.parse('torchvision/fasterrcnn_resnet50_fpn').inspect(weights='COCO_V9')
    with pytest.raises(ModelError, match='does not exist'):
        ModelSource.parse(f'torchvision/{NAME}').inspect(weights='/nowhere/w.pth')
    ModelSource.parse('torchvision/fasterrcnn_resnet50_fpn').inspect(weights='COCO_V1')


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_torchvision_with_local_weights(tmp_path: Path, suffix: str) -> None:
    from torchvision.models import get_model

    torch.manual_seed(1)
    network = get_model(NAME, weights=None).eval()
    path = tmp_path / f'w.{suffix}'
    if suffix == 'pth':
        torch.save({'model': network.state_dict(), 'epoch': 3}, path)
    else:
        save_file(network.state_dict(), path)
    loaded = ModelSource.parse(f'torchvision/{NAME}').load(weights=str(path), device=CPU)
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(x), network(x))


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_garbage_weights_are_refused(tmp_path: Path, suffix: str) -> None:
    source = ModelSource.parse(f'torchvision/{NAME}')
    path = tmp_path / f'w.{suffix}'
    for content in (b'', b'\x00' * 64, os.urandom(2048)):
        path.write_bytes(content)
        with pytest.raises(ModelError, match='cannot be loaded safely'):
            source.load(weights=str(path), device=CPU)


def test_hostile_weights_do_not_run(tmp_path: Path) -> None:
    mark = tmp_path / 'mark'
    path = tmp_path / 'w.pth'
    torch.save({'a': Evil(mark)}, path)
    with pytest.raises(ModelError, match='cannot be loaded safely'):
        ModelSource.parse(f'torchvision/{NAME}').load(weights=str(path), device=CPU)
    assert not mark.exists()


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / 'w.pth'
    torch.save(network().state_dict(), path)
    with pytest.raises(ModelError, match='this very network'):
        ModelSource.parse(f'torchvision/{NAME}').load(weights=str(path), device=CPU)


def test_published_weights_without_network_name_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(url: str, timeout: float) -> None:
        assert timeout <= 10
        raise OSError('no network')

    monkeypatch.setattr(weights_download.urllib.request, 'urlopen', refuse)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with pytest.raises(ModelError, match=r'checkpoints/fasterrcnn.*no network.*local'):
        ModelSource.parse('torchvision/fasterrcnn_resnet50_fpn').load(device=CPU)
    assert not list((tmp_path / 'hub' / 'checkpoints').iterdir())


def test_published_weights_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import get_model
    from torchvision.models import get_model_weights

    torch.manual_seed(2)
    network = get_model(NAME, weights=None).eval()
    member = get_model_weights(NAME).DEFAULT
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    cache = tmp_path / 'hub' / 'checkpoints' / member.url.rsplit('/', 1)[-1]
    cache.parent.mkdir(parents=True)
    torch.save(network.state_dict(), cache)
    loaded = ModelSource.parse(f'torchvision/{NAME}').load(device=CPU)
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(x), network(x))
