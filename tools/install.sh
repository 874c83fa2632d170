#!/usr/bin/env bash
# Installs what the demo, the tests and training need. `make install` runs it; a second run is over at once.
#
# Into the active virtualenv or conda environment (conda's base does not count), else into .venv beside the Makefile.
# An environment of yours keeps its torch (2.0 or later, with its torchvision) and its numpy; .venv gets the versions
# of requirements/constraints.txt. mmcv-full is built from source against the torch in use, and the wheel is kept for
# the next clone.
#
#   tools/install.sh            install
#   tools/install.sh --python   print the path of the Python that is or would be installed into
#
#   SSOD_WHEEL_DIR   where built mmcv-full wheels are kept (~/.cache/ssod/wheels)
#   SSOD_OPS         cpu or cuda: mmcv's ops are built for this, whatever is found (set TORCH_CUDA_ARCH_LIST with cuda
#                    on a machine without GPU)
#   MAX_JOBS         compilers at a time (as many as cores and memory allow)
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LOG=$ROOT/install.log
LOG_FROM=1 # the line of the log at which the command now running began
MMCV=1.7.2
STEPS=5
STEP=0
STEP_FROM=0
NOTICE=
BEAT=
SCRATCH=

export PIP_DISABLE_PIP_VERSION_CHECK=1
export PIP_NO_INPUT=1
export PIP_USER=0 # PIP_USER=1 in someone's settings makes pip refuse to work in an environment

# ---------------------------------------------------------------------------------------------- telling the user

die() {
  printf '\ninstall: %s\n' "$*" >&2
  exit 1
}

# step TEXT: says what comes next, after how long the step before took.
step() {
  if ((SECONDS - STEP_FROM > 9)); then note "took $(took $((SECONDS - STEP_FROM)))"; fi
  STEP=$((STEP + 1))
  STEP_FROM=$SECONDS
  printf '[%d/%d] %s\n' "$STEP" "$STEPS" "$*"
}

note() { printf '      %s\n' "$*"; }

# took SECONDS: as a person says it.
took() {
  if (($1 < 100)); then printf '%d s' "$1"; else printf '%d min %d s' $(($1 / 60)) $(($1 % 60)); fi
}

# hint TEXT: what to do about the error in TEXT; empty if we do not know it. The order matters: first the causes.
hint() {
  local text=$1
  matches() { grep -qE "$1" <<<"$text"; }
  if matches 'No space left on device'; then
    echo 'The disk is full: a fresh environment takes about 6 GB, and a build 1 GB in TMPDIR.'
  elif matches 'detected CUDA version .* mismatches'; then
    echo "nvcc's CUDA and torch's are of different versions: set CUDA_HOME to the toolkit torch was built with, or build without GPU ops: SSOD_OPS=cpu make install"
  elif matches 'unsupported GNU version'; then
    echo 'This nvcc refuses so new a gcc: install an older one and run: CC=gcc-12 CXX=g++-12 make install'
  elif matches 'Python\.h: No such file'; then
    echo "Python's headers are missing: apt install python3-dev"
  elif matches '(cuda_runtime|cuda_runtime_api|cusparse|cublas_v2|cusolverDn|curand_kernel|thrust/[a-z_]+)\.h: No such file'; then
    echo "Headers of the CUDA toolkit are missing: install the whole toolkit, or set CUDA_HOME to where it is."
  elif matches "command '[^']*(gcc|g\+\+|cc|c\+\+)' failed: No such file|(gcc|g\+\+|cc|c\+\+): (command )?not found"; then
    echo 'A compiler is missing: apt install build-essential'
  elif matches 'Killed|cc1plus.*terminated|Cannot allocate memory|virtual memory exhausted'; then
    echo 'Memory ran out while compiling: MAX_JOBS=1 make install'
  elif matches 'undefined symbol'; then
    echo 'A compiled package was made for another torch than the one installed here: use a fresh environment.'
  elif matches 'libGL\.so'; then
    echo 'opencv-python is installed and wants libGL: pip uninstall -y opencv-python && make install'
  elif matches 'name resolution|Connection (refused|reset)|NewConnectionError|ReadTimeout|ProxyError|Network is unreachable|SSLError|No matching distribution'; then
    echo 'The package index could not be reached, or lacks this version: look at https_proxy and PIP_INDEX_URL.'
  fi
}

