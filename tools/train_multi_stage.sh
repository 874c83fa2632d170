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
source "$here/stages.sh"
take_options "$@"
pseudo=$(realpath -m "$work_dir")/pseudo_labels.json

train baseline "$baseline"
if [ ! -e "$pseudo" ]; then
    label "$baseline" "$work_dir/baseline/latest.pth" "$pseudo"
fi
train stac "$stac" data.train.unlabeled.ann_file="$pseudo"
