#!/bin/bash
# Writes requirements/*.lock: exact versions with hashes, and no word of an index.
set -euo pipefail
cd "$(dirname "$0")/.."
compile=("${1:-.venv/bin}/pip-compile" --quiet --generate-hashes --no-emit-index-url --no-emit-find-links
         --strip-extras --allow-unsafe --no-annotate)
export CUSTOM_COMPILE_COMMAND="make lock"
"${compile[@]}" --output-file requirements/node.lock pyproject.toml requirements/node.in
"${compile[@]}" --output-file requirements/machines.lock --constraint requirements/node.lock --extra postgres --extra s3 \
  pyproject.toml requirements/node.in
"${compile[@]}" --output-file requirements/demo.lock --constraint requirements/node.lock requirements/demo.in
"${compile[@]}" --output-file requirements/train.lock --constraint requirements/node.lock --extra train --extra evaluate \
  pyproject.toml requirements/node.in
"${compile[@]}" --output-file requirements/test.lock --constraint requirements/train.lock --extra train --extra evaluate \
  pyproject.toml requirements/node.in requirements/demo.in requirements/test.in
"${compile[@]}" --output-file requirements/gpu.lock --constraint requirements/node.lock --extra postgres --extra s3 --extra gpu \
  pyproject.toml requirements/node.in