# failed WHAT: the last error lines, what to do about them, where the rest is.
failed() {
  local text lines advice
  text=$(tail -n "+$LOG_FROM" "$LOG")
  lines=$(grep -iE 'error|fatal|no space|undefined symbol|killed|not found' <<<"$text" | tail -n 6 | cut -c1-300 || true)
  advice=$(hint "$text")
  {
    printf '\ninstall: %s failed.\n' "$1"
    sed 's/^/    /' <<<"${lines:-$(tail -n 12 <<<"$text" | cut -c1-300)}"
    [[ -z $advice ]] || printf '%s\n' "$advice"
    printf 'The whole log: %s\nOnce mended, run make install again: it continues from here.\n' "$LOG"
  } >&2
  exit 1
}

# quietly COMMAND...: its output goes to the log; returns its status.
quietly() {
  LOG_FROM=$(($(wc -l <"$LOG") + 1))
  printf '\n$ %s\n' "$*" >>"$LOG"
  "$@" >>"$LOG" 2>&1
}

pip() { quietly "$PY" -m pip "$@"; }

# ninja's own count of the files compiled, '[12/98]', as '12 of 98'.
compiled() {
  sed -nE 's/^ *\[([0-9]+)\/([0-9]+)\].*/\1 of \2/p' "$LOG" | tail -n 1
}

# A line a minute while something long runs. Its sleep holds neither our output nor the lock, which it may outlive.
start_heartbeat() {
  local minutes=0
  while sleep 60 >/dev/null 2>&1 9>&-; do
    minutes=$((minutes + 1))
    note "$minutes min: $(compiled) files compiled"
  done &
  BEAT=$!
}

stop_heartbeat() {
  [[ -z $BEAT ]] || kill "$BEAT" 2>/dev/null || true
  BEAT=
}

# ------------------------------------------------------------------------------------------------ the environment

# The active environment's folder; empty if there is none.
active_env() {
  if [[ -n ${VIRTUAL_ENV:-} ]]; then
    echo "$VIRTUAL_ENV"
  elif [[ -n ${CONDA_PREFIX:-} && ${CONDA_DEFAULT_ENV:-} != base ]]; then
    echo "$CONDA_PREFIX"
  fi
}

# probe PYTHON: its version, then what it lacks.
probe() {
  "$1" - 2>/dev/null <<'PY'
import importlib.util, os, sys, sysconfig
missing = [name for name in ('venv', 'ensurepip') if importlib.util.find_spec(name) is None]
if not os.path.exists(os.path.join(sysconfig.get_paths()['include'], 'Python.h')):
    missing.append('Python.h')
print('%d.%d' % sys.version_info[:2], *missing)
PY
}

is_supported() { [[ $1 == 3.10 || $1 == 3.11 || $1 == 3.12 ]]; }

# The first suitable interpreter. One that answers the probe with an error is passed over: pyenv's shims do that for
# versions which are installed but not selected.
choose_python() {
  local name report version missing found='' incomplete=''
  for name in python3.12 python3.11 python3.10 python3; do
    report=$(probe "$name") || continue
    read -r version missing <<<"$report"
    if ! is_supported "$version"; then
      found+=" ($name is $version)"
    elif [[ -n $missing ]]; then
      incomplete=${incomplete:-"$name lacks ${missing// /, }: apt install python$version-venv python$version-dev"}
    else
      command -v "$name"
      return
    fi
  done
  [[ -z $incomplete ]] || die "$incomplete"
  die "no Python 3.10, 3.11 or 3.12 found$found. Install one, e.g. apt install python3 python3-venv python3-dev, or activate a conda environment: conda create -n ssod python=3.11"
}

make_venv() {
  local base
  base=$(choose_python)
  # --clear also replaces a .venv that was left half made, or whose interpreter has gone.
  quietly "$base" -m venv --clear "$ROOT/.venv" || failed "creating $ROOT/.venv"
}

