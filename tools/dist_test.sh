#!/usr/bin/env bash
# Evaluate on several GPUs, or CPU processes: tools/dist_test.sh CONFIG CHECKPOINT GPUS --eval bbox [options of test.py]
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT GPUS --eval bbox [options of tools/test.py]" >&2
    exit 2
fi
config=$1 checkpoint=$2 gpus=$3
shift 3
here=$(dirname "$0")
[ "$gpus" = 1 ] || export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec python "$here/launch.py" --nproc_per_node="$gpus" --rdzv_backend=c10d --rdzv_endpoint=127.0.0.1:"${PORT:-0}" \
    --local_addr=127.0.0.1 "$here/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
