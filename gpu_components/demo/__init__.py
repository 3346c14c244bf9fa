# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The demonstration: a real container at work on real pictures, watched over ROS."""
