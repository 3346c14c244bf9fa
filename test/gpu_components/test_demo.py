# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The command line and the demo, run as a person runs it, and the figures it tells."""

from __future__ import annotations

from io import StringIO
import json
from pathlib import Path
import subprocess
import sys
from typing import Any

import cv2
import pytest
from rich.console import Console

from gpu_components.cli import main
from gpu_components.demo.live_change import change_live
from gpu_components.demo.live_change import LiveChange
from gpu_components.demo.monitor import Sighting
from gpu_components.demo.screen import Screen
from gpu_components.demo.summary import problems
from gpu_components.demo.summary import summarise
from gpu_runtime.stage_metrics import StageMetrics


def run_demo(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, '-m', 'gpu_components.cli', 'demo', '--out', str(out), *arguments],
        capture_output=True,
        text=True,
        timeout=150,
    )


@pytest.fixture(scope='module')
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run the demo shortly, over the picture of an earlier run; return its folder and text."""
    out = tmp_path_factory.mktemp('demo') / 'new' / 'folder'
    out.mkdir(parents=True)
    (out / 'annotated_9.png').write_bytes(b'of an earlier run')
    done = run_demo(out, '--seconds', '6', '--device', 'cpu')
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done.stdout


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.timeout(200)
class TestFinishedDemo:
    """What a successful run leaves behind."""

    def test_summary_accounts_for_every_frame(self, finished: tuple[Path, str]) -> None:
        """Every stage: what came in was processed or dropped."""
        summary = json.loads((finished[0] / 'summary.json').read_text('utf-8'))
        assert set(summary['stages']) == {'/demo/photo_camera', '/demo/object_detector'}
        for stage in summary['stages'].values():
            assert stage['in'] == stage['processed'] + stage['dropped'] > 0
        detector = summary['stages']['/demo/object_detector']
        assert summary['detections']['messages'] == detector['processed']

    def test_faces_were_found_and_latency_measured(self, finished: tuple[Path, str]) -> None:
        """Objects, ordered percentiles, device and versions."""
        summary = json.loads((finished[0] / 'summary.json').read_text('utf-8'))
        assert set(summary['detections']['by_class']) == {'face'}
        assert summary['detections']['messages_with_objects'] >= 3
        latency = summary['latency_ms']
        assert 0 < latency['p50'] <= latency['p95'] <= latency['p99'] <= latency['max']
        assert summary['device'] == 'cpu'
        assert summary['problems'] == []
        for name in ('python', 'torch', 'torchvision', 'rclpy', 'os'):
            assert summary['versions'][name]

    def test_changed_threshold_was_obeyed(self, finished: tuple[Path, str]) -> None:
        """With a face in sight: none under the higher threshold, and the service answered."""
        change = json.loads((finished[0] / 'summary.json').read_text('utf-8'))['live_change']
        assert change['obeyed']
        assert change['objects_before'] >= 1
        assert change['pictures'] >= 1

    def test_pictures_are_annotated(self, finished: tuple[Path, str]) -> None:
        """As many as listed, of the camera's size, and those of an earlier run are gone."""
        out, _ = finished
        listed = json.loads((out / 'summary.json').read_text('utf-8'))['annotated_pictures']
        assert listed
        assert sorted(path.name for path in out.glob('*.png')) == sorted(listed)
        for name in listed:
            assert cv2.imread(str(out / name)).shape == (400, 480, 3)

    def test_a_person_can_read_what_it_prints(self, finished: tuple[Path, str]) -> None:
        """Progress line by line where no bar can move, then tables."""
        text = finished[1]
        for part in (' of 6 s: ', 'object_detector', 'processed', 'face', 'p50', 'p95', 'p99'):
            assert part in text


@pytest.mark.ros
def test_unknown_device_is_told_in_one_line(tmp_path: Path) -> None:
    """Exit status 1, the reason, no traceback."""
    done = run_demo(tmp_path, '--device', 'cuda:99')
    assert done.returncode == 1
    assert 'cuda:99' in done.stdout
    assert 'Traceback' not in done.stdout + done.stderr


