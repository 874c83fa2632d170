#!/usr/bin/env bash
# Multi-stage self-training (STAC): tools/train_multi_stage.sh FOLD PERCENT GPUS [options of tools/train.py]
# for example `1 10 8`. A baseline learns from the labeled images, labels the others, and a new student learns from
# both. Run again it continues: a stage that is finished (WORK_DIR/STAGE/finished) is not run again. The stages are in
# WORK_DIR/baseline, WORK_DIR/pseudo_labels.json and WORK_DIR/stac; --work-dir names WORK_DIR, --cfg-options go to all.
# Other data: the environment variables BASELINE and STAC name the two configs, COCO's by default.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 FOLD PERCENT GPUS [options of tools/train.py]" >&2
    exit 2
fi
fold=$1 percent=$2 gpus=$3
shift 3
here=$(dirname "$0")
baseline=${BASELINE:-$here/../configs/baseline/faster_rcnn_r50_caffe_fpn_coco_partial_180k.py}
stac=${STAC:-$here/../configs/stac/stac_faster_rcnn_r50_caffe_fpn_coco_180k.py}
work_dir=work_dirs/multi_stage/$(basename "$stac" .py)/$percent/$fold
options=(--cfg-options fold="$fold" percent="$percent")
rest=()
while [ $# -gt 0 ]; do
    case $1 in
        --cfg-options)
            while [ $# -gt 1 ] && [[ $2 != --* ]]; do
                options+=("$2")
                shift
            done ;;
        --work-dir) work_dir=${2:?--work-dir wants a folder} && shift ;;
        --work-dir=*) work_dir=${1#*=} ;;
        *) rest+=("$1") ;;
    esac
    shift
done
pseudo=$(realpath -m "$work_dir")/pseudo_labels.json

# run COMMAND...: passes SIGTERM on to it, which bash would keep until it ends. Ctrl-C reaches it by itself, as soon as
# torchrun listens.
run() {
    "$@" &
    local child=$! status
    trap 'kill -TERM "$child"' TERM
    trap : INT
    while true; do
        wait "$child" && status=0 || status=$?
        kill -0 "$child" 2>/dev/null || break
    done
    trap - TERM INT
    return "$status"
}

# train STAGE CONFIG [KEY=VALUE...]
train() {
    local stage=$1 config=$2
    shift 2
    if [ -e "$work_dir/$stage/finished" ]; then
        echo "$stage: finished before, in $work_dir/$stage"
        return
    fi
    run bash "$here/dist_train.sh" "$config" "$gpus" --work-dir "$work_dir/$stage" --auto-resume "${options[@]}" "$@" "${rest[@]}"
    touch "$work_dir/$stage/finished"
}

train baseline "$baseline"
if [ ! -e "$pseudo" ]; then
    [ "$gpus" = 1 ] || export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
    run python "$here/launch.py" --nproc_per_node="$gpus" --rdzv_backend=c10d --rdzv_endpoint=127.0.0.1:"${PORT:-0}" \
        --local_addr=127.0.0.1 "$here/pseudo_label.py" "$baseline" "$work_dir/baseline/latest.pth" --out "$pseudo" \
        --launcher pytorch "${options[@]}"
fi
train stac "$stac" data.train.unlabeled.ann_file="$pseudo"
