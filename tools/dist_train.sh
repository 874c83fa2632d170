#!/usr/bin/env bash
# Train on several GPUs, or CPU processes where there is no GPU: tools/dist_train.sh CONFIG GPUS [options of train.py]
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT as torchrun knows them, and run it on each.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [options of tools/train.py]" >&2
    exit 2
fi
config=$1 gpus=$2
shift 2
torchrun=(torchrun --nnodes="${NNODES:-1}" --nproc_per_node="$gpus")
if [ "${NNODES:-1}" = 1 ]; then
    torchrun+=(--master_addr=127.0.0.1 --master_port="${PORT:-0}")
else
    torchrun+=(--node_rank="${NODE_RANK:-0}" --master_addr="${MASTER_ADDR:?the address of node 0}" --master_port="${PORT:-29500}")
fi
exec "${torchrun[@]}" "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
