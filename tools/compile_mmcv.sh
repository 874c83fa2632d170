#!/usr/bin/env bash
# Compiles mmcv-full 1.7.2 with its own operators and installs it: `SSOD_OPS=compiled make install` runs this.
# 10 minutes on 2 cores; with CUDA half an hour. Needs a C++ compiler, Python's headers, for CUDA the toolkit, and
# Python 3.12 at most.
#
#   tools/compile_mmcv.sh PYTHON
#
#   SSOD_OPS               compiled: for CUDA where a GPU and a fitting nvcc are; cpu or cuda: for this, whatever is found
#   TORCH_CUDA_ARCH_LIST   what to compile for; needed with SSOD_OPS=cuda on a machine without GPU
#   MAX_JOBS               compilers at a time (as many as cores and memory allow)
#   SSOD_WHEEL_DIR         where the wheels are kept (~/.cache/ssod/wheels)
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LOG=$ROOT/build/compile.log
MMCV=1.7.2

note() { printf '      %s\n' "$*"; }

die() {
  printf '\ncompile_mmcv: %s\n' "$*" >&2
  exit 1
}

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

# What torch was built with, whether it sees a GPU, and the architectures of the GPUs: '13.0 yes sm80-sm90'.
torch_facts() {
  "$PY" - <<'PY'
import torch
gpus = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
archs = sorted({'sm%d%d' % torch.cuda.get_device_capability(i) for i in gpus})
print(torch.version.cuda or 'none', 'yes' if gpus else 'no', '-'.join(archs) or 'any')
PY
}

# choose_ops TORCH_CUDA SEES_GPU NVCC: sets OPS to cpu or cuda.
choose_ops() {
  local torch_cuda=$1 sees_gpu=$2 nvcc=$3 why=
  case ${SSOD_OPS:-compiled} in
    cpu) OPS=cpu && return ;;
    cuda) OPS=cuda ;;
    compiled) OPS=$([[ $sees_gpu == yes ]] && echo cuda || echo cpu) ;;
    *) die "SSOD_OPS is '$SSOD_OPS'; it can be compiled, cpu or cuda" ;;
  esac
  [[ $OPS == cuda ]] || return 0
  if [[ $torch_cuda == none ]]; then
    why='the torch installed here is a CPU build'
  elif [[ -z $nvcc ]]; then
    why="there is no CUDA compiler. Install the CUDA toolkit $torch_cuda, or set CUDA_HOME to where it is"
  elif [[ ${nvcc%%.*} != "${torch_cuda%%.*}" ]]; then
    why="nvcc is CUDA $nvcc and torch was built with CUDA $torch_cuda. Install the CUDA toolkit $torch_cuda and set CUDA_HOME to it"
  fi
  [[ -z $why ]] || die "mmcv's operators cannot be compiled for CUDA: $why. Operators for a GPU that need no compiler: make install. For the CPU alone: SSOD_OPS=cpu make install"
}

prove() {
  local only=(--compiled)
  [[ $OPS == cuda ]] || only+=(--cpu)
  "$PY" "$ROOT/tools/prove_mmcv.py" "${only[@]}" >>"$LOG" 2>&1
}

# Compilers at a time. One that compiles torch's headers takes 2 GB, nvcc twice that.
jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk -v gb="$([[ $OPS == cuda ]] && echo 4 || echo 2)" '/MemAvailable/ {print int($2 / 1048576 / gb)}' /proc/meminfo)
  if ((memory < cores)); then cores=$memory; fi
  if ((cores < 1)); then cores=1; fi
  echo "${MAX_JOBS:-$cores}"
}

