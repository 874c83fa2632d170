#!/usr/bin/env bash
# The partially labeled COCO protocol: tools/dist_train_partially.sh {baseline|semi} FOLD PERCENT GPUS [options of train.py]
# for example `semi 1 10 8`: Soft Teacher on fold 1 of 10 % with 8 GPUs.
# The environment variable DETECTOR says over which one: faster_rcnn (default), mask_rcnn, cascade_rcnn, cascade_mask_rcnn.
set -euo pipefail
usage() {
    echo "usage: $0 {baseline|semi} FOLD PERCENT GPUS [options of tools/train.py]" >&2
    exit 2
}
[ $# -ge 4 ] || usage
kind=$1 fold=$2 percent=$3 gpus=$4
shift 4
configs=$(dirname "$0")/../configs
detector=${DETECTOR:-faster_rcnn}_r50_caffe_fpn_coco
case $kind in
    baseline) config=$configs/baseline/${detector}_partial_180k.py ;;
    semi) config=$configs/soft_teacher/soft_teacher_${detector}_180k.py ;;
    *) usage ;;
esac
[ -f "$config" ] || { echo "error: no $config for DETECTOR=$DETECTOR" >&2; exit 1; }
options=(fold="$fold" percent="$percent")
source "$(dirname "$0")/options.sh"
split_options "$@"
exec bash "$(dirname "$0")/dist_train.sh" "$config" "$gpus" --cfg-options "${options[@]}" "${rest[@]}"
