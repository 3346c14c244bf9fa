# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
A network that serves as it is until its engine is there, and then with the engine.

``prepare`` loads the engine if the store has it.  Else a build begins in the background; between
two calls, once it is done, the engine takes over.  No call waits for any of it.
"""

from __future__ import annotations

from dataclasses import replace
import json
import logging
import threading
from typing import Any
from typing import TYPE_CHECKING

import torch

from gpu_runtime.captured_graph import depend_on
from gpu_runtime.engines.build_order import INPUTS
from gpu_runtime.engines.build_order import STATE
from gpu_runtime.engines.build_process import run_build
from gpu_runtime.engines.candidate import fastest
from gpu_runtime.engines.compilers import COMPILERS
from gpu_runtime.engines.compilers import usable
from gpu_runtime.engines.engine_entry import CHOICE
from gpu_runtime.engines.engine_entry import PROBLEM
from gpu_runtime.engines.engine_key import EngineKey
from gpu_runtime.engines.fingerprint import describe_inputs
from gpu_runtime.engines.fingerprint import device_identity
from gpu_runtime.engines.fingerprint import graph_hash
from gpu_runtime.engines.fingerprint import library_versions
from gpu_runtime.engines.fingerprint import weights_hash
from gpu_runtime.errors import EngineError
from gpu_runtime.memory_account import current_account
from gpu_runtime.models.cuda_graph import CudaGraphModel
from gpu_runtime.models.eager import EagerModel
from gpu_runtime.models.loaded_engine import load_engine

if TYPE_CHECKING:
    from pathlib import Path

    from gpu_runtime.engines.build_order import BuildOrder
    from gpu_runtime.engines.candidate import Candidate
    from gpu_runtime.engines.engine_builds import EngineBuilds
    from gpu_runtime.memory_account import MemoryAccount
    from gpu_runtime.models.forward import Forward
    from gpu_runtime.models.model import Model

_LOG = logging.getLogger(__name__)

_Tensors = tuple[torch.Tensor, ...]

AUTO = 'auto'
MAX_ENGINES = 4
"""Engines per model, one for each shape of its inputs."""


class EngineModel:
    """
    Run a network by the fastest means there is; follows :class:`~gpu_runtime.models.Model`.

    The network itself stays loaded, for inputs of other shapes.

    Parameters
    ----------
    forward : Forward
        The network; closed with this.
    order : BuildOrder
        Where it came from and what is asked for.
    builds : EngineBuilds
        Builds and keeps engines.
    capture_lock : threading.Lock
        The context's lock for captures.

    """

    def __init__(
        self,
        forward: Forward,
        order: BuildOrder,
        builds: EngineBuilds,
        capture_lock: threading.Lock,
    ) -> None:
        self._forward = forward
        self._order = order
        self._builds = builds
        self._capture_lock = capture_lock
        self._account: MemoryAccount | None = current_account()
        self._first = self._model(forward)
        self._engines: dict[object, Model] = {}
        self._taking_over: set[object] = set()
        self._ordered: set[object] = set()
        self._lock = threading.Lock()
        self._closed = False

    def prepare(self, example_inputs: _Tensors) -> None:
        """
        Load the engine for these shapes and types, or make the network itself ready.

        Parameters
        ----------
        example_inputs : tuple of torch.Tensor
            Inputs as a frame will give them, also in their values: engines are compared on them.
            Blocks.

        """
        self._account = current_account() or self._account
        signature = _signature(example_inputs)
        self._ordered.add(signature)
        try:
            if self._use_stored(signature, example_inputs):
                return
        except (EngineError, torch.OutOfMemoryError) as error:
            self._failed(error)
        else:
            self._submit(signature, example_inputs)
        self._first.prepare(example_inputs)

    def __call__(self, *inputs: torch.Tensor) -> _Tensors:
        """
        Run the engine for these inputs if there is one, else the network itself.

        Parameters
        ----------
        *inputs : torch.Tensor
            On the model's device.

        Returns
        -------
        tuple of torch.Tensor
            On CUDA owned by the model, as those of :class:`CudaGraphModel`.

        Raises
        ------
        LifecycleError
            After :meth:`close`.

        """
        signature = _signature(inputs)
        engine = self._engines.get(signature)
        depend_on(lambda: self._engines.get(signature) is engine)
        if engine is None:
            if signature not in self._ordered and len(self._ordered) < MAX_ENGINES:
                self._ordered.add(signature)
                self._submit(signature, inputs)
            return self._first(*inputs)
        if signature in self._taking_over:
            # This thread has left the network's own graph, and with it its outputs.
            self._taking_over.discard(signature)
            self._builds.submit(lambda: self._release(signature))
        return engine(*inputs)

    def close(self) -> None:
        """Release network and engines, and end a build for them; blocks until that is done."""
        with self._lock:
            self._closed = True
            engines, self._engines = self._engines, {}
        for engine in engines.values():
            engine.close()
        self._first.close()
        self._builds.tell(self._stage, self._order.model, '')

    # -- on the thread of the builds, or while preparing ----------------------------------------

    def _submit(self, signature: object, inputs: _Tensors) -> None:
        self._tell(f'waiting to build {self._order.backend} {self._order.precision}')
        example = tuple(tensor.detach().clone() for tensor in inputs)
        self._builds.submit(lambda: self._obtain(signature, example))

    def _obtain(self, signature: object, example: _Tensors) -> None:
        """Build the engine, unless it was built meanwhile, and use it."""
        try:
            if self._builds.device.type == 'cuda':
                torch.cuda.synchronize(self._builds.device)  # the example was made elsewhere
            with self._builds.turn(self._gone):
                if not self._use_stored(signature, example):
                    self._build(example)
                    if not self._use_stored(signature, example):
                        raise EngineError('the engine was built and is not in the store any more')
        except Exception as error:  # whatever it is, the running stage must not notice
            if not self._gone():
                self._failed(error)

    def _gone(self) -> bool:
        return self._closed or self._builds.closed

    def _build(self, example: _Tensors) -> None:
        """Build aside, choose, and put the result into the store."""
        order = self._order
        text = f'building {order.backend} {order.precision}: '
        with self._builds.store.aside() as folder:
            order.write(folder)
            torch.save([tensor.cpu().contiguous() for tensor in example], folder / INPUTS)
            if order.weights == 'none':  # random, so they cannot be loaded again
                torch.save(self._forward.module.state_dict(), folder / STATE)
            found = run_build(
                folder,
                progress=lambda doing: self._tell(text + doing),
                cancelled=self._gone,
                command=self._builds.command,
            )
            self._keep(folder, found, example)

    def _keep(self, folder: Path, found: list[Candidate], example: _Tensors) -> None:
        """Put the best engine into the store, and what else the next start must know."""
        store, asked = self._builds.store, self._order.backend
        facts: dict[str, Any] = {'candidates': [str(candidate) for candidate in found]}
        if asked != AUTO:
            found = [candidate for candidate in found if candidate.backend == asked]
        best = fastest(found)
        chosen = best.backend if best else ''
        if chosen in COMPILERS:
            store.add(self._key(chosen, example), folder / chosen, facts)
        if chosen == asked:
            return
        note = folder / 'note'
        note.write_text(json.dumps(facts), encoding='utf-8')
        why = {CHOICE: chosen} if asked == AUTO else {PROBLEM: '; '.join(map(str, found))}
        store.add(self._key(asked, example), note, {**facts, **why})

    def _identify(self) -> None:
        """Note what the network is, before anything is looked up or built for it."""
        if not self._order.graph:
            self._order = replace(
                self._order,
                graph=graph_hash(self._forward.module, self._order.name),
                state=weights_hash(self._forward.module),
            )

    def _use_stored(self, signature: object, example: _Tensors) -> bool:
        """Take over with what the store has; False if it has nothing for these inputs."""
        self._identify()
        store, backend, facts = self._builds.store, self._order.backend, {}
        if backend == AUTO:
            choice = store.find(self._key(AUTO, example))
            if choice is None:
                return False
            backend, facts = str(choice.facts[CHOICE]), choice.facts
        if backend not in COMPILERS:
            self._use_plain(signature, example, backend, facts)
            return True
        entry = store.find(self._key(backend, example))
        if entry is None:
            return False
        if PROBLEM in entry.facts:
            raise EngineError(
                f'{entry.facts[PROBLEM]}; to have it tried again, remove {entry.folder}'
            )
        try:
            loaded = load_engine(backend, entry.file, self._builds.device)
            engine = self._model(replace(loaded, finish=self._forward.finish))
            engine.prepare(example)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            _LOG.warning('%s: engine %s is rebuilt: %s', self._order.model, entry.folder, error)
            store.remove(entry.folder)
            return False
        self._publish(signature, engine)
        self._ready(backend, facts or entry.facts)
        return True

    def _use_plain(
        self, signature: object, example: _Tensors, backend: str, facts: dict[str, Any]
    ) -> None:
        """Follow a choice for the network itself."""
        if backend == 'eager' and isinstance(self._first, CudaGraphModel):
            self._publish(signature, EagerModel(self._forward))
        else:
            self._first.prepare(example)
        self._ready(backend or 'none agrees, as it is', facts)

    def _publish(self, signature: object, engine: Model) -> None:
        """Let the next call use an engine."""
        if self._builds.device.type == 'cuda':
            torch.cuda.current_stream(self._builds.device).synchronize()
        with self._lock:
            if not self._closed:
                self._taking_over.add(signature)
                self._engines[signature] = engine
                return
        engine.close()

    def _release(self, signature: object) -> None:
        if isinstance(self._first, CudaGraphModel):
            self._first.release(signature)

    def _model(self, forward: Forward) -> EagerModel | CudaGraphModel:
        device = self._builds.device
        if device.type == 'cuda':
            return CudaGraphModel(forward, device, self._capture_lock, lambda: self._account)
        return EagerModel(forward)

    def _key(self, backend: str, inputs: _Tensors) -> EngineKey:
        order, device = self._order, self._builds.device
        compilers = usable(device, order.precision) if backend == AUTO else COMPILERS
        chosen = compilers if backend == AUTO else {backend: COMPILERS[backend]}
        more = [item for compiler in chosen.values() for item in compiler.libraries().items()]
        return EngineKey(
            model=order.model,
            backend=backend,
            precision=order.precision,
            inputs=describe_inputs(inputs),
            device=device_identity(device),
            graph=order.graph,
            weights=order.state,
            libraries=library_versions(more),
        )

    # -- what people are told -------------------------------------------------------------------

    @property
    def _stage(self) -> str:
        """The stage that runs the model: accounts have the names of components."""
        return self._account.name if self._account is not None else ''

    def _tell(self, state: str) -> None:
        with self._lock:
            if not self._closed:
                self._builds.tell(self._stage, self._order.model, state)

    def _ready(self, backend: str, facts: dict[str, Any]) -> None:
        text = f'{backend} {self._order.precision}'
        _LOG.info('%s: engine ready: %s %s', self._order.model, text, facts.get('candidates', ''))
        own = [line for line in facts.get('candidates', ()) if line.startswith(f'{backend}:')]
        self._tell(f'ready: {text}' + (f' ({own[0].partition(": ")[2]})' if own else ''))

    def _failed(self, error: Exception) -> None:
        _LOG.warning('%s goes on without an engine: %s', self._order.model, error)
        self._tell(f'failed: {error}')


def _signature(inputs: _Tensors) -> object:
    return tuple((tensor.shape, tensor.dtype) for tensor in inputs)
