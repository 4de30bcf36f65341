#!/bin/sh
# From a clone to a trained vision language model: installs missing packages, builds, runs the demo.
#   tools/quickstart.sh [options of vila demo]
set -eu
cd "$(dirname "$0")/.."

tools/install_packages.sh
[ -f build/build.ninja ] || meson setup build
ninja -C build tools/vila
exec build/tools/vila demo "$@"
