# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The plane executor does what the stock executors document, and what they fail to do."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
import gc
import os
from pathlib import Path
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any
import warnings

import pytest
from rcl_interfaces.srv import GetParameters
from rcl_interfaces.srv import SetParameters
import rclpy
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.client import Client
from rclpy.context import Context
from rclpy.executors import Executor
from rclpy.executors import MultiThreadedExecutor
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from gpu_components.cdr import parse_stamp_ns
from gpu_components.executor import PlaneExecutor
from gpu_components.executor.worker_pool import WorkerPool
from gpu_runtime.errors import ParameterError

DOMAIN = 61
ROOT = Path(__file__).parents[2]
NodeFactory = Callable[[str], Node]


@pytest.fixture(autouse=True)
def local_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setenv('ROS_DOMAIN_ID', str(DOMAIN))


@pytest.fixture
def context(local_only: None) -> Iterator[Context]:
    context = Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    yield context
    context.try_shutdown()


@pytest.fixture
def make_node(context: Context) -> Iterator[NodeFactory]:
    nodes: list[Node] = []

    def make(name: str) -> Node:
        nodes.append(Node(name, context=context))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()


@pytest.fixture
def errors() -> list[tuple[BaseException, object | None, Node | None]]:
    return []


@pytest.fixture
def executor(
    context: Context, errors: list[tuple[BaseException, object | None, Node | None]]
) -> Iterator[PlaneExecutor]:
    executor = PlaneExecutor(
        context=context, on_error=lambda *args: errors.append((args[0], args[1], args[2]))
    )
    yield executor
    assert executor.shutdown(10.0)


@contextmanager
def spinning(executor: Executor) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=executor.spin)
    thread.start()
    try:
        yield thread
    finally:
        executor.shutdown(10.0)
        thread.join(5.0)
        assert not thread.is_alive()


def wait_until(condition: Callable[[], bool], timeout_s: float = 5.0) -> bool:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def call(node: Node, srv_type: Any, name: str, request: Any, timeout_s: float = 5.0) -> float:
    """Call a service of another node; give the seconds until the answer came."""
    client: Client[Any, Any] = node.create_client(
        srv_type, name, callback_group=MutuallyExclusiveCallbackGroup()
    )
    assert client.wait_for_service(timeout_s), name
    began = time.monotonic()
    future = client.call_async(request)
    assert wait_until(future.done, timeout_s), name
    assert future.result() is not None
    took = time.monotonic() - began
    node.destroy_client(client)
    return took


# What the stock executors document -----------------------------------------------------------

STOCK_AND_OURS = [SingleThreadedExecutor, MultiThreadedExecutor, PlaneExecutor]


@pytest.fixture(params=STOCK_AND_OURS, ids=lambda kind: kind.__name__)
def any_executor(request: pytest.FixtureRequest, context: Context) -> Iterator[Executor]:
    executor: Executor = request.param(context=context)
    yield executor
    executor.shutdown()


def test_runs_a_function_as_a_task(any_executor: Executor) -> None:
    task = any_executor.create_task(lambda a, b: a + b, 1, b=2)
    any_executor.spin_until_future_complete(task, 2.0)
    assert task.done()
    assert task.result() == 3


def test_runs_done_callbacks(any_executor: Executor) -> None:
    seen: Future[Any] = Future()
    task = any_executor.create_task(lambda: 'done')
    task.add_done_callback(lambda done: seen.set_result(done.result()))
    any_executor.spin_until_future_complete(seen, 2.0)
    assert seen.result() == 'done'


def test_future_timeout_is_kept(any_executor: Executor) -> None:
    began = time.monotonic()
    any_executor.spin_until_future_complete(Future(), 0.2)
    assert 0.15 < time.monotonic() - began < 1.0


def test_future_done_from_another_thread_ends_the_spin(any_executor: Executor) -> None:
    future: Future[Any] = Future()
    threading.Timer(0.1, future.set_result, ['late']).start()
    began = time.monotonic()
    any_executor.spin_until_future_complete(future, 5.0)
    assert future.result() == 'late'
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize('timeout_s', [0.0, 0.1])
def test_spin_once_without_work_returns(any_executor: Executor, timeout_s: float) -> None:
    began = time.monotonic()
    any_executor.spin_once(timeout_s)
    assert timeout_s * 0.8 <= time.monotonic() - began < timeout_s + 0.5


