# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What ``gpu_perception bench`` runs: a publisher, contenders, a monitor, and the report."""
