# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""One ROS image topic comes in once, for whoever needs it, and only what is fresh and wanted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from probe import Host
from probe import now_ns
from probe import Probe
import pytest
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image
from spinning import NodeFactory
from spinning import wait_until

from gpu_components.compressed_ingress import CompressedIngress
from gpu_components.image_ingress import ImageIngress
from gpu_components.image_kind import ImageKind
from gpu_components.ingress_need import IngressNeed
from gpu_components.ingress_need import merged_qos

TOPIC = '/camera/image'
STAGE = f'ingress {TOPIC}'


def need(*, reliable: bool = False, depth: int = 1, max_age_ms: float = 0.0) -> IngressNeed:
    """Return what one component asks for."""
    return IngressNeed(reliable, depth, lambda: max_age_ms)


def image(stamp_ns: int, **fields: Any) -> Image:
    """Return a message of 6x4 pixels with two bytes of padding per row."""
    values = {'height': 4, 'width': 6, 'encoding': 'bgr8', 'step': 20, **fields}
    message = Image(**values)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    message.header.frame_id = 'left_optical'
    message._data = np.arange(80, dtype=np.uint8)
    return message


@pytest.fixture
def ingress(host: Host) -> Any:
    """Make an ingress for one component without an age limit."""
    return ImageIngress(host.ingress_node, host.reader, TOPIC, [need()], host.gpu)


# Messages ----------------------------------------------------------------------------------


def test_a_message_becomes_a_frame(host: Host, ingress: ImageIngress) -> None:
    """Header, format and every byte of the payload, padding included."""
    reader = host.gpu.bus.subscribe(TOPIC, 'reader')
    ingress.receive(serialize_message(image(1_500_000_007)))
    frame = reader.take(1.0)
    assert frame is not None
    assert (frame.header.stamp_ns, frame.header.frame_id) == (1_500_000_007, 'left_optical')
    layout = frame.format
    assert (layout.width, layout.height, layout.encoding, layout.step) == (6, 4, 'bgr8', 20)
    assert frame.data.tolist() == list(range(80))


@pytest.mark.parametrize(
    'fields',
    [
        {'is_bigendian': 1},
        {'encoding': 'mono16'},
        {'encoding': '16UC1'},
        {'encoding': '32FC1', 'width': 5},
        {'encoding': 'yuv422'},
        {'encoding': 'yuv422_yuy2'},
        {'encoding': 'nv12', 'step': 10, 'width': 6},
        {'encoding': 'bayer_grbg8'},
    ],
)
def test_every_encoding_becomes_a_frame(
    host: Host, ingress: ImageIngress, fields: dict[str, Any]
) -> None:
    """With all its bytes; the byte order of single bytes means nothing."""
    reader = host.gpu.bus.subscribe(TOPIC, 'reader')
    ingress.receive(serialize_message(image(1, **fields)))
    frame = reader.take(1.0)
    assert frame is not None
    assert frame.format.encoding == fields.get('encoding', 'bgr8')
    assert frame.data.tolist() == list(range(frame.format.nbytes))


def test_two_readers_share_one_upload(host: Host, ingress: ImageIngress) -> None:
    """The same frame, by reference."""
    readers = [host.gpu.bus.subscribe(TOPIC, name) for name in ('left', 'right')]
    uploads = host.gpu.transfers.uploads
    ingress.receive(serialize_message(image(1)))
    left, right = (reader.take(1.0) for reader in readers)
    assert left is not None and left is right
    assert host.gpu.transfers.uploads == uploads + 1


def test_an_unwanted_message_is_not_looked_at(host: Host, ingress: ImageIngress) -> None:
    """Not even at its stamp; without reader, or with one that has no use for it."""
    host.gpu.bus.subscribe(TOPIC, 'idle', wanted=lambda: False)
    ingress.receive(b'not CDR at all')
    assert host.metrics(STAGE).counts == {'received': 1, 'unwanted': 1}
    assert host.gpu.transfers.uploads == 0


