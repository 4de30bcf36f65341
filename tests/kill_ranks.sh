#!/bin/bash
# Kills a job of several ranks with SIGKILL at random instants (one rank, all of them, or mpirun),
# lets it go on, and compares every byte of the result with an undisturbed run. The number of ranks
# changes from start to start: with train.rank_invariant it must not matter.
#   tests/kill_ranks.sh BINARY [COUNT [RANKS [ARGUMENT...]]]
# COUNT runs are killed (default 2), on RANKS ranks at most (default 4).
set -u
binary=$(realpath "$1")
count=${2:-2}
ranks=${3:-4}
extra=("${@:4}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$(dirname "$0")/tiny_training_data.sh" "$folder" || exit 1
cd "$folder" || exit 1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1
export OMPI_MCA_mpi_yield_when_idle=1

train=("$binary" train lm.toml --threads 1 train.steps=20 train.save_every=1
    train.rank_invariant=true "${extra[@]}" --out)
# Weights, tokenizer, and the log but for its timings. Files of a checkpoint depend on the ranks.
fingerprint() {  # run
    (cd "$1" && cat model/llm/* tokenizer/* | sha256sum &&
        sed -E 's/"(seconds|tokens_per_second)":[^,]*,//g' log.jsonl | sha256sum)
}

begin=$(date +%s%N)
"${train[@]}" reference 2>reference.log || { cat reference.log; exit 1; }
mpirun --oversubscribe -n "$ranks" "${train[@]}" full >full.log 2>&1 || { cat full.log; exit 1; }
wall=$((($(date +%s%N) - begin) / 1000))  # microseconds
expected=$(fingerprint reference)
[ "$(fingerprint full)" = "$expected" ] || { echo "$ranks ranks: DIFFERENT from one"; exit 1; }

failures=0
for i in $(seq "$count"); do
    kills=0
    while :; do
        now=$((1 + RANDOM % ranks)) killed=0 processes=()
        mpirun --oversubscribe -n "$now" "${train[@]}" "run$i" >>"run$i.log" 2>&1 &
        pid=$!
        if [ "$kills" -lt 2 ]; then
            sleep "$(awk -v r=$RANDOM -v w=$wall 'BEGIN { printf "%.4f", r / 32768 * w / 1e6 }')"
            mapfile -t processes < <(pgrep -P "$pid")
            case $((RANDOM % 3)) in
                0) victims=("$pid") ;;
                1) victims=("${processes[@]}") ;;
                2) victims=("${processes[RANDOM % (${#processes[@]} + 1)]:-$pid}") ;;
            esac
            kill -9 "${victims[@]}" 2>/dev/null && kills=$((kills + 1)) && killed=1
        fi
        wait "$pid" 2>/dev/null
        code=$?
        # Ranks that mpirun could not end any more end by themselves.
        for process in "${processes[@]}"; do
            for _ in $(seq 100); do kill -0 "$process" 2>/dev/null || break; sleep 0.05; done
            if kill -0 "$process" 2>/dev/null; then
                echo "run $i: process $process outlived mpirun"
                failures=$((failures + 1))
                kill -9 "$process"
            fi
        done
        # One that finished before its first kill proves nothing: again.
        if [ $code -eq 0 ] && [ "$kills" -eq 0 ]; then rm -r "run$i"; continue; fi
        [ $code -eq 0 ] && break
        if [ "$killed" -eq 0 ]; then
            echo "run $i: exit code $code instead of a clean resume"
            tail -n 5 "run$i.log"
            failures=$((failures + 1))
            break
        fi
    done
    if [ "$(fingerprint "run$i")" = "$expected" ]; then
        echo "run $i: $kills kills, identical ($(grep -c 'from step' "run$i.log") resumes)"
    else
        echo "run $i: $kills kills, DIFFERENT from the undisturbed run"
        tail -n 20 "run$i.log"
        failures=$((failures + 1))
    fi
done
[ $failures -eq 0 ]
