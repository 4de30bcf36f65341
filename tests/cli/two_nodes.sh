#!/bin/bash
# Trains on two hosts: network namespaces of this machine, connected by a link of a given rate in
# Mbit/s. The ranks must find each other over the link, know their rank on their host, and produce the
# same bytes as one process. The step log must give the seconds that they waited for the link.
#   tests/cli/two_nodes.sh BINARY [MBIT]
# Needs root, ip and tc. Exits with code 77 (skipped) and the reason if it cannot run here.
set -u
tests=$(cd "$(dirname "$0")/.." && pwd)
binary=$(realpath "$1")
mbit=${2:-400}
skip() { echo "$1"; exit 77; }
command -v mpirun >/dev/null || skip "mpirun is not installed"
command -v ip >/dev/null && command -v tc >/dev/null || skip "ip and tc are not installed"
[ "$(id -u)" -eq 0 ] || skip "only root may make network namespaces"
a=vila-a-$$ b=vila-b-$$ subnet=10.77.$(($$ % 250))
ip netns add "$a" 2>/dev/null || skip "network namespaces are not permitted here"
folder=$(mktemp -d)
cleanup() {
    for node in "$a" "$b"; do ip netns del "$node" 2>/dev/null; done
    rm -rf "$folder"
}
trap cleanup EXIT
ip netns add "$b" && ip link add veth0 netns "$a" type veth peer name veth0 netns "$b" ||
    skip "a link between two namespaces is not permitted here"
for node in "$a" "$b"; do
    ip -n "$node" link set lo up
    ip -n "$node" addr add "$subnet.$([ "$node" = "$a" ] && echo 1 || echo 2)/24" dev veth0
    ip -n "$node" link set veth0 up
    tc -n "$node" qdisc add dev veth0 root tbf rate "${mbit}mbit" burst 64kb latency 100ms ||
        skip "tc cannot limit the rate of a link here"
done

"$tests/support/tiny_training_data.sh" "$folder" || exit 1
cd "$folder" || exit 1
. "$tests/support/shell_checks.sh"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
# mpirun starts its daemon on the other host with this script, in place of ssh.
cat >to_node.sh <<SCRIPT
#!/bin/bash
[ "\$1" = $subnet.2 ] || { echo "no host \$1"; exit 1; }
shift
exec ip netns exec $b unshare --uts sh -c "hostname $b; cd '$folder'; \$*"
SCRIPT
chmod +x to_node.sh
nodes() {  # command...: runs two ranks on each host, for at most two minutes
    timeout 120 ip netns exec "$a" unshare --uts sh -c 'hostname "$0"; exec "$@"' "$a" \
        mpirun --mca plm_rsh_agent "$folder/to_node.sh" --host "$subnet.1:2,$subnet.2:2" -n 4 \
        --mca btl self,vader,tcp --mca btl_tcp_if_include veth0 --mca oob_tcp_if_include veth0 \
        --bind-to none "$@" >output 2>&1
}

nodes sh -c 'echo "rank $OMPI_COMM_WORLD_RANK is $OMPI_COMM_WORLD_LOCAL_RANK of $OMPI_COMM_WORLD_LOCAL_SIZE on $(hostname)"'
for line in "rank 0 is 0 of 2 on $a" "rank 1 is 1 of 2 on $a" "rank 2 is 0 of 2 on $b" \
    "rank 3 is 1 of 2 on $b"; do
    check "$line" grep -q "$line" output
done

"$binary" train lm.toml --out alone --threads 1 train.rank_invariant=true >output 2>&1
for zero in 1 3; do
    nodes "$binary" train lm.toml --out "nodes$zero" train.rank_invariant=true "train.zero=$zero"
    check "four ranks on two hosts finish" grep -q finished output
    check "ZeRO stage $zero: the same bytes as one process" \
        cmp alone/model/llm/model.safetensors "nodes$zero/model/llm/model.safetensors"
done
# Cores are divided among the ranks of a host, not among all ranks.
check "cores of a host are divided among its ranks" grep -q "each cpu, $((($(nproc) + 1) / 2)) thread" output

# The cost of the link: a model of 5 million parameters, with 20 MB of gradients per micro-batch.
wide=(model.llm_config.hidden_size=256 model.llm_config.intermediate_size=768
    model.llm_config.num_hidden_layers=6 train.steps=3)
for job in 2-true 2-false 3-true 3-false; do
    zero=${job%-*} overlap=${job#*-}
    nodes "$binary" train lm.toml --out "wide-$job" "train.zero=$zero" "train.overlap=$overlap" "${wide[@]}"
    check "the wide model finishes" grep -q finished output
    line=$(tail -n 1 "wide-$job/log.jsonl")
    seconds=$(sed -E 's/.*"seconds":([0-9.e-]+),"losses.*/\1/' <<<"$line")
    exposed=$(sed -E 's/.*"exposed_seconds":([0-9.e-]+).*/\1/' <<<"$line")
    check "exposed communication is logged: $line" \
        awk "BEGIN { exit !($exposed > 0 && $exposed <= $seconds) }"
    echo "$mbit Mbit/s, ZeRO stage $zero, overlap $overlap: a step waits for the link $exposed of its $seconds s"
    check "the same bytes" cmp wide-2-true/model/llm/model.safetensors "wide-$job/model/llm/model.safetensors"
done
finish
