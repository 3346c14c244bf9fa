# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""``gpu_perception doctor``: what this machine has and lacks, each with the remedy."""
