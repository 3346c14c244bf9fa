# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Serialized messages arrive as they were written, and Python goes on while they leave."""

from __future__ import annotations

from collections.abc import Iterator
import ctypes

from interpreter_lock import other_thread
from probe import Listener
import pytest
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from spinning import NodeFactory
from spinning import wait_until
from std_msgs.msg import String
import torch

from gpu_components.messages import image_message
from gpu_components.raw_sender import RawSender
from gpu_components.serialized import Serialized
from gpu_runtime.download import Download
from gpu_runtime.event import Event
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.pinned_pool import PinnedPool
from gpu_runtime.pinned_slab import ROOM


@pytest.fixture
def gpu() -> Iterator[GpuContext]:
    """Return a context on the CPU."""
    context = GpuContext('cpu')
    yield context
    assert context.close() == []


def picture(gpu: GpuContext, side: int, value: int) -> tuple[Serialized, Download]:
    """Return a square grey picture as a message, and where its bytes came from the device."""
    stream = gpu.streams.lease('stage')
    data = torch.full((side * side,), value, dtype=torch.uint8)
    download = gpu.transfers.download([data], stream)
    gpu.streams.release(stream)
    layout = ImageFormat(side, side, 'mono8', side)
    return image_message(Header(value, 'optical'), layout, download.arrays[0]), download


NOTHING = Download([], Event(), [], PinnedPool(torch.device('cpu')))


def test_messages_arrive(
    make_node: NodeFactory, spun: SingleThreadedExecutor, gpu: GpuContext
) -> None:
    """Larger and smaller than the one before, of one piece and of several."""
    viewer = make_node('viewer')
    pictures, texts = Listener(viewer, Image, 'picture'), Listener(viewer, String, 'text')
    spun.add_node(viewer)
    source = make_node('source')
    picture_publisher = source.create_publisher(Image, 'picture', 10)
    text_publisher = source.create_publisher(String, 'text', 10)
    for publisher in (picture_publisher, text_publisher):
        assert wait_until(lambda p=publisher: p.get_subscription_count() == 1)  # type: ignore[misc]
    sender = RawSender()
    for side, value in ((4, 1), (50, 2), (9, 3)):
        message, download = picture(gpu, side, value)
        sender.send(picture_publisher, message, download)
        download.arrays[0].fill(0)  # It is copied before send returns.
        download.release()
    sender.send(text_publisher, Serialized(serialize_message(String(data='größe'))), NOTHING)
    arrived = pictures.wait(3)
    assert [(m.width, set(m.data)) for m in arrived] == [(4, {1}), (50, {2}), (9, {3})]
    assert [m.header.stamp.nanosec for m in arrived] == [1, 2, 3]
    assert texts.wait(1)[0].data == 'größe'
    spun.remove_node(viewer)


def test_other_threads_run_meanwhile(make_node: NodeFactory, gpu: GpuContext) -> None:
    """The middleware copies without the interpreter lock."""
    publisher = make_node('source').create_publisher(Image, 'picture', 1)
    sender, (message, download) = RawSender(), picture(gpu, 4000, 1)
    sender.send(publisher, message, download)
    with other_thread() as other:
        sends = [other.runs_during(sender.send, publisher, message, download) for _ in range(20)]
    download.release()
    assert any(has_run for _, has_run in sends)


def test_a_picture_stays_where_it_was_downloaded_to(gpu: GpuContext) -> None:
    """In the middle of a page: copies between like places of two can take five times as long."""
    sender = RawSender()
    for side in (4, 300, 1000):
        message, download = picture(gpu, side, 1)
        expected = bytes(message)
        address, nbytes = sender.joined(message, download)
        assert address + nbytes == download.slabs[0].address + download.arrays[0].nbytes
        assert ctypes.string_at(address, nbytes) == expected
        assert download.slabs[0].address % 4096 == 2048
        download.release()


@pytest.mark.parametrize('how', ['elsewhere', 'long head', 'text'])
def test_anything_else_is_put_together_in_memory_that_is_kept(gpu: GpuContext, how: str) -> None:
    """Pictures of another memory, heads that do not fit, and messages without a picture."""
    sender = RawSender()
    message, download = picture(gpu, 300, 1)
    if how == 'elsewhere':
        message = Serialized(message.parts[0], download.arrays[0].copy())
    elif how == 'long head':
        message = Serialized(bytes(ROOM + 1), download.arrays[0])
    else:
        message = Serialized(b'text')
    address, nbytes = sender.joined(message, download)
    assert address + nbytes != download.slabs[0].address + download.arrays[0].nbytes
    assert ctypes.string_at(address, nbytes) == bytes(message)
    download.release()


def test_a_publisher_that_is_gone_is_refused(make_node: NodeFactory, gpu: GpuContext) -> None:
    """As rclpy refuses it."""
    node = make_node('source')
    publisher = node.create_publisher(Image, 'picture', 1)
    node.destroy_publisher(publisher)
    message, download = picture(gpu, 4, 1)
    with pytest.raises(Exception, match='destruction'):
        RawSender().send(publisher, message, download)
    download.release()
