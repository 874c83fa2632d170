#!/usr/bin/env bash
# Prepare COCO for semi-supervised training; see usage below. COCO lies in $COCO_ROOT (default: data/coco).
set -euo pipefail

ROOT=${COCO_ROOT:-data/coco}
PYTHON=${PYTHON:-python}
TOOL=$(dirname "${BASH_SOURCE[0]}")/semi_coco.py
TRAIN=$ROOT/annotations/instances_train2017.json
INFO=$ROOT/annotations/image_info_unlabeled2017.json
URL=http://images.cocodataset.org

usage() {
    cat <<'END'
usage: bash tools/dataset/prepare_coco_data.sh MODE     (from the root of the repository)

  conduct   1, 2, 5, 10 % labeled, folds 1 to 5 -> annotations/semi_supervised/instances_train2017.{fold}@{percent}.json
            and ...-unlabeled.json; also what `full` writes, if image_info_unlabeled2017.json is there
  full      annotations/instances_unlabeled2017.json: unlabeled2017 with the categories of train2017
  download  train2017, val2017, unlabeled2017 (19 + 1 + 20 GB) and annotations; skips what is there, resumes the rest

environment: COCO_ROOT (default data/coco), PYTHON (default python)
END
}

fail() {
    echo "error: $*" >&2
    exit 1
}

need_root() {
    [[ -d $ROOT ]] || fail "there is no folder $ROOT: link yours with 'ln -s YOUR_COCO data/coco', set COCO_ROOT," \
        "or get it with '$0 download'"
}

need_file() {
    [[ -f $1 ]] || fail "there is no file $1: copy it there, or get it with '$0 download'"
}

conduct() {
    need_root
    need_file "$TRAIN"
    local unlabeled=()
    if [[ -f $INFO ]]; then
        unlabeled=(--unlabeled-info "$INFO")
    else
        echo "no $INFO: instances_unlabeled2017.json is not written (only the full-data setting needs it)"
    fi
    # "${a[@]+...}": bash 4.3 and older call an empty array unset.
    "$PYTHON" "$TOOL" "$TRAIN" --percent 1 2 5 10 --fold 1 2 3 4 5 "${unlabeled[@]+"${unlabeled[@]}"}"
}

full() {
    need_root
    need_file "$TRAIN"
    need_file "$INFO"
    "$PYTHON" "$TOOL" "$TRAIN" --unlabeled-info "$INFO"
}

fetch() { # URL FILE: FILE appears only when complete; its .part is resumed
    if command -v curl >/dev/null; then
        curl --fail --location --continue-at - --output "$2.part" "$1" || fail "download of $1 failed: run again to resume"
    elif command -v wget >/dev/null; then
        wget --continue --output-document "$2.part" "$1" || fail "download of $1 failed: run again to resume"
    else
        fail "neither curl nor wget is installed: install one of them"
    fi
    mv "$2.part" "$2"
}

get() { # ZIP TARGET: unpacks the server's ZIP into $ROOT, unless $ROOT/TARGET is there
    local zip=$ROOT/${1##*/} aside=$ROOT/unpacking
    if [[ -e $ROOT/$2 ]]; then
        echo "$ROOT/$2 is there: skipped"
        return
    fi
    [[ -f $zip ]] || fetch "$URL/$1" "$zip"
    # Unpacked aside and moved when complete: a folder that is there is a whole one.
    rm -rf "$aside"
    unzip -q "$zip" -d "$aside" || fail "$zip cannot be unpacked (is unzip installed?): remove it and run again"
    # In alphabetical order, so instances_val2017.json, the sign that annotations are there, comes after the train file.
    mkdir -p "$(dirname "$ROOT/$2")"
    case $2 in
    annotations/*) mv -f "$aside"/annotations/* "$ROOT/annotations/" ;;
    *) mv "$aside/$2" "$ROOT/$2" ;;
    esac
    rm -rf "$aside" "$zip"
}

download() {
    mkdir -p "$ROOT"
    get annotations/annotations_trainval2017.zip annotations/instances_val2017.json
    get annotations/image_info_unlabeled2017.zip annotations/image_info_unlabeled2017.json
    get zips/train2017.zip train2017
    get zips/val2017.zip val2017
    get zips/unlabeled2017.zip unlabeled2017
}

case ${1-} in
conduct | full | download)
    [[ $# -eq 1 ]] || { usage >&2 && exit 2; }
    "$1"
    ;;
-h | --help) usage ;;
*)
    usage >&2
    exit 2
    ;;
esac
