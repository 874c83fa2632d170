#!/usr/bin/env bash
# Train under SLURM: tools/slurm_train.sh PARTITION JOB_NAME CONFIG NODES GPUS_PER_NODE [options of train.py]
# One torchrun a node; a job that is stopped saves a checkpoint, and --auto-resume continues it.
set -euo pipefail
if [ $# -lt 5 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG NODES GPUS_PER_NODE [options of tools/train.py]" >&2
    exit 2
fi
partition=$1 job=$2 config=$3 nodes=$4 gpus=$5
shift 5
# A script on stdin keeps its bash; that of --wrap is run by sh. The first node's name, which every node needs, is known
# to the batch step only.
exec sbatch --partition="$partition" --job-name="$job" --nodes="$nodes" --ntasks-per-node=1 --gres=gpu:"$gpus" \
    --cpus-per-task="${CPUS_PER_TASK:-$((5 * gpus))}" --signal=TERM@120 ${SBATCH_ARGS:-} <<SCRIPT
#!/usr/bin/env bash
set -- $(printf '%q ' "$(dirname "$0")/dist_train.sh" "$config" "$gpus" "$@")
MASTER_ADDR=\$(scontrol show hostnames "\$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_ADDR NNODES=\$SLURM_NNODES PORT=\${PORT:-29500}
exec srun --kill-on-bad-exit=1 bash -c 'NODE_RANK=\$SLURM_NODEID exec bash "\$@"' node "\$@"
SCRIPT