def test_a_stale_message_is_dropped_before_its_payload(host: Host) -> None:
    """What follows the stamp is not read: here it would be refused."""
    ingress = ImageIngress(
        host.ingress_node, host.reader, TOPIC, [need(max_age_ms=100.0)], host.gpu
    )
    reader = host.gpu.bus.subscribe(TOPIC, 'reader')
    stale = serialize_message(image(now_ns() - 10**9, encoding='unheard of'))
    ingress.receive(stale)
    ingress.receive(stale[:16])
    assert host.metrics(STAGE).counts == {'received': 2, 'dropped_stale': 2}
    ingress.receive(serialize_message(image(now_ns())))
    assert reader.take(1.0) is not None


@pytest.mark.parametrize(
    ('limits', 'dropped'), [((100.0,), 1), ((100.0, 5000.0), 0), ((100.0, 0.0), 0)]
)
def test_a_message_is_stale_when_it_is_for_all(
    host: Host, limits: tuple[float, ...], dropped: int
) -> None:
    """The most patient reader decides; one without a limit takes everything."""
    needs = [need(max_age_ms=limit) for limit in limits]
    ingress = ImageIngress(host.ingress_node, host.reader, TOPIC, needs, host.gpu)
    host.gpu.bus.subscribe(TOPIC, 'reader')
    ingress.receive(serialize_message(image(now_ns() - 10**9)))
    assert host.count('dropped_stale', STAGE) == dropped


@pytest.mark.parametrize(
    ('bad', 'told'),
    [
        ({'encoding': 'jpeg'}, 'jpeg'),
        ({'step': 10}, 'step'),
        ({'height': 0}, '6x0'),
        ({'height': 40}, '80'),
        ({'encoding': 'mono16', 'is_bigendian': 1}, 'swap the bytes'),
        ({'encoding': 'nv12'}, 'chroma needs 120'),
        ({'encoding': 'yuv422', 'width': 5}, 'even width'),
    ],
)
def test_a_bad_message_is_counted_and_told(
    host: Host, ingress: ImageIngress, bad: dict[str, Any], told: str
) -> None:
    """Never raised; the next one passes."""
    reader = host.gpu.bus.subscribe(TOPIC, 'reader')
    ingress.receive(serialize_message(image(1, **bad)))
    assert host.count('dropped_invalid', STAGE) == 1
    assert told in host.metrics(STAGE).error
    ingress.receive(serialize_message(image(2)))
    frame = reader.take(1.0)
    assert frame is not None and frame.header.stamp_ns == 2


@pytest.mark.parametrize('length', [0, 3, 11, 40, 100])
def test_a_message_cut_short_is_counted(host: Host, ingress: ImageIngress, length: int) -> None:
    """At whatever place."""
    host.gpu.bus.subscribe(TOPIC, 'reader')
    ingress.receive(serialize_message(image(1))[:length])
    assert host.metrics(STAGE).counts == {'received': 1, 'dropped_invalid': 1}


def test_each_picture_is_what_its_own_message_says(host: Host, ingress: ImageIngress) -> None:
    """Though what a camera repeats is read only once."""
    reader = host.gpu.bus.subscribe(TOPIC, 'reader')
    plain = image(1)
    other = image(3)
    other.header.frame_id = 'right_optical'
    messages = [plain, image(2), image(2, encoding='rgb8'), image(2, width=5), plain, other]
    for message in messages:
        ingress.receive(memoryview(serialize_message(message)))
        frame = reader.take(1.0)
        assert frame is not None
        assert frame.header.stamp_ns == message.header.stamp.nanosec
        assert frame.header.frame_id == message.header.frame_id
        assert (frame.format.width, frame.format.encoding) == (message.width, message.encoding)


def test_a_kind_is_all_but_stamp_padding_and_pixels() -> None:
    """A message of the same kind needs no other check; any other field makes another kind."""
    message = bytearray(serialize_message(image(1)))
    kind = ImageKind.of(bytes(message))
    told = {index for place in kind.lasting for index in range(*place[0].indices(len(message)))}
    for index in range(len(message)):
        changed = bytearray(message)
        changed[index] ^= 1
        assert kind.matches(memoryview(changed)) == (index not in told), index
    free = set(range(kind.data_offset)) - told
    # The stamp, and what follows 'left_optical', 'bgr8' and is_bigendian up to a multiple of four.
    assert free == {*range(4, 12), 29, 30, 31, 50, 51}
    assert not kind.matches(message[:-1])
    assert not kind.matches(bytes(message) + b'0')


