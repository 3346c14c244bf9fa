# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Package description for ament_python and pip."""

from pathlib import Path

from setuptools import find_packages
from setuptools import setup

NAME, LIST = 'gpu_perception', 'rclcpp_components'
TYPES = ['py.typed', '__init__.pyi']
HERE = Path(__file__).resolve().parent
COMPONENTS = {
    'DepthEstimator': 'depth_estimator',
    'ImageClassifier': 'image_classifier',
    'ImageFolderSource': 'sources.image_folder_source',
    'ImageProcessor': 'image_processor',
    'MemoryManager': 'memory_manager',
    'ObjectDetector': 'object_detector',
    'PhotoCamera': 'sources.photo_camera',
    'SemanticSegmenter': 'semantic_segmenter',
    'VideoSource': 'sources.video_source',
}


def shared(folder: str) -> tuple[str, list[str]]:
    """Files of a folder and where they are installed, seen from the prefix."""
    files = sorted(path for path in (HERE / folder).glob('*') if path.is_file())
    return f'share/{NAME}/{folder}', [str(path.relative_to(HERE)) for path in files]


setup(
    name=NAME,
    version='0.1.0',
    description='Every perception stage of a robot in one process on one GPU context.',
    author='The gpu_perception Authors',
    maintainer='The gpu_perception Authors',
    maintainer_email='gpu-perception@example.com',
    license='Apache-2.0',
    license_files=['LICENSE'],
    packages=find_packages(include=['gpu_runtime*', 'gpu_components*']),
    package_data={'gpu_runtime': TYPES, 'gpu_components': TYPES},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        # For `ros2 component types`, and to complete names; rclcpp_components is its only list.
        (f'share/ament_index/resource_index/{LIST}', [f'resource/{LIST}/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        shared('launch'),
        shared('params'),
    ],
    # Dependencies are named in package.xml (rosdep) and pip_env (exact locks).
    python_requires='>=3.10',
    zip_safe=False,
    entry_points={
        'console_scripts': [
            'gpu_container = gpu_components.gpu_container:main',
            'gpu_perception = gpu_components.cli:main',
        ],
        'rclpy_components': [
            f'gpu_perception::{name} = gpu_components.{module}:{name}'
            for name, module in COMPONENTS.items()
        ],
    },
)
