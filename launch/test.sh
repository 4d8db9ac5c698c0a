#!/usr/bin/env bash
# Sets up the environment and passes the tests, on a bare machine with Python 3.11.
#   bash launch/test.sh            everything but the slow tests
#   bash launch/test.sh --slow     all tests
#   bash launch/test.sh -k cache   further arguments go to pytest
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/setup.sh dev

selection=(-m "not slow")
if [ "${1:-}" = "--slow" ]; then selection=(); shift; fi

ruff check .
ruff format --check .
# A file stays with one worker: what its tests share is compiled once.
python -m pytest -n 2 --dist loadfile --durations=25 "${selection[@]}" "$@"
