#!/bin/bash
# Lets one rank of a job hang in several ways; the job must end by itself soon after its limit, name
# the rank, and leave no process behind.
#   tests/hang_ranks.sh BINARY LIBRARY
# LIBRARY is io_faults.so.
set -u
binary=$(realpath "$1")
library=$(realpath "$2")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$(dirname "$0")/tiny_training_data.sh" "$folder" || exit 1
cd "$folder" || exit 1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
limit=3

# One rank with a system call that never returns: the VILA_FAULT_AT-th on a path.
cat >stuck.sh <<SCRIPT
#!/bin/bash
if [ "\$OMPI_COMM_WORLD_RANK" = "\$STUCK" ]; then
    export LD_PRELOAD=$library VILA_FAULT_ERRNO=hang
fi
exec "$binary" "\$@"
SCRIPT
chmod +x stuck.sh

failures=0
start() {  # run: three ranks in the background, their mpirun in $pid
    mpirun --oversubscribe -n 3 ./stuck.sh train lm.toml --threads 1 --out "$1" \
        train.steps=100000 train.step_limit=$limit train.save_limit=$limit train.save_every=20 \
        train.rank_invariant=true >"$1.log" 2>&1 &
    pid=$!
}
expect_end() {  # run pattern
    local begin=$SECONDS
    while kill -0 $pid 2>/dev/null && [ $((SECONDS - begin)) -lt 40 ]; do sleep 0.2; done
    local taken=$((SECONDS - begin))
    if kill -9 $pid 2>/dev/null; then
        echo "$1: still there after $taken s"
        failures=$((failures + 1))
    fi
    wait $pid 2>/dev/null
    if ! grep -q "no progress.*$2" "$1.log"; then
        echo "$1: expected '$2' in:"
        grep -v '^step' "$1.log" | head -n 5
        failures=$((failures + 1))
    fi
    for _ in $(seq 20); do pgrep -f "$folder/$1" >/dev/null || break; sleep 0.1; done
    if pgrep -f "out $1 " >/dev/null; then
        echo "$1: processes are left"
        failures=$((failures + 1))
    fi
    echo "$1: ended after $taken s: $(grep -m1 -o 'no progress.*' "$1.log")"
}
wait_for_steps() { for _ in $(seq 300); do [ -s "$1/log.jsonl" ] && break; sleep 0.05; done; }

export STUCK=none VILA_FAULT_PATH= VILA_FAULT_AT=1
for rank in 0 2; do
    start "stopped$rank"
    wait_for_steps "stopped$rank"
    mapfile -t processes < <(pgrep -P $pid)
    kill -STOP "${processes[$rank]}"
    expect_end "stopped$rank" "rank $rank does not run"
done
export STUCK=1 VILA_FAULT_PATH=checkpoints
start save
expect_end save "rank 1 holds up the others.*save"
export STUCK=0 VILA_FAULT_PATH=log.jsonl VILA_FAULT_AT=30
start log
expect_end log "rank 0 holds up the others"
[ $failures -eq 0 ]
