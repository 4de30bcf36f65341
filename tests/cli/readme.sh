#!/bin/bash
# Runs the commands of the section "By hand" of the root README as they stand there, in a folder as it is
# after a clone and a build, on a small world and with few steps.
#   tests/cli/readme.sh BINARY
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
binary=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/build/tools" && cp -r "$root/tools" "$folder/tools"
ln -s "$binary" "$folder/build/tools/vila"
cd "$folder" || exit 1
. "$root/tests/support/shell_checks.sh"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1

mapfile -t commands < <(sed -n '/^## By hand$/,/^## /{s/^    //p}' "$root/README.md")
check "the section has commands: ${#commands[@]}" [ ${#commands[@]} -ge 8 ]
ran=0
for command in "${commands[@]}"; do
    command=${command%%  #*}
    case $command in
    meson*) continue ;;  # this binary was built by it
    *" demo "*) command+=" --scale 0.01 --set train.steps=3" ;;
    mpirun*)
        command -v mpirun >/dev/null || { echo "SKIPPED: mpirun is not installed: $command"; continue; }
        command="${command/mpirun/mpirun --oversubscribe} train.steps=3" ;;
    *" train "*) command+=" train.steps=3" ;;
    *" export "*) command=${command/step-00002300/step-00000003} ;;
    esac
    bash -c "$command" >output 2>&1 </dev/null
    code=$?
    check "exit code $code: $command" [ $code -eq 0 ]
    ran=$((ran + 1))
done
check "commands ran: $ran" [ $ran -ge 8 ]
for file in demo/model/config.json runs/sft/model/config.json exported/config.json runs/sft/report.html; do
    check "$file is missing" [ -s $file ]
done
finish
