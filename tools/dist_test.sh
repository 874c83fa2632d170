#!/usr/bin/env bash
# Evaluate on several GPUs, or CPU processes: tools/dist_test.sh CONFIG CHECKPOINT GPUS --eval bbox [options of test.py]
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT GPUS --eval bbox [options of tools/test.py]" >&2
    exit 2
fi
config=$1 checkpoint=$2 gpus=$3
shift 3
exec torchrun --nproc_per_node="$gpus" --master_addr=127.0.0.1 --master_port="${PORT:-0}" \
    "$(dirname "$0")/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