prepare_env() {
  local version
  if [[ $ENV_DIR == "$ROOT/.venv" ]]; then
    "$PY" -m pip --version >/dev/null 2>&1 || make_venv
  fi
  [[ -x $PY ]] || die "the active environment $ENV_DIR has no bin/python. Deactivate it, or create it anew."
  version=$("$PY" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  is_supported "$version" || die "$ENV_DIR is Python $version, and 3.10, 3.11 or 3.12 is needed. Use another environment, or none."
  # uv makes environments without pip.
  "$PY" -m pip --version >/dev/null 2>&1 || quietly "$PY" -m ensurepip || die "$ENV_DIR has no pip."
  note "$ENV_DIR (Python $version)"
}

# installed NAME: its version in the environment, or nothing.
installed() {
  "$PY" -c 'import sys; from importlib.metadata import distributions as d
print(next((x.version for x in d(name=sys.argv[1])), ""))' "$1"
}

# Packages that ours would overwrite without a word, or cannot stand beside.
refuse_strangers() {
  local mmcv mmdet
  mmcv=$(installed mmcv)
  mmdet=$(installed mmdet)
  [[ -z $mmcv ]] || die "mmcv $mmcv is installed here; mmcv-full $MMCV, which is needed, would overwrite it. Use a fresh environment, or: pip uninstall mmcv"
  [[ -z $mmdet || $mmdet == 2.* ]] || die "mmdet $mmdet is installed here, and 2.28.2 is needed. Use a fresh environment, or: pip uninstall mmdet"
}

# The constraints for pip: .venv is ours and gets what was tested; elsewhere what is there stays.
write_constraints() {
  local name version
  CONSTRAINTS=$SCRATCH/constraints.txt
  if [[ $ENV_DIR == "$ROOT/.venv" ]]; then
    cp "$ROOT/requirements/constraints.txt" "$CONSTRAINTS"
    return
  fi
  : >"$CONSTRAINTS"
  for name in torch torchvision numpy; do
    version=$(installed "$name")
    [[ -z $version ]] || echo "$name==$version" >>"$CONSTRAINTS"
  done
  # These were compiled against numpy 1 and fail beside numpy 2.
  [[ ! $(installed torch) =~ ^2\.[012]\. ]] || echo 'numpy<2' >>"$CONSTRAINTS"
}

# A compiler is looked for before the long downloads, unless a wheel may be at hand.
check_compiler() {
  local include
  command -v "${CC:-gcc}" >/dev/null || die "no C compiler (${CC:-gcc}) to build mmcv-full with: apt install build-essential"
  command -v "${CXX:-g++}" >/dev/null || die "no C++ compiler (${CXX:-g++}) to build mmcv-full with: apt install build-essential"
  include=$("$PY" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
  [[ -e $include/Python.h ]] || die "$include/Python.h is missing: apt install python3-dev (python3.X-dev for a Python that is not the system's own)"
}

# ---------------------------------------------------------------------------------------------- torch and the rest

install_torch() {
  local torch base pinned
  torch=$(installed torch)
  base=${torch%%+*}
  pinned=$(sed -n 's/^torch==//p' "$ROOT/requirements/torch.txt")
  if [[ -n $torch && $torch != [2-9].* ]]; then
    die "torch $torch is installed here, and 2.0 or later is needed. Use another environment, or none: .venv is made then."
  fi
  if [[ -z $torch || ($base == "$pinned" && -z $(installed torchvision)) ]]; then
    note "downloading torch $pinned and torchvision: 3 GB, 1 to 10 minutes"
    pip install -c "$CONSTRAINTS" -r "$ROOT/requirements/torch.txt" || failed 'installing torch'
  else
    note "keeping torch $torch and torchvision $(installed torchvision)"
  fi
  # A torchvision made for another torch, or for a CPU-only one, fails when imported, and mmcv imports it.
  quietly "$PY" -c 'import torch, torchvision; torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)' ||
    die "torchvision $(installed torchvision) does not work with torch $(installed torch). Install the one made for it (torch 2.N goes with torchvision 0.N+15) from where that torch came from, or use a fresh environment."
}

install_requirements() {
  local wanted=$SCRATCH/runtime.txt
  cp "$ROOT/requirements/runtime.txt" "$wanted"
  # Another build of OpenCV that works stays: two of them overwrite each other's files.
  if [[ -z $(installed opencv-python-headless) ]] && quietly "$PY" -c 'import cv2'; then
    sed -i '/^opencv/d' "$wanted"
  elif [[ -n $(installed opencv-python) ]]; then
    quietly "$PY" -c 'import cv2' || failed 'importing the installed opencv-python'
  fi
  pip install -c "$CONSTRAINTS" -r "$wanted" -r "$ROOT/requirements/dev.txt" || failed 'installing the requirements'
}

# ------------------------------------------------------------------------------------------------------ mmcv-full

has_gpu() { nvidia-smi -L 2>/dev/null | grep -q '^GPU '; }

# The folder of the CUDA toolkit. nvcc on the PATH may be a link or a wrapper, with no headers beside it.
cuda_home() {
  local nvcc dir
  nvcc=$(command -v nvcc || true)
  for dir in "${CUDA_HOME:-}" "${CUDA_PATH:-}" "${nvcc:+$(dirname "$(dirname "$(readlink -f "$nvcc")")")}" /usr/local/cuda; do
    if [[ -n $dir && -x $dir/bin/nvcc && -e $dir/include/cuda_runtime.h ]]; then
      echo "$dir"
      return
    fi
  done
}

nvcc_version() { [[ -z $1 ]] || "$1/bin/nvcc" --version | sed -nE 's/.*release ([0-9]+\.[0-9]+).*/\1/p'; }

# choose_ops TORCH_CUDA SEES_GPU NVCC: sets OPS to cpu or cuda, and NOTICE to what the user should know about it.
choose_ops() {
  local torch_cuda=$1 sees_gpu=$2 nvcc=$3 why=
  OPS=${SSOD_OPS:-}
  NOTICE=
  [[ -z $OPS || $OPS == cpu || $OPS == cuda ]] || die "SSOD_OPS is '$OPS'; it can be cpu or cuda"
  if [[ $OPS == cpu ]] || { [[ -z $OPS ]] && ! has_gpu; }; then
    OPS=cpu
    return
  fi
  if [[ $torch_cuda == none ]]; then
    why='the torch installed here is a CPU build. Use an environment with a CUDA build of torch'
  elif [[ $sees_gpu == no && $OPS != cuda ]]; then
    why="torch (CUDA $torch_cuda) cannot use the GPU, mostly because the driver is too old for it. Update the driver, or use an environment with a torch for an older CUDA"
  elif [[ -z $nvcc ]]; then
    why="there is no CUDA compiler. Install the CUDA toolkit $torch_cuda, for instance: conda install -c nvidia cuda-toolkit=$torch_cuda (or set CUDA_HOME to where it is)"
  elif [[ ${nvcc%%.*} != "${torch_cuda%%.*}" ]]; then
    why="nvcc is CUDA $nvcc and torch was built with CUDA $torch_cuda. Install the CUDA toolkit $torch_cuda and set CUDA_HOME to it, or use an environment with a torch for CUDA ${nvcc%%.*}"
  fi
  [[ -z $why || $OPS != cuda ]] || die "SSOD_OPS=cuda, but $why."
  if [[ -n $why ]]; then
    OPS=cpu
    NOTICE="a GPU is here, but mmcv-full gets CPU ops only, so training on the GPU will not work: $why, then run make install again."
  else
    OPS=cuda
  fi
}

# What torch was built with, whether it sees a GPU, and the architectures of the GPUs: '13.0 yes sm80-sm90'.
torch_facts() {
  "$PY" - <<'PY'
import torch
gpus = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
archs = sorted({'sm%d%d' % torch.cuda.get_device_capability(i) for i in gpus})
print(torch.version.cuda or 'none', 'yes' if gpus else 'no', '-'.join(archs) or 'any')
PY
}

# The proof: mmcv.ops is imported and works, on the GPU too if the ops are for it.
prove_mmcv() {
  [[ $(installed mmcv-full) == 1.7.* ]] || return 1
  quietly "$PY" - "$OPS" <<'PY'
import sys

import torch
from mmcv.ops import nms, roi_align

devices = ['cpu'] + (['cuda'] if sys.argv[1] == 'cuda' and torch.cuda.is_available() else [])
for device in devices:
    boxes = torch.tensor([[0, 0, 10, 10.0], [0, 0, 9, 9], [20, 20, 30, 30]], device=device)
    _, keep = nms(boxes, torch.tensor([0.9, 0.8, 0.7], device=device), 0.5)
    assert keep.tolist() == [0, 2], keep
    rois = torch.tensor([[0, 0, 0, 4, 4.0]], device=device)
    pooled = roi_align(torch.ones(1, 1, 8, 8, device=device), rois, (2, 2))
    assert torch.allclose(pooled, torch.ones_like(pooled)), pooled
    print('mmcv.ops works on', device)
PY
}

# jobs OPS: compilers at a time. One that compiles torch's headers takes 2 GB, nvcc twice that.
jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk -v gb="$([[ $1 == cuda ]] && echo 4 || echo 2)" '/MemAvailable/ {print int($2 / 1048576 / gb)}' /proc/meminfo)
  if ((memory < cores)); then cores=$memory; fi
  if ((cores < 1)); then cores=1; fi
  echo "${MAX_JOBS:-$cores}"
}