# Compressed --------------------------------------------------------------------------------


def compressed(stamp_ns: int, data: bytes) -> bytes:
    """Return a serialized message."""
    message = CompressedImage(format='png')
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    message.header.frame_id = 'left_optical'
    message.data = data
    return bytes(serialize_message(message))


@pytest.fixture
def decoding(host: Host) -> Iterator[CompressedIngress]:
    """Make a compressed ingress that holds four messages."""
    made = CompressedIngress(host.ingress_node, host.reader, TOPIC, [need(depth=4)], host.gpu)
    yield made
    made.close()


def test_a_compressed_message_is_decoded_and_garbage_costs_itself(
    host: Host, decoding: CompressedIngress
) -> None:
    """What was received may be overwritten as soon as it is queued."""
    reader = host.gpu.bus.subscribe(TOPIC, 'reader')
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    good = bytearray(compressed(1_500_000_007, cv2.imencode('.png', picture)[1].tobytes()))
    for bad in (b'', good[:30], good[:-1], compressed(1, b''), compressed(1, b'no picture')):
        decoding.receive(bytes(bad))
    host.wait_count('dropped_invalid', 1, STAGE)
    assert wait_until(lambda: decoding._queue.queued == 0)
    decoding.receive(memoryview(good))
    good[:] = bytes(len(good))
    frame = reader.take(5.0)
    assert frame is not None
    assert (frame.header.stamp_ns, frame.header.frame_id) == (1_500_000_007, 'left_optical')
    assert frame.data.tolist() == picture.ravel().tolist()


def test_an_unwanted_compressed_message_is_not_queued(
    host: Host, decoding: CompressedIngress
) -> None:
    """Not even looked at."""
    decoding.receive(b'not CDR at all')
    assert host.metrics(STAGE).counts == {'received': 1, 'unwanted': 1}


def test_a_compressed_picture_arrives_from_ros(
    host: Host, decoding: CompressedIngress, make_node: NodeFactory
) -> None:
    """On the topic that image_transport uses."""
    reader = host.gpu.bus.subscribe(TOPIC, 'reader')
    publisher = make_node('camera').create_publisher(CompressedImage, f'{TOPIC}/compressed', 1)
    assert wait_until(lambda: publisher.get_subscription_count() == 1)
    picture = np.full((2, 4, 3), 9, np.uint8)
    publisher.publish(compressed(7, cv2.imencode('.png', picture)[1].tobytes()))
    frame = reader.take(5.0)
    assert frame is not None and frame.header.stamp_ns == 7


# Needs -------------------------------------------------------------------------------------


def test_profiles_are_merged() -> None:
    """The largest depth; reliable if anybody asks for it."""
    assert merged_qos([need()]) == QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    merged = merged_qos([need(depth=2), need(reliable=True), need(depth=7)])
    assert merged == QoSProfile(depth=7, reliability=ReliabilityPolicy.RELIABLE)


def subscriptions(host: Host) -> list[Any]:
    """Return the ROS subscriptions of the ingress node."""
    return [s for s in host.ingress_node.subscriptions if s.topic_name == TOPIC]


def test_one_subscription_for_all_needs(host: Host) -> None:
    """Opened with the first, kept while it serves, closed with the last."""
    first, second = need(), need()
    host.router.attach(TOPIC, first)
    (opened,) = subscriptions(host)
    host.router.attach(TOPIC, second)
    assert subscriptions(host) == [opened]
    host.router.detach(TOPIC, first)
    assert subscriptions(host) == [opened]
    assert host.router.topics() == [TOPIC]
    host.router.detach(TOPIC, second)
    assert subscriptions(host) == []
    assert host.router.topics() == []


