# What the drivers of several trainings share; sourced by train_multi_stage.sh and train_rounds.sh, which set `here`,
# `gpus`, `work_dir` and the array `options` (--cfg-options KEY=VALUE ...), then call `take_options`.
source "$here/options.sh"

# take_options ARGUMENT...: --work-dir into `work_dir`; for the others see split_options.
take_options() {
    split_options "$@"
    set -- "${rest[@]}"
    rest=()
    while [ $# -gt 0 ]; do
        case $1 in
            --work-dir) work_dir=${2:?--work-dir wants a folder} && shift ;;
            --work-dir=*) work_dir=${1#*=} ;;
            *) rest+=("$1") ;;
        esac
        shift
    done
}

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

# train STAGE CONFIG [KEY=VALUE...]: into WORK_DIR/STAGE, unless it is finished.
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

# label CONFIG CHECKPOINT OUT [options of tools/pseudo_label.py]
label() {
    local config=$1 checkpoint=$2 out=$3
    shift 3
    [ "$gpus" = 1 ] || export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
    run python "$here/launch.py" --nproc_per_node="$gpus" --rdzv_backend=c10d --rdzv_endpoint=127.0.0.1:"${PORT:-0}" \
        --local_addr=127.0.0.1 "$here/pseudo_label.py" "$config" "$checkpoint" --out "$out" --launcher pytorch "$@" \
        "${options[@]}"
}
