#!/usr/bin/env bash
# Train on several GPUs, or CPU processes where there is no GPU: tools/dist_train.sh CONFIG GPUS [options of train.py]
# MAX_RESTARTS=3: a run that one of its processes has ended is started again so often, from its last checkpoint.
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT as torchrun knows them, and run it on each.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [options of tools/train.py]" >&2
    exit 2
fi
config=$1 gpus=$2
shift 2
here=$(dirname "$0")
torchrun=(python "$here/launch.py" --nnodes="${NNODES:-1}" --nproc_per_node="$gpus" --max-restarts="${MAX_RESTARTS:-0}")
if [ "${NNODES:-1}" = 1 ]; then
    # Port 0 is any free one; --master_port=0 would be taken at its word.
    torchrun+=(--rdzv_backend=c10d --rdzv_endpoint=127.0.0.1:"${PORT:-0}" --local_addr=127.0.0.1)
else
    torchrun+=(--node_rank="${NODE_RANK:-0}" --master_addr="${MASTER_ADDR:?the address of node 0}" --master_port="${PORT:-29500}")
fi
# The processes share the machine; torchrun would say the same in five lines.
[ "$gpus" = 1 ] || export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec "${torchrun[@]}" "$here/train.py" "$config" --launcher pytorch "$@"