def test_subscribed_anew_only_for_another_profile(host: Host) -> None:
    """A need within the profile changes nothing; one beyond it does, and its end does."""
    modest, demanding = need(depth=5), need(reliable=True, depth=2)
    host.router.attach(TOPIC, modest)
    (before,) = subscriptions(host)
    host.router.attach(TOPIC, need(depth=3))
    assert subscriptions(host) == [before]
    host.router.attach(TOPIC, demanding)
    (after,) = subscriptions(host)
    assert after is not before
    profile = after.qos_profile
    assert (profile.depth, profile.reliability) == (5, ReliabilityPolicy.RELIABLE)
    host.router.detach(TOPIC, demanding)
    (last,) = subscriptions(host)
    assert last.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


def test_age_limits_follow_the_needs(host: Host) -> None:
    """A patient reader that joins or leaves changes what is stale, on the same subscription."""
    host.gpu.bus.subscribe(TOPIC, 'reader')
    host.router.attach(TOPIC, need(max_age_ms=100.0))
    (subscription,) = subscriptions(host)
    old = serialize_message(image(now_ns() - 10**9))
    subscription.callback(old)
    assert host.count('dropped_stale', STAGE) == 1
    patient = need()
    host.router.attach(TOPIC, patient)
    subscription.callback(old)
    assert host.count('processed', STAGE) == 1
    host.router.detach(TOPIC, patient)
    subscription.callback(old)
    assert host.count('dropped_stale', STAGE) == 2


def test_a_producer_in_the_process_replaces_ros(host: Host) -> None:
    """Its frames come by reference; when it leaves, ROS is subscribed again."""
    host.load(Probe, 'consumer', remap=[f'input_image:={TOPIC}', 'echo:=/consumed'])
    assert host.router.topics() == [TOPIC]
    producer = host.load(Probe, 'producer', remap=[f'echo:={TOPIC}'])
    assert host.router.topics() == ['/input_image']
    producer.trigger_deactivate()
    assert host.router.topics() == [TOPIC]
    producer.trigger_activate()
    assert host.router.topics() == ['/input_image']


def test_components_share_a_topic(host: Host) -> None:
    """Two readers, one subscription; each has a queue of its own."""
    host.load(Probe, 'left', remap=[f'input_image:={TOPIC}', 'echo:=/l'], publish='always')
    host.load(Probe, 'right', remap=[f'input_image:={TOPIC}', 'echo:=/r'], publish='always')
    (subscription,) = subscriptions(host)
    subscription.callback(serialize_message(image(3)))
    host.wait_count('processed', 1, '/left')
    host.wait_count('processed', 1, '/right')
    assert host.gpu.transfers.uploads == 1


def test_a_component_says_which_topic_and_profile(host: Host) -> None:
    """By remapping, and by its parameters."""
    rules = [f'input_image:={TOPIC}', 'echo:=/echo']
    host.load(Probe, 'stage', remap=rules, input_reliability='reliable', input_depth=3)
    (subscription,) = subscriptions(host)
    profile = subscription.qos_profile
    assert (profile.depth, profile.reliability) == (3, ReliabilityPolicy.RELIABLE)


@pytest.mark.ros
def test_pictures_arrive_from_ros(host: Host, make_node: NodeFactory) -> None:
    """Through DDS, in order, none lost, when the reader asks for all."""
    reader = host.gpu.bus.subscribe(TOPIC, 'reader', depth=20)
    host.router.attach(TOPIC, need(reliable=True, depth=20))
    camera = make_node('camera')
    profile = QoSProfile(
        depth=20,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )
    publisher = camera.create_publisher(Image, TOPIC, profile)
    assert wait_until(lambda: publisher.get_subscription_count() == 1)
    for stamp in range(1, 11):
        publisher.publish(image(stamp))
    frames = [reader.take(5.0) for _ in range(10)]
    assert [f.header.stamp_ns for f in frames if f is not None] == list(range(1, 11))
    assert frames[-1] is not None and frames[-1].data.tolist() == list(range(80))