# build_mmcv FOLDER OPS HOME: leaves the wheel in FOLDER. The source stays there until then, so that a build which was
# interrupted continues with the files not compiled yet.
build_mmcv() {
  local folder=$1 ops=$2 home=$3 source=$1/source n flags
  check_compiler
  n=$(jobs "$ops")
  flags=(MMCV_WITH_OPS=1 FORCE_CUDA=0 CUDA_VISIBLE_DEVICES=) # mmcv builds for CUDA wherever torch sees a GPU
  if [[ $ops == cuda ]]; then flags=(MMCV_WITH_OPS=1 FORCE_CUDA=1 CUDA_HOME="$home"); fi
  # -g0 leaves debug symbols out: 2 MB instead of 31, in two thirds of the time. CFLAGS adds to Python's own flags with
  # older setuptools and replaces them with newer ones: without -O3 here the ops come out unoptimised, half as fast.
  flags+=(MAX_JOBS="$n" CC="${CC:-gcc}" CXX="${CXX:-g++}" CFLAGS="-O3 -DNDEBUG ${CFLAGS:-} -g0")

  if [[ ! -e $source/setup.py ]]; then
    rm -rf "$folder/source" "$folder/unpacked"
    mkdir -p "$folder/unpacked"
    # --no-binary and --no-cache-dir: pip would reuse a wheel of this version that was built against another torch.
    pip download --no-deps --no-cache-dir --no-build-isolation --no-binary mmcv-full -d "$SCRATCH" "mmcv-full==$MMCV" ||
      failed 'downloading mmcv-full'
    tar -xzf "$SCRATCH/mmcv-full-$MMCV.tar.gz" -C "$folder/unpacked" --strip-components 1
    mv "$folder/unpacked" "$source"
  fi
  note "building it from source with $ops ops: about $(estimate "$ops" "$n") minutes on $n cores, only this once"
  start_heartbeat
  # Not through pip, which throws away what is compiled when it is interrupted.
  quietly env -C "$source" "${flags[@]}" "$PY" setup.py bdist_wheel -d "$folder" || failed 'building mmcv-full'
  stop_heartbeat
  rm -rf "$source"
}