def test_adds_and_removes_nodes(any_executor: Executor, make_node: NodeFactory) -> None:
    node = make_node('member')
    assert any_executor.add_node(node)
    assert not any_executor.add_node(node)
    assert any_executor.get_nodes() == [node]
    assert node.executor is any_executor
    any_executor.remove_node(node)
    assert any_executor.get_nodes() == []


def test_spin_once_serves_timers(any_executor: Executor, make_node: NodeFactory) -> None:
    node = make_node('ticking')
    ticks: list[int] = []
    node.create_timer(0.02, lambda: ticks.append(1))
    any_executor.add_node(node)
    end = time.monotonic() + 5.0
    while len(ticks) < 3 and time.monotonic() < end:
        any_executor.spin_once(0.1)
    assert len(ticks) >= 3


def test_async_service_awaits_a_client(any_executor: Executor, make_node: NodeFactory) -> None:
    """A service whose callback calls another service: answered only if coroutines resume."""
    node, caller = make_node('middle'), make_node('caller')
    backend: Client[Any, Any] = node.create_client(
        Trigger, 'backend', callback_group=MutuallyExclusiveCallbackGroup()
    )

    async def forward(request: Trigger.Request, _: Trigger.Response) -> Trigger.Response:
        return await backend.call_async(request)

    def answer(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.message = 'from behind'
        return response

    node.create_service(Trigger, 'front', forward)
    caller.create_service(Trigger, 'backend', answer)
    client: Client[Any, Any] = caller.create_client(Trigger, 'front')
    any_executor.add_node(node)
    any_executor.add_node(caller)
    assert client.wait_for_service(5.0)
    assert backend.wait_for_service(5.0)
    future = client.call_async(Trigger.Request())
    any_executor.spin_until_future_complete(future, 5.0)
    assert future.done()
    response = future.result()
    assert response is not None
    assert response.message == 'from behind'


def test_shuts_down_twice(any_executor: Executor) -> None:
    any_executor.create_task(int)
    any_executor.spin_once(0.1)
    assert any_executor.shutdown()
    assert any_executor.shutdown()


# Dispatch --------------------------------------------------------------------------------------


def test_coroutine_awaits_another_task(executor: PlaneExecutor) -> None:
    """The stock executors of Kilted stall here until something else wakes them."""

    async def outer() -> int:
        inner = executor.create_task(lambda: 20)
        return (await inner or 0) + 1

    task = executor.create_task(outer)
    executor.spin_until_future_complete(task, 2.0)
    assert task.result() == 21


def test_each_task_runs_once_however_busy_the_pool(executor: PlaneExecutor) -> None:
    counts = [0] * 200

    def work(index: int) -> None:
        counts[index] += 1
        time.sleep(0.001)

    with spinning(executor):
        tasks = [executor.create_task(work, index) for index in range(200)]
        assert wait_until(lambda: all(task.done() for task in tasks))
    assert counts == [1] * 200


def test_waiting_in_line_costs_no_cpu(executor: PlaneExecutor) -> None:
    """The stock pool submits a waiting task over and over; here the loop must sleep."""
    release = threading.Event()
    with spinning(executor):
        tasks = [executor.create_task(release.wait) for _ in range(20)]
        time.sleep(0.2)
        before = time.process_time()
        time.sleep(1.0)
        used = time.process_time() - before
        release.set()
        assert wait_until(lambda: all(task.done() for task in tasks))
    assert used < 0.05


def test_awaiting_costs_no_busy_loop(executor: PlaneExecutor) -> None:
    future: Future[Any] = Future()

    async def wait() -> object:
        return await future

    with spinning(executor):
        task = executor.create_task(wait)
        time.sleep(0.2)
        before = time.process_time()
        time.sleep(1.0)
        used = time.process_time() - before
        future.set_result('woken')
        assert wait_until(task.done, 0.5)
    assert task.result() == 'woken'
    assert used < 0.05


def test_exclusive_group_is_respected_and_reentrant_group_is_parallel(
    executor: PlaneExecutor, make_node: NodeFactory
) -> None:
    node = make_node('groups')
    most = {'exclusive': 0, 'reentrant': 0}
    now = {'exclusive': 0, 'reentrant': 0}
    lock = threading.Lock()

    def callback(kind: str) -> None:
        with lock:
            now[kind] += 1
            most[kind] = max(most[kind], now[kind])
        time.sleep(0.03)
        with lock:
            now[kind] -= 1

    exclusive, reentrant = MutuallyExclusiveCallbackGroup(), ReentrantCallbackGroup()
    for _ in range(3):
        node.create_timer(0.01, lambda: callback('exclusive'), callback_group=exclusive)
        node.create_timer(0.01, lambda: callback('reentrant'), callback_group=reentrant)
    executor.add_node(node)
    with spinning(executor):
        time.sleep(1.0)
    assert most['exclusive'] == 1
    assert 2 <= most['reentrant'] <= 4


def test_callback_may_spin_until_a_future_is_complete(executor: PlaneExecutor) -> None:
    """Blocking in a callback is common in ROS code; the thread that spins does the work."""
    late: Future[Any] = Future()

    def block() -> tuple[object, float]:
        began = time.monotonic()
        executor.spin_until_future_complete(Future(), 0.2)
        waited_s = time.monotonic() - began
        executor.spin_until_future_complete(late)
        return late.result(), waited_s

    with spinning(executor):
        task = executor.create_task(block)
        time.sleep(0.4)
        late.set_result('arrived')
        assert wait_until(task.done, 1.0)
    result = task.result()
    assert result is not None
    assert result[0] == 'arrived'
    assert 0.15 < result[1] < 0.4


def test_timers_keep_their_rate(executor: PlaneExecutor, make_node: NodeFactory) -> None:
    ticks: list[float] = []
    node = make_node('rate')
    node.create_timer(0.02, lambda: ticks.append(time.monotonic()))
    executor.add_node(node)
    with spinning(executor):
        time.sleep(2.0)
    assert 90 <= len(ticks) <= 101


# Planes do not wait for each other ---------------------------------------------------------


def parameters_of(name: str) -> tuple[Any, str, Any]:
    return GetParameters, f'/{name}/get_parameters', GetParameters.Request(names=['gain'])


def test_slow_callbacks_do_not_delay_other_nodes_parameters(
    executor: PlaneExecutor, context: Context, make_node: NodeFactory
) -> None:
    """More slow callbacks than there are threads, as when a container configures all at once."""
    started: list[str] = []

    def load_a_model() -> None:
        started.append(threading.current_thread().name)
        time.sleep(2.0)

    for index in range(5):
        slow = make_node(f'slow_{index}')
        slow.create_timer(0.01, load_a_model)
        executor.add_node(slow)
    quick = make_node('quick')
    quick.declare_parameter('gain', 1.0)
    executor.add_node(quick)
    asker = make_node('asker')
    other = SingleThreadedExecutor(context=context)
    other.add_node(asker)
    with spinning(other), spinning(executor):
        assert wait_until(lambda: len(started) >= 4)
        assert call(asker, *parameters_of('quick')) < 0.5
        value = Parameter('gain', value=2.5).to_parameter_msg()
        request = SetParameters.Request(parameters=[value])
        assert call(asker, SetParameters, '/quick/set_parameters', request) < 0.5
        assert len(started) <= 5  # the slow ones were still in their first callback
    assert quick.get_parameter('gain').value == 2.5


def test_parameters_answer_a_second_process(
    executor: PlaneExecutor, make_node: NodeFactory
) -> None:
    slow, quick = make_node('busy'), make_node('quick')
    quick.declare_parameter('gain', 1.0)
    slow.create_timer(0.01, lambda: time.sleep(2.0))
    executor.add_node(slow)
    executor.add_node(quick)
    script = """
        import time, rclpy
        from rcl_interfaces.srv import GetParameters
        rclpy.init()
        node = rclpy.create_node('second_process')
        client = node.create_client(GetParameters, '/quick/get_parameters')
        assert client.wait_for_service(10.0)
        worst = 0.0
        for _ in range(10):
            began = time.monotonic()
            future = client.call_async(GetParameters.Request(names=['gain']))
            rclpy.spin_until_future_complete(node, future, timeout_sec=5.0)
            assert future.result().values[0].double_value == 1.0
            worst = max(worst, time.monotonic() - began)
        print(worst)
    """
    with spinning(executor), child(script) as process:
        out, _ = process.communicate(timeout=30.0)
    assert process.returncode == 0
    assert float(out) < 0.5


@contextmanager
def child(script: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, '-c', textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


CAMERA = """
    import array, time, rclpy
    from sensor_msgs.msg import Image
    rclpy.init()
    node = rclpy.create_node('camera')
    publisher = node.create_publisher(Image, 'image', 10)
    message = Image(height=480, width=640, step=1920, encoding='rgb8')
    message.data = array.array('B', bytes(640 * 480 * 3))
    while not publisher.get_subscription_count():
        time.sleep(0.01)
    time.sleep(0.5)
    due = time.monotonic()
    for number in range(150):
        message.header.stamp.sec = number
        publisher.publish(message)
        due += 0.02
        time.sleep(max(0.0, due - time.monotonic()))
    time.sleep(1.0)
"""


def test_ingress_receives_50_hz_images_beside_eight_nodes(
    executor: PlaneExecutor, make_node: NodeFactory
) -> None:
    received: list[int] = []
    threads: set[str] = set()

    def on_image(raw: bytes) -> None:
        received.append(parse_stamp_ns(raw) // 10**9)
        threads.add(threading.current_thread().name)

    ticks = [0] * 8
    for index in range(8):

        def tick(index: int = index) -> None:
            ticks[index] += 1

        node = make_node(f'component_{index}')
        node.create_timer(0.1, tick)
        executor.add_node(node)
    ingress = make_node('ingress')
    ingress.create_subscription(Image, 'image', on_image, 10, raw=True)
    assert executor.add_ingress_node(ingress)
    assert not executor.add_ingress_node(ingress)
    with spinning(executor), child(CAMERA) as camera:
        assert camera.wait(30.0) == 0
    assert len(received) == len(set(received))  # each message once
    assert len(received) >= 147
    assert received == sorted(received)
    assert threads == {'ingress'}
    assert min(ticks) >= 20


def test_ingress_serves_when_only_spun_once(
    executor: PlaneExecutor, make_node: NodeFactory
) -> None:
    """`rclpy.spin(node, executor)` and its like never call `spin`."""
    ticks: list[str] = []
    node = make_node('ingress')
    node.create_timer(0.01, lambda: ticks.append(threading.current_thread().name))
    executor.add_ingress_node(node)
    executor.spin_once(0.0)
    assert wait_until(lambda: len(ticks) >= 3)
    assert set(ticks) == {'ingress'}


def test_node_moves_between_planes(executor: PlaneExecutor, make_node: NodeFactory) -> None:
    threads: list[str] = []
    node = make_node('mover')
    node.create_timer(0.01, lambda: threads.append(threading.current_thread().name))
    with spinning(executor):
        executor.add_node(node)
        assert wait_until(lambda: bool(threads))
        executor.add_ingress_node(node)
        assert executor.get_nodes() == []
        assert executor.get_ingress_nodes() == [node]
        assert wait_until(lambda: threads[-1] == 'ingress')
        executor.add_node(node)
        assert executor.get_ingress_nodes() == []
        assert wait_until(lambda: threads[-1].startswith('control'))
        executor.remove_node(node)
        time.sleep(0.1)
        before = len(threads)
        time.sleep(0.2)
        assert len(threads) == before


def test_idle_costs_nothing(executor: PlaneExecutor, make_node: NodeFactory) -> None:
    for index in range(7):
        executor.add_node(make_node(f'idle_{index}'))
    executor.add_ingress_node(make_node('idle_ingress'))
    with spinning(executor):
        time.sleep(1.0)
        before = time.process_time()
        time.sleep(3.0)
        used = time.process_time() - before
    assert used / 3.0 <= 0.03


# Changes and faults while spinning ---------------------------------------------------------


@pytest.mark.parametrize('plane', ['add_node', 'add_ingress_node'])
def test_entities_come_and_go_while_spinning(
    executor: PlaneExecutor, make_node: NodeFactory, plane: str
) -> None:
    node = make_node('changing')
    ticks: list[int] = []
    with spinning(executor):
        getattr(executor, plane)(node)
        time.sleep(0.2)
        timer = node.create_timer(0.01, lambda: ticks.append(1))
        assert wait_until(lambda: len(ticks) >= 3, 1.0)
        node.destroy_timer(timer)
        time.sleep(0.1)
        before = len(ticks)
        time.sleep(0.2)
        assert len(ticks) == before


@pytest.mark.parametrize('plane', ['add_node', 'add_ingress_node'])
def test_nodes_destroyed_under_load_do_not_break_the_loop(
    executor: PlaneExecutor, context: Context, make_node: NodeFactory, plane: str
) -> None:
    survivor = make_node('survivor')
    ticks: list[int] = []
    survivor.create_timer(0.01, lambda: ticks.append(1))
    with spinning(executor):
        getattr(executor, plane)(survivor)
        for index in range(15):
            node = Node(f'doomed_{index}', context=context)
            for _ in range(4):
                node.create_timer(0.001, lambda: None, callback_group=ReentrantCallbackGroup())
            getattr(executor, plane)(node)
            time.sleep(0.02)
            if index % 2:
                executor.remove_node(node)
            node.destroy_node()
        before = len(ticks)
        assert wait_until(lambda: len(ticks) >= before + 5)


@pytest.mark.parametrize('plane', ['add_node', 'add_ingress_node'])
@pytest.mark.parametrize('kind', [ValueError, SystemExit])
def test_exception_goes_to_the_policy_and_the_loop_lives(
    executor: PlaneExecutor,
    make_node: NodeFactory,
    errors: list[tuple[BaseException, object | None, Node | None]],
    plane: str,
    kind: type[BaseException],
) -> None:
    node = make_node('faulty')
    ticks: list[int] = []

    def fail() -> None:
        raise kind('on purpose')

    faulty = node.create_timer(0.02, fail)
    node.create_timer(0.02, lambda: ticks.append(1))
    getattr(executor, plane)(node)
    with spinning(executor) as thread:
        assert wait_until(lambda: len(errors) >= 3)
        before = len(ticks)
        assert wait_until(lambda: len(ticks) > before + 3)
        assert thread.is_alive()
    error, entity, owner = errors[0]
    assert isinstance(error, kind)
    assert entity is faulty
    assert owner is node


def test_failed_task_keeps_its_exception_and_reports_it(
    executor: PlaneExecutor, errors: list[tuple[BaseException, object | None, Node | None]]
) -> None:
    async def fail() -> None:
        await executor.create_task(int)
        raise ValueError('later')

    with spinning(executor):
        task = executor.create_task(fail)
        assert wait_until(task.done)
        assert wait_until(lambda: len(errors) == 1)
    assert isinstance(task.exception(), ValueError)
    assert errors[0][1:] == (None, None)


def test_policy_that_raises_does_not_kill_the_loop(
    context: Context, capfd: pytest.CaptureFixture[str]
) -> None:
    def policy(exception: BaseException, entity: object | None, node: Node | None) -> None:
        raise RuntimeError('policy broke')

    executor = PlaneExecutor(context=context, on_error=policy)
    with spinning(executor):
        executor.create_task(lambda: 1 / 0)
        good = executor.create_task(lambda: 'alive')
        assert wait_until(good.done)
        time.sleep(0.1)
    err = capfd.readouterr().err
    assert 'policy broke' in err
    assert 'ZeroDivisionError' in err


def test_default_policy_logs_name_and_traceback(
    context: Context, make_node: NodeFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    node = make_node('noisy')
    executor = PlaneExecutor(context=context)

    def explode() -> None:
        raise ValueError('seen in the log')

    node.create_timer(0.01, explode)
    executor.add_node(node)
    with spinning(executor):
        time.sleep(0.3)
    err = capfd.readouterr().err
    assert '[noisy]' in err
    assert "callback of timer raised ValueError('seen in the log')" in err
    assert 'in explode' in err


# Shutdown ----------------------------------------------------------------------------------


def test_shutdown_under_load_is_quick_and_joins_threads(
    context: Context, make_node: NodeFactory
) -> None:
    executor = PlaneExecutor(context=context)
    running = [0]
    for index in range(4):
        node = make_node(f'load_{index}')
        for _ in range(4):
            node.create_timer(
                0.001, lambda: time.sleep(0.05), callback_group=ReentrantCallbackGroup()
            )
        executor.add_node(node)
    ingress = make_node('ingress')
    ingress.create_timer(0.001, lambda: running.__setitem__(0, running[0] + 1))
    executor.add_ingress_node(ingress)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    time.sleep(0.5)
    began = time.monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        assert executor.shutdown(2.0)
        gc.collect()
    assert time.monotonic() - began < 2.0
    thread.join(1.0)
    assert not thread.is_alive()
    assert running[0] > 10
    names = {t.name for t in threading.enumerate()}
    assert not {name for name in names if name.startswith(('control', 'ingress'))}
    assert not [str(w.message) for w in caught if 'never awaited' in str(w.message)]


def test_shutdown_gives_up_on_a_callback_that_hangs(context: Context) -> None:
    executor = PlaneExecutor(context=context)
    release = threading.Event()
    executor.create_task(release.wait)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    time.sleep(0.1)
    began = time.monotonic()
    assert not executor.shutdown(0.3)
    assert time.monotonic() - began < 1.0
    thread.join(1.0)
    assert not thread.is_alive()
    release.set()
    assert executor.shutdown(2.0)


def test_shutdown_from_a_callback(context: Context, make_node: NodeFactory) -> None:
    executor = PlaneExecutor(context=context)
    results: list[bool] = []
    executor.create_task(lambda: results.append(executor.shutdown(2.0)))
    thread = threading.Thread(target=executor.spin)
    thread.start()
    thread.join(3.0)
    assert not thread.is_alive()
    assert wait_until(lambda: results == [True])


def test_what_was_dropped_at_shutdown_runs_in_the_next_executor(
    context: Context, make_node: NodeFactory
) -> None:
    first = PlaneExecutor(control_threads=1, context=context)
    node = make_node('survivor')
    ticks: list[int] = []
    node.create_timer(
        0.01, lambda: ticks.append(1), callback_group=MutuallyExclusiveCallbackGroup()
    )
    node.create_timer(
        0.01, lambda: time.sleep(0.2), callback_group=MutuallyExclusiveCallbackGroup()
    )
    first.add_node(node)
    thread = threading.Thread(target=first.spin)
    thread.start()
    time.sleep(0.3)
    assert first.shutdown(2.0)
    thread.join()
    before = len(ticks)
    second = PlaneExecutor(context=context)
    second.add_node(node)
    with spinning(second):
        assert wait_until(lambda: len(ticks) > before + 3)


def test_context_shutdown_ends_both_planes(
    executor: PlaneExecutor, context: Context, make_node: NodeFactory
) -> None:
    executor.add_ingress_node(make_node('ingress'))
    thread = threading.Thread(target=executor.spin)
    thread.start()
    time.sleep(0.2)
    context.shutdown()
    thread.join(2.0)
    assert not thread.is_alive()
    assert wait_until(lambda: 'ingress' not in {t.name for t in threading.enumerate()}, 1.0)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_process_cleanly(number: signal.Signals) -> None:
    script = """
        import time
        import rclpy
        from rclpy.node import Node
        from gpu_components.executor import PlaneExecutor
        rclpy.init()
        executor = PlaneExecutor()
        node, ingress = Node('main'), Node('ingress')
        node.create_timer(0.01, lambda: None)
        ingress.create_timer(0.5, lambda: print('up', flush=True))
        executor.add_node(node)
        executor.add_ingress_node(ingress)
        executor.spin()
        assert executor.shutdown(2.0)
        print('clean', time.monotonic(), flush=True)
    """
    with child(script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == 'up\n'
        began = time.monotonic()
        process.send_signal(number)
        out, _ = process.communicate(timeout=10.0)
    assert process.returncode == 0
    word, when = out.splitlines()[-1].split()
    assert word == 'clean'
    assert float(when) - began < 2.0  # the interpreter's own end is not the executor's


# The pool ----------------------------------------------------------------------------------


def test_pool_keeps_a_thread_for_urgent_work() -> None:
    release = threading.Event()
    done: list[str] = []

    def run(work: str) -> None:
        if work == 'slow':
            release.wait(5.0)
        done.append(work)

    pool = WorkerPool(2, 'pool', run)
    for work in ('slow', 'slow', 'quick'):
        assert pool.submit(work)
    assert pool.submit('urgent', urgent=True)
    assert wait_until(lambda: done == ['urgent'])
    assert pool.close() == ['quick']
    assert not pool.submit('late')
    assert not pool.join(0.05)
    release.set()
    assert pool.join(2.0)
    assert done == ['urgent', 'slow', 'slow']


def test_pool_without_threads_is_refused(context: Context) -> None:
    with pytest.raises(ParameterError, match='expected at least 1, got 0'):
        PlaneExecutor(control_threads=0, context=context)
