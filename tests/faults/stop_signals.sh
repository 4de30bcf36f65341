#!/bin/bash
# Stops training with SIGTERM, SIGINT and SIGHUP at random instants of the set-up and of the training.
# Each run is stopped up to twice and then resumed to its end. A stopped run must leave the checkpoint of
# the last step in its log, no half-written file and no process, and end with the same bytes as a run
# that was not stopped.
#   tests/faults/stop_signals.sh BINARY [RUNS [MODE...]]
# RUNS runs (default 2) of each MODE (default: all that the machine can run), with short steps and long
# ones in turn:
#   alone     one rank
#   mpirun    three ranks; the signal goes to mpirun, which kills the ranks two seconds later
#   one_rank  three ranks under mpirun; the signal goes to one of them
#   srun      three ranks; the signal goes to a script that treats them as srun of Slurm does
# VILA_TEST_SEED determines the instants and the signals.
set -u
binary=$(realpath "$1")
runs=${2:-2}
modes=("${@:3}")
if [ ${#modes[@]} -eq 0 ]; then
    modes=(alone)
    if command -v mpirun >/dev/null; then modes+=(mpirun one_rank srun); else echo "no mpirun: alone only"; fi
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$(dirname "$0")/../support/tiny_training_data.sh" "$folder" || exit 1
cd "$folder" || exit 1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1
export OMPI_MCA_mpi_yield_when_idle=1
RANDOM=${VILA_TEST_SEED:-$$}
echo "seed ${VILA_TEST_SEED:-$$}"

# A rank as srun starts it. The variables by which MPI finds the other ranks stay.
cat >srun_rank.sh <<'SCRIPT'
#!/bin/bash
export SLURM_STEP_NUM_TASKS=$OMPI_COMM_WORLD_SIZE SLURM_PROCID=$OMPI_COMM_WORLD_RANK
export SLURM_LOCALID=$OMPI_COMM_WORLD_LOCAL_RANK
unset "${!OMPI_COMM_WORLD_@}"
exec "$@"
SCRIPT
# srun passes a signal on to all tasks and waits for them.
cat >srun.sh <<'SCRIPT'
#!/bin/bash
for signal in TERM INT HUP; do
    # shellcheck disable=SC2064
    trap "pkill -$signal -P \$job" $signal
done
mpirun --oversubscribe -n 3 ./srun_rank.sh "$@" &
job=$!
while kill -0 $job 2>/dev/null; do wait $job; code=$?; done
exit $code
SCRIPT
chmod +x srun_rank.sh srun.sh

# Starts a run in the background and sets $pid. Background jobs of a script ignore SIGINT; env restores
# the default. A signal may reach a job while it is still a copy of this shell, which would then run the
# trap of this shell.
start() {  # mode run size
    local launch=()
    case $1 in
        mpirun | one_rank) launch=(mpirun --oversubscribe -n 3) ;;
        srun) launch=(./srun.sh) ;;
    esac
    trap - EXIT
    env --default-signal=INT,HUP "${launch[@]}" "$binary" train lm.toml --out "$folder/$2" --threads 1 \
        train.rank_invariant=true train.async_save="$async" "${size[@]}" >>"$2.log" 2>&1 &
    pid=$!
    trap 'rm -rf "$folder"' EXIT
}
ranks_of() { pgrep -f -- "^$binary train .*--out $folder/$1 "; }
# The ranks that train: under mpirun each is a child of the process that mpirun knows.
trainers_of() {
    for process in $(ranks_of "$1"); do
        pgrep -P "$process" >/dev/null || echo "$process"
    done
}
fingerprint() {  # run
    (cd "$1" && cat model/llm/* tokenizer/* | sha256sum &&
        sed -E 's/,"communication":\{[^}]*\}//; s/"(seconds|tokens_per_second)":[^,]*,//g' log.jsonl |
        sha256sum)
}
complain() { echo "FAILED: $1"; tail -n 5 "$2.log"; failures=$((failures + 1)); }
now() { date +%s%N; }

# Sends the signal as the mode says; fails if there is nobody to send it to.
send() {  # mode run signal
    local processes
    case $1 in
        one_rank)
            mapfile -t processes < <(trainers_of "$2")
            [ ${#processes[@]} -eq 3 ] && kill "-$3" "${processes[RANDOM % 3]}" 2>/dev/null ;;
        *) kill "-$3" "$pid" 2>/dev/null ;;
    esac
}
# Waits for the ranks, which may outlive mpirun while they save; sets $code to the exit code of the job.
wait_for_end() {  # run
    local begin
    begin=$(now)
    wait "$pid" 2>/dev/null
    code=$?
    while [ -n "$(ranks_of "$1")" ] && [ $((($(now) - begin) / 1000000)) -lt 30000 ]; do sleep 0.02; done
    if [ -n "$(ranks_of "$1")" ]; then
        complain "$1: still there after 30 s" "$1"
        ranks_of "$1" | xargs kill -9
    fi
    seconds=$((($(now) - begin) / 1000000))  # milliseconds
}
# Checks what a stopped run leaves.
check_stopped() {  # mode run signal
    local expected=$((128 + $(kill -l "$3"))) steps newest
    case $1 in
        mpirun) ;;  # mpirun has exit codes of its own
        *) [ $code -eq $expected ] || complain "$2: exit code $code after SIG$3" "$2" ;;
    esac
    steps=$(cat "$2/log.jsonl" 2>/dev/null | wc -l)
    newest=$(find "$2/checkpoints" -name 'step-????????' 2>/dev/null | sort | tail -n 1)
    if [ "$steps" -gt 0 ]; then
        [ "$newest" = "$2/checkpoints/step-$(printf %08d "$steps")" ] ||
            complain "$2: $steps steps are logged, but the newest checkpoint is '$newest'" "$2"
        "$binary" inspect --verify "$newest" >/dev/null 2>&1 || complain "$2: $newest is damaged" "$2"
        in_training=$((in_training + 1))
    else
        in_set_up=$((in_set_up + 1))
    fi
    [ "$seconds" -le "$longest" ] || longest=$seconds
    # The next start removes a checkpoint whose save in the background had not ended.
    [ -z "$(find "$2" -name '*.tmp-*' ! -name 'step-*' 2>/dev/null)" ] ||
        complain "$2: $(find "$2" -name '*.tmp-*')" "$2"
}

failures=0
# Ten short steps, or three of more than a second.
# shellcheck disable=SC2034  # $size refers to one of them
short=(train.steps=10 train.save_every=1000)
# shellcheck disable=SC2034
long=(train.steps=3 train.save_every=1000 train.global_batch=1536)
declare -A expected wall
async=false
for kind in short long; do
    declare -n size=$kind
    begin=$(now)
    start alone "reference-$kind"
    wait_for_end "reference-$kind"
    [ $code -eq 0 ] || { cat "reference-$kind.log"; exit 1; }
    wall[alone-$kind]=$((($(now) - begin) / 1000000))  # milliseconds
    expected[$kind]=$(fingerprint "reference-$kind")
    # Three ranks take a second to find each other, and a step takes them as long as one rank or longer.
    for mode in mpirun one_rank srun; do wall[$mode-$kind]=$((1000 + 3 * wall[alone-$kind] / 2)); done
done

for mode in "${modes[@]}"; do
    in_set_up=0 in_training=0 longest=0
    for ((i = 0; i < runs; ++i)); do
        kind=$([ $((i % 2)) -eq 0 ] && echo short || echo long)
        declare -n size=$kind
        run=$mode-$i stops=0
        while :; do
            async=$([ $((RANDOM % 2)) -eq 0 ] && echo true || echo false)
            start "$mode" "$run"
            signal=''
            # Early instants more often, because set-up is short.
            if [ $stops -lt 2 ]; then
                sleep "$(awk -v r="$RANDOM" -v w="${wall[$mode-$kind]}" \
                    'BEGIN { r /= 32768; printf "%.3f", r * r * w / 1e3 }')"
                candidates=(TERM INT HUP)
                signal=${candidates[RANDOM % 3]}
                send "$mode" "$run" "$signal" || signal=''
            fi
            wait_for_end "$run"
            [ ! -e "$run/model/config.json" ] || break
            if [ -z "$signal" ]; then
                complain "$run: exit code $code instead of a clean resume" "$run"
                break
            fi
            stops=$((stops + 1))
            check_stopped "$mode" "$run" "$signal"
        done
        [ "$(fingerprint "$run")" = "${expected[$kind]}" ] ||
            complain "$run: $stops stops, DIFFERENT from the undisturbed run" "$run"
        rm -rf "$run" "$run.log"
    done
    echo "$mode: stopped $in_set_up times in set-up and $in_training times in training, at most" \
        "$longest ms after the launcher had ended, $failures failures so far"
done
[ $failures -eq 0 ]