# estimate OPS JOBS: minutes, from 19 core-minutes measured for the CPU ops.
estimate() { echo $((($([[ $1 == cuda ]] && echo 57 || echo 19) + $2 - 1) / $2)); }

install_wheel() { pip install --no-deps --no-cache-dir --force-reinstall "$1"; }

# wheel_in FOLDER: the wheel kept there, if any.
wheel_in() { find "$1" -maxdepth 1 -name "mmcv_full-$MMCV-*.whl" 2>/dev/null | head -n 1; }

wheel_root() { readlink -m "${SSOD_WHEEL_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/ssod/wheels}"; }

install_mmcv() {
  local facts torch_cuda sees_gpu archs home folder tag wheel
  facts=$(torch_facts)
  read -r torch_cuda sees_gpu archs <<<"$facts"
  home=$(cuda_home)
  choose_ops "$torch_cuda" "$sees_gpu" "$(nvcc_version "$home")"
  [[ -z $NOTICE ]] || note "$NOTICE"
  if prove_mmcv; then
    note "keeping mmcv-full $(installed mmcv-full), which works ($OPS ops)"
    return
  fi
  tag=$OPS
  if [[ $OPS == cuda ]]; then tag=cu${torch_cuda/./}-${TORCH_CUDA_ARCH_LIST:-$archs}; fi
  folder=$(wheel_root)/$("$PY" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')-torch$(installed torch)-${tag//[ ;]/-}-O3
  mkdir -p "$folder"
  # Two clones that install at a time must not build in the same folder.
  exec 9>"$folder/lock"
  flock -n 9 || { note 'waiting: another installation is building it'; flock 9; }

  wheel=$(wheel_in "$folder")
  if [[ -n $wheel ]]; then
    note "using the wheel built earlier: $wheel"
    if install_wheel "$wheel" && prove_mmcv; then return; fi
    note 'it does not work with this torch; removing it and building anew'
    rm -f "$wheel"
  fi
  build_mmcv "$folder" "$OPS" "$home"
  wheel=$(wheel_in "$folder")
  { install_wheel "$wheel" && prove_mmcv; } || { rm -f "$wheel"; failed 'trying out mmcv-full as just built (the wheel is removed)'; }
  note "built and tried out; kept for the next clone: $wheel"
  exec 9>&-
}

# ------------------------------------------------------------------------------------------------------- all of it

# What an installation depends on, without starting Python: it is asked on every `make demo` and `make test`.
fingerprint() {
  local nvcc gpu=no
  if has_gpu; then gpu=yes; fi
  nvcc=$(cuda_home)
  cat "$ROOT"/requirements/*.txt "$ROOT/setup.py" "$ROOT/tools/install.sh" | sha256sum
  echo "$ROOT $(readlink -f "$PY") gpu=$gpu nvcc=$(nvcc_version "$nvcc") SSOD_OPS=${SSOD_OPS:-}"
  (cd "$ENV_DIR"/lib && ls -d python3*/site-packages/{torch,torchvision,numpy,mmcv_full,mmdet,ssod}-*.dist-info) 2>/dev/null || true
}

