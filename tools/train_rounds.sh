#!/usr/bin/env bash
# Rounds of Simple Baseline: tools/train_rounds.sh CONFIG ROUNDS GPUS [options of tools/train.py]
# for example `configs/segmentation/simple_baseline/deeplabv3plus_r18_shapes.py 2 1`. A teacher learns from the labeled
# images and labels the others; a student, which starts from its weights, learns from both, and is the next teacher.
# Run again it continues: a training that is finished (its folder has a file `finished`) is not run again, label maps
# that are there are not made again. In WORK_DIR (--work-dir, by default work_dirs/rounds/NAME): teacher, and of each
# round N roundN_labels and roundN_student. --cfg-options go to all trainings.
# TEACHER: the teacher's config, by default the file of the same name in the folder `supervised` beside CONFIG's.
# LABELING: options of tools/pseudo_label.py, e.g. LABELING='--scales 0.75 1 1.25 --score-thr 0.5'.
set -euo pipefail
if [ $# -lt 3 ] || ! [[ $2 =~ ^[1-9][0-9]*$ && $3 =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: $0 CONFIG ROUNDS GPUS [options of tools/train.py]; ROUNDS and GPUS are 1 or more" >&2
    exit 2
fi
config=$1 rounds=$2 gpus=$3
shift 3
here=$(dirname "$0")
teacher=${TEACHER:-$(dirname "$(dirname "$config")")/supervised/$(basename "$config")}
work_dir=work_dirs/rounds/$(basename "$config" .py)
options=(--cfg-options)
source "$here/stages.sh"
take_options "$@"
for file in "$config" "$teacher"; do
    [ -f "$file" ] || { echo "error: no config $file (TEACHER names the teacher's)" >&2; exit 1; }
done
[ ${#options[@]} -gt 1 ] || options=()

read -ra labeling <<<"${LABELING:-}"
train teacher "$teacher"
labeler=$teacher checkpoint=$work_dir/teacher/latest.pth
for ((round = 1; round <= rounds; round++)); do
    labels=$(realpath -m "$work_dir")/round${round}_labels student=round${round}_student
    if [ ! -e "$work_dir/$student/finished" ]; then
        # A student's config reads label maps, which must be there: those of the round before, or none yet.
        label "$labeler" "$checkpoint" "$labels" ${labeling[@]+"${labeling[@]}"}
        settings=(pseudo_maps="$labels" load_from="$checkpoint")
        [ ${#options[@]} -gt 0 ] || settings=(--cfg-options "${settings[@]}")
        train "$student" "$config" "${settings[@]}"
    else
        echo "$student: finished before, in $work_dir/$student"
    fi
    labeler=$config checkpoint=$work_dir/$student/latest.pth
done
