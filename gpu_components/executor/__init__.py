# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The executor of the container: planes of work that do not wait for each other."""

from gpu_components.executor.error_policy import ErrorPolicy
from gpu_components.executor.error_policy import log_and_continue
from gpu_components.executor.plane_executor import PlaneExecutor
from gpu_components.executor.subscription_reader import SubscriptionReader

__all__ = ['ErrorPolicy', 'PlaneExecutor', 'SubscriptionReader', 'log_and_continue']