@pytest.mark.parametrize('arguments', [[], ['unknown'], ['demo', '--seconds', '0']])
def test_wrong_usage_is_refused(arguments: list[str], capsys: Any) -> None:
    """Status 2 and the usage, as every command line does."""
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
    assert 'usage: gpu_perception' in capsys.readouterr().err


def sighting(stamp_ns: int, *scores: float) -> Sighting:
    """Return a message of faces with these scores."""
    return Sighting(stamp_ns, 0.01 * (1 + stamp_ns), ('face',) * len(scores), scores)


def summary_of(sightings: list[Sighting], stage: StageMetrics) -> tuple[dict[str, Any], Any]:
    """Return the summary of a run with one stage, and the stage."""
    stages = {'/detector': stage.snapshot()}
    return {**summarise(sightings, stages, 2.0), 'live_change': None}, stages


def test_summary_counts_what_the_queue_dropped_as_come_in() -> None:
    """A frame that never left the queue is not lost from the figures."""
    stage = StageMetrics()
    stage.count('received', 3)
    stage.count('processed', 3)
    stage.count('dropped_overflow', 2)
    summary, _ = summary_of([sighting(0, 0.9), sighting(1), sighting(2, 0.8, 0.7)], stage)
    counts = summary['stages']['/detector']
    assert (counts['in'], counts['processed'], counts['dropped']) == (5, 3, 2)
    assert counts['dropped_by_cause'] == {'overflow': 2}
    assert summary['detections']['objects'] == 3
    assert summary['rate_hz'] == 1.5
    assert summary['latency_ms']['p50'] == 20.0


def test_nothing_found_and_failed_stages_are_problems() -> None:
    """Both end in exit status 1, and the reason is told."""
    stage = StageMetrics()
    summary, stages = summary_of([sighting(0, 0.9)], stage)
    assert problems(summary, stages) == []
    stage.fail('error', 'RuntimeError: broken')
    summary, stages = summary_of([sighting(0)], stage)
    found = problems(summary, stages)
    assert found[0] == '/detector: RuntimeError: broken'
    assert 'nothing was found in 1 pictures' in found[1]


class Clock:
    """A monitor's clock, in nanoseconds."""

    nanoseconds = 10

    def now(self) -> Clock:
        """Return itself."""
        return self


class DeafMonitor:
    """A detector's answers when a change of the threshold is accepted and not obeyed."""

    def __init__(self, *later: Sighting) -> None:
        self._seen = [sighting(1, 0.9)]
        self._later = later
        self.values: list[float] = []

    def sightings(self) -> list[Sighting]:
        """Return all messages."""
        return self._seen

    def get_clock(self) -> Clock:
        """Return the clock."""
        return Clock()

    def set_detector_parameter(self, name: str, value: float) -> None:
        """Accept the value."""
        assert name == 'confidence_threshold'
        self.values.append(value)
        self._seen = [*self._seen, *self._later]


def change_of(*later: Sighting) -> LiveChange:
    """Return the verdict on some messages that came after the answer."""
    monitor: Any = DeafMonitor(*later)
    verdict = change_live(monitor, before=0.5)
    assert monitor.values == [0.99, 0.5]
    return verdict


def test_live_change_sees_a_detector_that_does_not_obey() -> None:
    """One picture taken after the answer with a lower score is enough."""
    assert not change_of(sighting(11), sighting(12, 0.9), sighting(13)).obeyed


def test_live_change_does_not_judge_pictures_taken_before_the_answer() -> None:
    """They were on their way already."""
    verdict = change_of(sighting(9, 0.9), sighting(11), sighting(12), sighting(13))
    assert verdict.obeyed
    assert verdict.pictures == 3


def test_screen_prints_the_summary() -> None:
    """Also without samples and without pictures."""
    text = StringIO()
    summary, _ = summary_of([], StageMetrics())
    summary.update(device='cpu', device_name='cpu', folder='out', annotated_pictures=[])
    Screen(Console(file=text, width=100)).result(summary)
    assert '/detector' in text.getvalue()
    assert 'none on 0 pictures' in text.getvalue()
