#!/bin/bash
# Kills a job of several ranks with SIGKILL at random instants (some ranks, all of them, or mpirun),
# resumes it, and compares every byte of the result with an undisturbed run: weights, moments,
# tokenizer, and the log without timings. Every step is saved. Three starts in four have all ranks, the
# others fewer, which must make no difference with train.rank_invariant.
#   tests/faults/kill_ranks.sh BINARY [KILLS [MODE [RANKS [ARGUMENT...]]]]
# KILLS kills (default 4) in MODE sync, async or both (the default), on RANKS ranks (default 4).
# VILA_TEST_SEED determines the instants and the killed processes.
set -u
binary=$(realpath "$1")
kills_wanted=${2:-4}
modes=${3:-both}
ranks=${4:-4}
extra=("${@:5}")
[ "$modes" != both ] || modes="sync async"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$(dirname "$0")/../support/tiny_training_data.sh" "$folder" || exit 1
cd "$folder" || exit 1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1
export OMPI_MCA_mpi_yield_when_idle=1
RANDOM=${VILA_TEST_SEED:-$$}
echo "seed ${VILA_TEST_SEED:-$$}"

job() {  # ranks run: starts it in the background; sets $pid to its mpirun
    mpirun --oversubscribe -n "$1" "${train[@]}" "$2" >>"$2.log" 2>&1 &
    pid=$!
}
# The division of the state into files depends on the number of ranks that wrote it.
writers() { find "$1/checkpoints/step-00000020" -name 'rank-*' | wc -l; }
fingerprint() {  # run
    (cd "$1" && cat model/llm/* tokenizer/* checkpoints/step-00000020/rank-* | sha256sum &&
        sed -E 's/,"communication":\{[^}]*\}//; s/"(seconds|tokens_per_second)":[^,]*,//g' log.jsonl |
        sha256sum)
}
complain() { echo "$1"; tail -n 5 "$2.log"; failures=$((failures + 1)); }

failures=0 kills=0 runs=0 launcher_hangs=0
# Sends SIGKILL to mpirun (all ranks must then end by themselves) or to a random number of ranks.
kill_some() {
    mapfile -t processes < <(pgrep -P "$pid")
    local count=$((RANDOM % (${#processes[@]} + 1))) first=$((RANDOM % 64))
    victims=()
    for ((i = 0; i < count; ++i)); do victims+=("${processes[(first + i) % ${#processes[@]}]}"); done
    [ "$count" -gt 0 ] || victims=("$pid")
    kill -9 "${victims[@]}" 2>/dev/null
}
# Waits until the job has ended. Open MPI 4.1 can hang when a rank dies while it connects; mpirun is
# killed when no rank has been alive for a while.
wait_for_job() {
    for _ in $(seq 1000); do
        kill -0 "$pid" 2>/dev/null || break
        if ! ps -o stat= --ppid "$pid" | grep -q '^[^Z]' && [ $((++idle)) -gt 60 ]; then
            kill -9 "$pid" && launcher_hangs=$((launcher_hangs + 1))
        fi
        sleep 0.05
    done
    if kill -0 "$pid" 2>/dev/null; then complain "$1: still there after a kill" "$1"; kill -9 "$pid"; fi
}
expect_no_orphans() {  # run
    for process in "${processes[@]}"; do
        for _ in $(seq 100); do kill -0 "$process" 2>/dev/null || break; sleep 0.05; done
        kill -0 "$process" 2>/dev/null || continue
        complain "$1: process $process outlived mpirun" "$1"
        kill -9 "$process"
    done
}

for mode in $modes; do
    train=("$binary" train lm.toml --threads 1 train.steps=20 train.save_every=1
        train.rank_invariant=true "train.async_save=$([ "$mode" = async ] && echo true || echo false)"
        "${extra[@]}" --out)
    # What must come out when the last start has N ranks, and how long all of them take.
    expected=()
    for ((n = 1; n <= ranks; ++n)); do
        begin=$(date +%s%N)
        job "$n" "$mode-reference$n"
        wait $pid || { cat "$mode-reference$n.log"; exit 1; }
        wall=$((($(date +%s%N) - begin) / 1000))  # microseconds
        expected[n]=$(fingerprint "$mode-reference$n")
        same=$(cd "$mode-reference$n" && cat model/llm/* | sha256sum)
        [ "$n" -eq 1 ] && weights=$same
        [ "$same" = "$weights" ] || { echo "$n ranks: DIFFERENT from one"; exit 1; }
    done
    kills=0
    while [ "$kills" -lt "$kills_wanted" ]; do
        run=$mode-run$((++runs)) of_run=0
        while :; do
            now=$ranks
            [ $((RANDOM % 4)) -ne 0 ] || now=$((1 + RANDOM % ranks))
            announced=$(cat "$run/checkpoints/latest" 2>/dev/null || echo step-0)
            job "$now" "$run"
            processes=() ended='' killed=0 idle=0
            if [ "$kills" -lt "$kills_wanted" ]; then
                begin=$(date +%s%N)
                sleep "$(awk -v r=$RANDOM -v w=$wall 'BEGIN { printf "%.4f", r / 32768 * w / 1e6 }')" &
                sleeper=$!
                wait -n -p ended $sleeper "$pid"
                code=$?
                if [ "$ended" = "$pid" ]; then
                    # Faster than the reference, which ran when the machine was busy.
                    [ "$of_run" -gt 0 ] || [ "$now" -lt "$ranks" ] || wall=$((($(date +%s%N) - begin) / 1000))
                    kill $sleeper
                elif kill_some; then
                    killed=1 kills=$((kills + 1)) of_run=$((of_run + 1))
                fi
            fi
            [ $killed -eq 0 ] || wait_for_job "$run"
            if [ "$ended" != "$pid" ]; then
                wait "$pid" 2>/dev/null
                code=$?
            fi
            expect_no_orphans "$run"
            # A checkpoint that was announced must not be lost.
            newest=$(cat "$run/checkpoints/latest" 2>/dev/null || echo step-0)
            [[ ! "$newest" < "$announced" ]] || complain "$run: $newest after $announced" "$run"
            [ $code -ne 0 ] || break
            if [ $killed -eq 0 ]; then
                complain "$run: exit code $code instead of a clean resume" "$run"
                break
            fi
        done
        if [ "$(fingerprint "$run")" = "${expected[$(writers "$run")]}" ]; then
            echo "$run: $of_run kills, identical ($(grep -c 'from step' "$run.log") resumes)"
        else
            complain "$run: $of_run kills, DIFFERENT from the undisturbed run" "$run"
        fi
        rm -rf "$run" "$run.log"
    done
    echo "$mode: $kills kills in starts of up to $ranks ranks, $failures failures" \
        "(mpirun alone hung $launcher_hangs times)"
done
[ $failures -eq 0 ]
