# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The store of engines: whole or absent, private, within its limit, shared by processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
import json
import os
from pathlib import Path
import signal
import time

import pytest

from gpu_runtime.engines import default_folder
from gpu_runtime.engines import EngineKey
from gpu_runtime.engines import EngineStore
from gpu_runtime.engines.engine_key import FORMAT
from gpu_runtime.errors import EngineError

KEY = EngineKey(
    model='a.onnx',
    backend='compile',
    precision='fp32',
    inputs='float32 (1, 3, 4, 4)',
    device='a card',
    graph='g',
    weights='w',
    libraries='torch 1',
)
MIB = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    """Return an empty store of 4 MiB."""
    return EngineStore(tmp_path / 'engines', 4)


def put(store: EngineStore, key: EngineKey = KEY, data: bytes = b'engine') -> None:
    """Add an engine."""
    with store.aside() as folder:
        file = folder / 'built'
        file.write_bytes(data)
        store.add(key, file, {'remark': 'quick'})


def in_child(work: Callable[[], None]) -> int:
    """Run something in a process of its own, which is not waited for."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def test_an_engine_comes_back_with_what_is_known_of_it(store: EngineStore) -> None:
    assert store.find(KEY) is None
    put(store)
    entry = store.find(KEY)
    assert entry is not None
    assert entry.file.read_bytes() == b'engine'
    assert entry.facts == {'remark': 'quick'}
    assert [e.key for e in store.entries()] == [KEY]
    assert not list(store.folder.glob('aside-*'))


@pytest.mark.parametrize(
    'other',
    [
        {'backend': 'tensorrt'},
        {'precision': 'fp16'},
        {'inputs': 'float32 (1, 3, 4, 5)'},
        {'device': 'another card'},
        {'graph': 'h'},
        {'weights': 'x'},
        {'libraries': 'torch 2'},
        {'format': FORMAT + 1},
    ],
)
def test_whatever_an_engine_was_made_of_is_part_of_its_key(
    store: EngineStore, other: dict
) -> None:
    put(store)
    assert store.find(replace(KEY, **other)) is None


@pytest.mark.parametrize('damage', ['bytes', 'short', 'no engine', 'no index', 'index', 'key'])
def test_a_damaged_engine_is_as_if_it_were_not_there(store: EngineStore, damage: str) -> None:
    put(store)
    folder = store.folder / KEY.digest
    index = folder / 'index.json'
    if damage == 'bytes':
        (folder / 'engine').write_bytes(b'Engine')
    elif damage == 'short':
        (folder / 'engine').write_bytes(b'eng')
    elif damage == 'no engine':
        (folder / 'engine').unlink()
    elif damage == 'no index':
        index.unlink()
    elif damage == 'index':
        index.write_text('{"key"', encoding='utf-8')
    else:
        data = json.loads(index.read_text(encoding='utf-8'))
        data['key']['weights'] = 'of another network'
        index.write_text(json.dumps(data), encoding='utf-8')
    assert store.find(KEY) is None
    assert not folder.exists()
    put(store)
    assert store.find(KEY) is not None


def test_what_was_used_longest_ago_goes_first(store: EngineStore) -> None:
    keys = [replace(KEY, model=name) for name in 'abcd']
    for age, key in enumerate(keys[:3]):
        put(store, key, bytes(MIB))
        os.utime(store.folder / key.digest / 'index.json', (1e9 + age, 1e9 + age))
    assert store.find(keys[0]) is not None  # used now
    put(store, keys[3], bytes(2 * MIB))
    assert {entry.key.model for entry in store.entries()} == {'a', 'c', 'd'}


def test_an_engine_larger_than_the_store_is_refused(store: EngineStore) -> None:
    put(store)
    with pytest.raises(EngineError, match='increase engine_store_mb'):
        put(store, replace(KEY, model='large'), bytes(5 * MIB))
    assert store.find(KEY) is not None


def test_the_folder_is_private(store: EngineStore) -> None:
    put(store)
    assert store.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize('mode', [0o777, 0o770, 0o1777])
def test_a_folder_that_others_write_is_refused(store: EngineStore, mode: int) -> None:
    put(store)
    store.folder.chmod(mode)
    for use in (lambda: store.find(KEY), store.open, lambda: put(store)):
        with pytest.raises(EngineError, match=f'chmod 700 {store.folder}'):
            use()


def test_a_folder_of_somebody_else_is_refused(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store)
    mine = os.geteuid()
    monkeypatch.setattr(os, 'geteuid', lambda: mine + 1)
    with pytest.raises(EngineError, match=f'belongs to user {mine}.*set engine_store'):
        store.find(KEY)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(EngineError, match=r'cannot be made.*set engine_store'):
        EngineStore(tmp_path / 'file' / 'engines', 1).open()


def test_the_default_folder_is_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', '/var/cache/robot')
    assert default_folder() == Path('/var/cache/robot/gpu_perception/engines')
    monkeypatch.setenv('XDG_CACHE_HOME', 'relative')
    assert default_folder() == Path.home() / '.cache/gpu_perception/engines'


@pytest.mark.parametrize('delay_s', [0.0, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08])
def test_a_killed_process_leaves_all_or_nothing(tmp_path: Path, delay_s: float) -> None:
    """Killed while it writes 3 MiB again and again; the store works on and is cleared."""
    store = EngineStore(tmp_path / 'engines', 4)
    data = os.urandom(3 * MIB)

    def write() -> None:
        for _ in range(1000):
            put(store, KEY, data)

    store.open()
    pid = in_child(write)
    time.sleep(delay_s)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    for entry in store.entries():
        assert entry.intact()
    entry = store.find(KEY)
    assert entry is None or entry.file.read_bytes() == data
    store.open()
    assert not list(store.folder.glob('aside-*'))
    put(store, KEY, data)
    assert store.find(KEY) is not None


def test_processes_share_a_store(store: EngineStore) -> None:
    """Four write and read the same few engines at once; nobody sees half of one."""
    store.open()
    failed = store.folder.parent / 'failed'

    def work(seed: int) -> None:
        try:
            for turn in range(25):
                key = replace(KEY, model=str((seed + turn) % 3))
                put(store, key, key.model.encode() * MIB)
                found = store.find(replace(KEY, model=str(turn % 3)))
                # The entry may be replaced at any time: what matters is what find checked.
                assert found is None or found.nbytes == MIB
        except BaseException as error:
            failed.write_text(repr(error), encoding='utf-8')

    pids = [in_child(lambda seed=seed: work(seed)) for seed in range(4)]
    for pid in pids:
        os.waitpid(pid, 0)
    assert not failed.exists(), failed.read_text(encoding='utf-8')
    assert len(store.entries()) == 3
    assert all(entry.intact() for entry in store.entries())
    assert not list(store.folder.glob('aside-*'))


def test_what_is_being_built_is_not_cleared_away(store: EngineStore) -> None:
    with store.aside() as folder:
        store.open()
        assert folder.is_dir()
    assert not folder.exists()