check_compiler() {
  local include
  "$PY" -c 'import sys; sys.exit(sys.version_info >= (3, 13))' || die "mmcv-full's setup.py runs on Python 3.12 at most"
  command -v "${CC:-gcc}" >/dev/null || die "no C compiler (${CC:-gcc}): apt install build-essential"
  command -v "${CXX:-g++}" >/dev/null || die "no C++ compiler (${CXX:-g++}): apt install build-essential"
  include=$("$PY" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
  [[ -e $include/Python.h ]] || die "$include/Python.h is missing: apt install python3-dev (python3.X-dev for a Python that is not the system's own)"
}

# build FOLDER HOME: leaves the wheel in FOLDER. The source stays there until then, so that a build which was interrupted
# continues with the files not compiled yet.
build() {
  local folder=$1 home=$2 source=$1/source flags
  check_compiler
  flags=(MMCV_WITH_OPS=1 FORCE_CUDA=0 CUDA_VISIBLE_DEVICES=) # mmcv builds for CUDA wherever torch sees a GPU
  if [[ $OPS == cuda ]]; then flags=(MMCV_WITH_OPS=1 FORCE_CUDA=1 CUDA_HOME="$home"); fi
  # -g0 leaves debug symbols out: 2 MB instead of 31, in two thirds of the time. CFLAGS adds to Python's own flags with
  # older setuptools and replaces them with newer ones: without -O3 here the ops come out unoptimised, half as fast.
  flags+=(MAX_JOBS="$(jobs)" CC="${CC:-gcc}" CXX="${CXX:-g++}" CFLAGS="-O3 -DNDEBUG ${CFLAGS:-} -g0")
  # mmcv's setup.py needs pkg_resources, which setuptools 81 took away.
  "$PY" -m pip install 'setuptools>=64,<81' wheel ninja >>"$LOG" 2>&1 || die "installing the build tools failed: see $LOG"
  if [[ ! -e $source/setup.py ]]; then
    rm -rf "$source" "$folder/unpacked"
    mkdir -p "$folder/unpacked"
    "$PY" "$ROOT/tools/build_mmcv.py" --out "$folder/sdist" >>"$LOG" 2>&1 || die "downloading mmcv-full failed: see $LOG"
    tar -xzf "$folder/sdist/mmcv-full-$MMCV.tar.gz" -C "$folder/unpacked" --strip-components 1
    mv "$folder/unpacked" "$source"
  fi
  note "compiling it for ${OPS^^} with $(jobs) compilers at a time; tail -f $LOG shows how far it is"
  # Not through pip, which throws away what is compiled when it is interrupted.
  env -C "$source" "${flags[@]}" "$PY" setup.py bdist_wheel -d "$folder" >>"$LOG" 2>&1 ||
    die "compiling mmcv-full failed: look up the last lines of $LOG in docs/install.md"
  rm -rf "$source" "$folder/sdist"
}

# wheel_in FOLDER: the wheel kept there, if any.
wheel_in() { find "$1" -maxdepth 1 -name "mmcv_full-$MMCV-*.whl" 2>/dev/null | head -n 1; }

install_wheel() { "$PY" -m pip install --no-deps --no-cache-dir --force-reinstall "$1" >>"$LOG" 2>&1; }

compile() {
  local facts torch_cuda sees_gpu archs home tag folder wheel
  facts=$(torch_facts)
  read -r torch_cuda sees_gpu archs <<<"$facts"
  home=$(cuda_home)
  choose_ops "$torch_cuda" "$sees_gpu" "$(nvcc_version "$home")"
  if prove; then
    note "keeping the compiled mmcv-full, which works ($OPS)"
    return
  fi
  tag=$OPS
  if [[ $OPS == cuda ]]; then tag=cu${torch_cuda/./}-${TORCH_CUDA_ARCH_LIST:-$archs}; fi
  tag=$("$PY" -c 'import sys, torch; print("cp%d%d-torch" % sys.version_info[:2] + torch.__version__)')-$tag
  folder=$(readlink -m "${SSOD_WHEEL_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/ssod/wheels}")/${tag//[ ;]/-}-O3
  mkdir -p "$folder"
  # Two clones that install at a time must not build in the same folder.
  exec 9>"$folder/lock"
  flock 9

  wheel=$(wheel_in "$folder")
  if [[ -n $wheel ]]; then
    note "using the wheel compiled earlier: $wheel"
    if install_wheel "$wheel" && prove; then return; fi
    note 'it does not work with this torch; removing it and compiling anew'
    rm -f "$wheel"
  fi
  build "$folder" "$home"
  wheel=$(wheel_in "$folder")
  { install_wheel "$wheel" && prove; } || { rm -f "$wheel"; die "mmcv-full as just compiled does not work (the wheel is removed): see $LOG and docs/install.md"; }
  note "compiled and tried out; kept for the next clone: $wheel"
}

# The tests source this file for its functions.
if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  PY=${1:?the Python to install into}
  mkdir -p "$ROOT/build"
  : >"$LOG"
  compile
fi