is_installed() { [[ -x $PY && -e $STAMP && $(fingerprint) == "$(<"$STAMP")" ]]; }

cleanup() {
  stop_heartbeat
  [[ -z $SCRATCH ]] || rm -rf "$SCRATCH"
}

install_all() {
  local start=$SECONDS
  : >"$LOG"
  trap cleanup EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  SCRATCH=$(mktemp -d)

  step 'environment: a few seconds'
  prepare_env
  refuse_strangers
  ls "$(wheel_root)/$("$PY" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')"-*/*.whl >/dev/null 2>&1 ||
    prove_installed_earlier || check_compiler
  write_constraints
  pip install -c "$CONSTRAINTS" -r "$ROOT/requirements/build.txt" || failed 'installing the build tools'

  step 'torch and torchvision'
  install_torch
  write_constraints # now it holds the torch just installed

  step 'mmdet and the other requirements: about a minute'
  install_requirements

  step "mmcv-full $MMCV"
  install_mmcv

  step 'ssod itself: a few seconds'
  pip install --no-deps --no-build-isolation -e "$ROOT" || failed 'installing ssod'
  quietly "$PY" -c 'import mmdet.models' || failed 'importing mmdet'
  fingerprint >"$STAMP"

  echo "Installed in $(took $((SECONDS - start))).$([[ $ENV_DIR != "$ROOT/.venv" || -n ${VIRTUAL_ENV:-} ]] || echo ' To use it in your shell: source .venv/bin/activate')"
  [[ -z $NOTICE ]] || echo "Note: $NOTICE"
}

# Whether mmcv-full is already there, so that no compiler may be needed; the proof comes once torch is.
prove_installed_earlier() { [[ $(installed mmcv-full) == 1.7.* ]]; }

main() {
  ENV_DIR=$(active_env)
  ENV_DIR=${ENV_DIR:-$ROOT/.venv}
  PY=$ENV_DIR/bin/python
  STAMP=$ENV_DIR/.ssod-installed
  case ${1:-} in
    --python) echo "$PY" ;;
    '') is_installed || install_all ;;
    *) die "unknown option $1" ;;
  esac
}

# The tests source this file for its functions.
if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  main "$@"
fi
