#!/usr/bin/env bash
# Do unlabeled micrographs help a Mask R-CNN? projects/nuclei/compare.sh DATA [options of ssod compare]
# DATA is a folder with images and COCO JSON with masks; a tenth of its labeled images keep their labels.
# For example `projects/nuclei/compare.sh nuclei --seeds 0 1 2`. Run again, it continues.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: $0 DATA [options of ssod compare]" >&2; exit 2; }
data=$1
shift
set_=data/nuclei
[ -f $set_/soft_teacher.py ] || ssod new nuclei --labeled "$data" --labeled-percent 10 --masks
options=(
    # Nuclei of 15 pixels are less than two cells of the finest feature map: the images are enlarged by a half.
    test_scale='(384,384)' weak_scale='[(384,352),(384,416)]' train_scale='[(512,256),(512,512)]'
    # Half of the recipe's length, for a CPU.
    runner.max_iters=1600 burn_in=800 evaluation.interval=400
)
source "$(dirname "$0")/../../tools/options.sh"
split_options "$@"
exec ssod compare $set_/soft_teacher.py "${rest[@]}" --cfg-options "${options[@]}"
