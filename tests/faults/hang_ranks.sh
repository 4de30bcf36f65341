#!/bin/bash
# Makes one rank of a job of three, or a job of one rank, hang or die in many ways. The job must end by
# itself soon after its limit, name the rank in one line, and leave no process running.
#   tests/faults/hang_ranks.sh BINARY LIBRARY [CLASS...]
# LIBRARY is io_faults.so. Without CLASS all classes run, three at a time:
#   stopped0 stopped2 stopped_two save async_save log loader setup skipped   hang
#   alone_setup alone_loader alone_save                                      hang, on one rank
#   exit killed crashed launcher                                             die
#   slow suspended                                                           must continue
#   slow_save alone_slow_save                                                must save after mpirun
set -u
[ $# -ge 2 ] || { echo "usage: $0 BINARY LIBRARY [CLASS...]"; exit 2; }
binary=$(realpath "$1")
library=$(realpath "$2")
classes=("${@:3}")
[ ${#classes[@]} -gt 0 ] || classes=(stopped0 stopped2 stopped_two save async_save log loader setup
    skipped alone_setup alone_loader alone_save exit killed crashed launcher slow suspended slow_save alone_slow_save)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$(dirname "$0")/../support/tiny_training_data.sh" "$folder" || exit 1
cd "$folder" || exit 1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
limit=4

# Starts a rank. In rank $STUCK, if there is one, a system call hangs or fails.
cat >stuck.sh <<SCRIPT
#!/bin/bash
if [ "\$OMPI_COMM_WORLD_RANK" = "\$STUCK" ]; then
    export LD_PRELOAD=$library
fi
exec "$binary" "\$@"
SCRIPT
chmod +x stuck.sh

options=(train.steps=100000 "train.step_limit=$limit" "train.save_limit=$limit" train.setup_limit=60
    train.save_every=20 train.rank_invariant=true)
ranks=3
start() {  # run [key=value...]: starts $ranks ranks in the background; sets $pid to their mpirun
    mpirun --oversubscribe -n "$ranks" ./stuck.sh train lm.toml --threads 1 --out "$folder/$1" \
        "${options[@]}" "${@:2}" >"$1.log" 2>&1 &
    pid=$!
}
start_alone() {  # run [key=value...]: the same for a run on one rank
    LD_PRELOAD=$library "$binary" train lm.toml --threads 1 --out "$folder/$1" "${options[@]}" "${@:2}" \
        >"$1.log" 2>&1 &
    pid=$!
}
fault() {  # rank path at what [reads]
    export STUCK=$1 VILA_FAULT_PATH=$2 VILA_FAULT_AT=$3 VILA_FAULT_ERRNO=$4 VILA_FAULT_CALLS=${5:-}
}
wait_for_steps() { for _ in $(seq 600); do [ -s "$1/log.jsonl" ] && break; sleep 0.05; done; }
# Under mpirun each rank is a child of the process that mpirun knows.
ranks_of() { mapfile -t processes < <(for process in $(pgrep -P "$1"); do pgrep -P "$process"; done); }

# Waits until mpirun has ended and sets $taken to the seconds this took.
wait_for_end() {  # run seconds
    local begin=$SECONDS
    while kill -0 $pid 2>/dev/null && [ $((SECONDS - begin)) -lt "$2" ]; do sleep 0.1; done
    taken=$((SECONDS - begin))
    if kill -9 $pid 2>/dev/null; then echo "$1: FAILED: still there after $taken s"; fi
    wait $pid 2>/dev/null
    code=$?
    for _ in $(seq 40); do pgrep -f "out $folder/$1 " >/dev/null || break; sleep 0.1; done
    if pgrep -f "out $folder/$1 " >/dev/null; then echo "$1: FAILED: processes are left"; fi
}
expect_said() {  # run pattern
    if grep -qE "$2" "$1.log"; then
        echo "$1: ended after $taken s: $(grep -m1 -oE "no progress.*|$2.*" "$1.log")"
    else
        echo "$1: FAILED: expected '$2' in:"
        grep -v '^step' "$1.log" | head -n 8
    fi
}
# Expects a job to hang now or soon, and to end with a message.
expect_hang() {  # run pattern
    wait_for_end "$1" 60
    expect_said "$1" "no progress.*$2"
    [ "$(grep -c 'no progress' "$1.log")" -eq 1 ] || echo "$1: FAILED: more than one rank reports"
    [ $code -eq 75 ] || echo "$1: FAILED: exit code $code"
}
stop_ranks() {  # run ranks...
    start "$1"
    wait_for_steps "$1"
    ranks_of $pid
    for rank in "${@:2}"; do kill -STOP "${processes[$rank]}"; done
}
# Kills rank 1. The job must end at once, and mpirun must name the rank.
expect_death() {  # run signal pattern
    start "$1"
    wait_for_steps "$1"
    ranks_of $pid
    kill "$2" "${processes[1]}"
    wait_for_end "$1" $((limit + 5))
    expect_said "$1" "$3"
}

try() {  # class
    fault none none 1 none
    case $1 in
        stopped0) stop_ranks "$1" 0 && expect_hang "$1" "rank 0 does not run" ;;
        stopped2) stop_ranks "$1" 2 && expect_hang "$1" "rank 2 does not run" ;;
        stopped_two) stop_ranks "$1" 1 2 &&
            expect_hang "$1" "rank 1 does not run.*rank 2 does not run" ;;
        save) fault 1 checkpoints 1 hang && start "$1" &&
            expect_hang "$1" "rank 1 holds up the others.*save" ;;
        async_save) fault 1 checkpoints 1 hang && start "$1" train.async_save=true &&
            expect_hang "$1" "rank 1 holds up the others.*save" ;;
        log) fault 0 log.jsonl 30 hang && start "$1" && expect_hang "$1" "rank 0 holds up the others" ;;
        loader) fault 2 text.txt 40 hang reads && start "$1" &&
            expect_hang "$1" "rank 2 holds up the others.*data" ;;
        setup) fault 1 text.txt 1 hang reads && start "$1" train.setup_limit=$limit &&
            expect_hang "$1" "rank 1 holds up the others.*set-up" ;;
        skipped) fault 1 MPI_Allgather 60 skip && start "$1" &&
            expect_hang "$1" "rank 1 is in a different collective from the others" ;;
        alone_setup) fault alone text.txt 1 hang reads && start_alone "$1" train.setup_limit=$limit &&
            expect_hang "$1" "in phase 'set-up: data' of step 0 for $limit s.*does not respond" ;;
        alone_loader) fault alone text.txt 40 hang reads && start_alone "$1" &&
            expect_hang "$1" "in phase 'data' of step [0-9]+ for $limit s" ;;
        alone_save) fault alone checkpoints 1 hang && start_alone "$1" &&
            expect_hang "$1" "in phase 'save' of step 20 for $limit s" ;;
        exit) fault 2 checkpoints 5 exit && start "$1" && wait_for_end "$1" 60 &&
            expect_said "$1" "\[[0-9]+,1\],2\]|rank 2" ;;
        killed) expect_death "$1" -KILL "rank 1 with PID.*signal 9" ;;
        crashed) expect_death "$1" -SEGV "rank 1 with PID.*signal 11" ;;
        launcher)
            start "$1"
            wait_for_steps "$1"
            kill -9 $pid
            wait_for_end "$1" 5
            echo "$1: ended after $taken s" ;;
        slow)  # a pause shorter than the limit is not a hang
            start "$1" train.steps=400
            wait_for_steps "$1"
            ranks_of $pid
            kill -STOP "${processes[1]}"
            sleep $((limit - 2))
            kill -CONT "${processes[1]}"
            wait_for_end "$1" 60
            expect_said "$1" "finished" ;;
        suspended)  # time for which all ranks are stopped does not count
            start "$1" train.steps=400
            wait_for_steps "$1"
            ranks_of $pid
            kill -STOP "${processes[@]}"
            sleep $((limit + 4))
            kill -CONT "${processes[@]}"
            wait_for_end "$1" 60
            expect_said "$1" "finished" ;;
        slow_save | alone_slow_save)  # mpirun ends two seconds after it is told to stop, the save takes six
            [ "$1" = slow_save ] || ranks=1
            fault $((ranks / 2)) checkpoints 1 slow
            start "$1" train.save_every=100000 train.step_limit=60 train.save_limit=60
            wait_for_steps "$1"
            kill -TERM $pid
            wait $pid 2>/dev/null
            [ ! -e "$1/checkpoints/latest" ] || echo "$1: FAILED: saved before mpirun ended"
            for _ in $(seq 200); do pgrep -f "out $folder/$1 " >/dev/null || break; sleep 0.1; done
            step=step-$(printf %08d "$(wc -l <"$1/log.jsonl")")
            if [ "$(cat "$1/checkpoints/latest")" = "$step" ]; then
                echo "$1: saved $step after mpirun had ended"
            else
                echo "$1: FAILED: $step is not saved: $(ls "$1" "$1/checkpoints")"
            fi ;;
        *) echo "$1: FAILED: no such class" ;;
    esac
}

# Three at a time, because they mostly wait.
for class in "${classes[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge 3 ]; do wait -n; done
    try "$class" >"$class.out" 2>&1 &
done
wait
cat ./*.out
! grep -q FAILED ./*.out
