#!/usr/bin/env bash
# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
# Install a wheelhouse and this project beside an existing torch, without network:
#   pip_env/install_offline.sh DIR…     folders of `make wheelhouse`, all at once or one after the other
#   PYTHON=python3                      the Python that has torch, of the version the wheels are for
#   VENV=.venv-offline                  the environment to make or to add to
exec "${PYTHON:-python3}" "$(dirname "$0")/install_offline.py" "$@"
