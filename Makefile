# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
# Every target makes .venv first, and again only when what it is made of has changed.

# In `make wheelhouse` PYTHON names the machine the wheels are for, elsewhere what .venv is made
# with. Once .venv is there its Python counts, unless another is given.
ifneq ($(filter wheelhouse,$(MAKECMDGOALS)),)
WHEELS_FOR := $(or $(PYTHON),3.12)
override PYTHON := $(or $(wildcard .venv/bin/python),python3)
OUT ?= wheelhouse
endif
PYTHON ?= $(or $(wildcard .venv/bin/python),python3)
OUT ?= out/demo
BIN := .venv/bin
UV := $(BIN)/uv

LOCKS := $(addprefix pip_env/requirements,-bootstrap.lock .lock -dev.lock -demo.lock)
MADE_OF := $(LOCKS) pip_env/requirements-build.lock setup.py setup.cfg \
           $(shell find pip_env/interfaces -type f | sort)
PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>&-)
# Always made from nothing: uv takes the ROS wheels' second set of metadata for packages of their
# own that no lock names, and would remove their files when it brings an old .venv up to date.
BASE_PYTHON := $(shell $(PYTHON) -c 'import os, sys; print(os.path.realpath(sys.executable))' 2>&-)
STAMP := .venv/setup-$(PYTHON_VERSION)-$(shell cat $(MADE_OF) | sha256sum | cut -c1-16)

# Nothing leaves the machine, and nothing of a sourced ROS 2 installation gets in.
unexport PYTHONPATH LD_LIBRARY_PATH PYTHONHOME
export AMENT_PREFIX_PATH := $(CURDIR)/.venv
export ROS_AUTOMATIC_DISCOVERY_RANGE := LOCALHOST
export OMP_NUM_THREADS ?= 2

.PHONY: help setup demo test lint bench doctor wheelhouse locks clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*##/ {printf "  make %-11s %s\n", $$1, $$2}' Makefile

setup: $(STAMP)  ## make the environment .venv (the other targets do it by themselves)

demo: export ROS_DOMAIN_ID := 77
demo: $(STAMP)  ## find faces in real pictures; results in out/demo
	$(BIN)/gpu_perception demo --out $(OUT)

test: export ROS_DOMAIN_ID := 78
test: $(STAMP)  ## run every test this machine can run
	$(BIN)/python -m pytest $(ARGS)

lint: $(STAMP)  ## check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: export ROS_DOMAIN_ID := 79
bench: $(STAMP)  ## measure on this machine; ARGS=--quick for a minute, ARGS=basics for its speeds
	$(BIN)/gpu_perception bench $(ARGS)

doctor: $(STAMP)  ## tell what this machine has and lacks
	$(BIN)/gpu_perception doctor

wheelhouse: $(STAMP)  ## wheels for a machine without network: PYTHON=3.12 OUT=dir [SPLIT_MB=48] [WITH_TORCH=1] [WITH_TENSORRT=1]
	$(BIN)/python pip_env/wheelhouse.py --python $(WHEELS_FOR) --out $(OUT) \
	  $(if $(SPLIT_MB),--split-mb $(SPLIT_MB)) $(if $(WITH_TORCH),--with-torch) \
	  $(if $(WITH_TENSORRT),--with-tensorrt) $(ARGS)

locks:  ## compile pip_env/*.in again (needs .venv; ARGS=--upgrade takes newer versions)
	for name in requirements requirements-build requirements-dev requirements-demo \
	  requirements-tensorrt requirements-bootstrap; do \
	  (cd pip_env && ../$(UV) pip compile --quiet --universal --python-version 3.11 \
	    --generate-hashes --allow-unsafe --custom-compile-command 'make locks' \
	    $$([ $$name != requirements-demo ] || echo --no-deps) $(ARGS) $$name.in -o $$name.lock) \
	  || exit 1; \
	done

clean:  ## remove everything made here
	rm -rf .venv build out *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(STAMP):
	$(if $(PYTHON_VERSION),,$(error expected Python 3.11 or 3.12, $(PYTHON) does not run; make PYTHON=python3.12))
	@echo "making .venv with Python $(PYTHON_VERSION); the first time this downloads some 3 GB"
	$(BASE_PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r pip_env/requirements-bootstrap.lock
	$(BIN)/python pip_env/build_interfaces.py --uv $(UV) > .venv/interfaces.txt
	$(UV) pip install --require-hashes --no-deps --python $(BIN)/python $(addprefix -r ,$(LOCKS))
	xargs -r -d '\n' $(UV) pip install --quiet --python $(BIN)/python --no-index --no-deps < .venv/interfaces.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-index --no-deps --no-build-isolation -e .
	mkdir -p .venv/lib/gpu_perception $(addprefix .venv/share/ament_index/resource_index/,packages rclcpp_components)
	ln -sf ../../bin/gpu_container ../../bin/gpu_perception .venv/lib/gpu_perception/
	ln -sfn '$(CURDIR)' .venv/share/gpu_perception
	cp resource/gpu_perception .venv/share/ament_index/resource_index/packages/
	cp resource/rclcpp_components/gpu_perception .venv/share/ament_index/resource_index/rclcpp_components/
	@rm -f .venv/setup-* && touch $@
