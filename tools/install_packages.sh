#!/bin/sh
# Installs missing Debian packages: those of the build, and with "tests" also those of the tests. Does
# nothing, and needs no root, if all are installed.
#   tools/install_packages.sh [tests]
set -eu

build_packages="g++ meson ninja-build pkg-config nlohmann-json3-dev libcli11-dev
    libtomlplusplus-dev libstb-dev libjpeg62-turbo-dev libwebp-dev zlib1g-dev"
test_packages="git procps iproute2 libopenmpi-dev openmpi-bin libgtest-dev googletest clang-14 clang-format-14 libclang-rt-14-dev libomp-14-dev
    g++-aarch64-linux-gnu qemu-user-static"

wanted=$build_packages
[ "${1:-}" = tests ] && wanted="$wanted $test_packages"

if ! command -v dpkg-query >/dev/null; then
    echo "No dpkg-query on this system: install the equivalents of" $wanted >&2
    exit 0
fi

missing=
for package in $wanted; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "Packages are missing, and installing them needs root or sudo:$missing" >&2
        exit 1
    fi
    as_root=sudo
fi
echo "Installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
