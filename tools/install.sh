#!/usr/bin/env bash
# Installs what the demo, the tests and training need. `make install` runs it; a second run is over at once.
#
# Into the active virtualenv or conda environment (conda's base does not count), else into .venv beside the Makefile.
# An environment of yours keeps its torch (2.6 or later, with its torchvision) and its numpy; .venv gets the versions
# of requirements/constraints.txt. Nothing is compiled: mmcv-full's operators are those of ssod/ops.
# What can go wrong, and what to do: docs/install.md.
#
#   tools/install.sh            install
#   tools/install.sh --python   print the path of the Python that is or would be installed into
#
#   SSOD_OPS=compiled           compile mmcv's own operators (tools/compile_mmcv.sh); cpu or cuda: for this alone
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LOG=$ROOT/install.log
LOG_FROM=1 # the line of the log at which the command now running began
PYTHONS='3.10, 3.11, 3.12 or 3.13'

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
export PIP_USER=0 # PIP_USER=1 in someone's settings makes pip refuse to work in an environment

die() { printf '\ninstall: %s\n' "$*" >&2; exit 1; }

step() { printf '[%d/4] %s\n' "$1" "$2"; }

note() { printf '      %s\n' "$*"; }

# failed WHAT: the last error lines, and where to read what to do about them.
failed() {
  local text lines
  text=$(tail -n "+$LOG_FROM" "$LOG" | cut -c1-300)
  lines=$(grep -iE 'error|fatal|no space|undefined symbol|killed|not found' <<<"$text" | tail -n 6 || true)
  die "$1 failed.
$(sed 's/^/    /' <<<"${lines:-$(tail -n 12 <<<"$text")}")
Look it up in docs/install.md. The whole log: $LOG
Once mended, run make install again: it continues from here."
}

# quietly COMMAND...: its output goes to the log; returns its status.
quietly() {
  LOG_FROM=$(($(wc -l <"$LOG") + 1))
  printf '\n$ %s\n' "$*" >>"$LOG"
  "$@" >>"$LOG" 2>&1
}

pip() { quietly "$PY" -m pip "$@"; }

# The active environment's folder, else .venv.
find_env() {
  if [[ -n ${VIRTUAL_ENV:-} ]]; then
    echo "$VIRTUAL_ENV"
  elif [[ -n ${CONDA_PREFIX:-} && ${CONDA_DEFAULT_ENV:-} != base ]]; then
    echo "$CONDA_PREFIX"
  else
    echo "$ROOT/.venv"
  fi
}

# version_of PYTHON: as 3.11; empty if it is not there or cannot make an environment.
version_of() { "$1" -c 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }

is_supported() { [[ $1 == 3.1[0-3] ]]; }

# The first suitable interpreter. pyenv's shims of versions that are not selected answer with an error.
choose_python() {
  local name
  for name in python3.12 python3.11 python3.10 python3.13 python3; do
    if is_supported "$(version_of "$name")"; then
      command -v "$name"
      return
    fi
  done
  die "no Python $PYTHONS with its venv module found. Install one, e.g. apt install python3 python3-venv, or activate a conda environment: conda create -n ssod python=3.11"
}

is_ours() { [[ $ENV_DIR == "$ROOT/.venv" ]]; }

has_pip() { "$PY" -m pip --version >/dev/null 2>&1; }

prepare_env() {
  local base version
  if is_ours && ! has_pip; then
    base=$(choose_python)
    # --clear also replaces a .venv that was left half made, or whose interpreter has gone.
    quietly "$base" -m venv --clear "$ENV_DIR" || failed "creating $ENV_DIR"
  fi
  [[ -x $PY ]] || die "the active environment $ENV_DIR has no bin/python. Deactivate it, or create it anew."
  version=$("$PY" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  is_supported "$version" || die "$ENV_DIR is Python $version, and $PYTHONS is needed. Use another environment, or none."
  # uv makes environments without pip.
  has_pip || quietly "$PY" -m ensurepip || die "$ENV_DIR has no pip."
  note "$ENV_DIR (Python $version)"
}

# installed NAME: its version in the environment, or nothing.
installed() {
  "$PY" -c 'import sys; from importlib.metadata import distributions as d
print(next((x.version for x in d(name=sys.argv[1])), ""))' "$1"
}

# Packages that ours would overwrite without a word, or cannot stand beside.
refuse_strangers() {
  local mmcv=$(installed mmcv) mmdet=$(installed mmdet) mmseg=$(installed mmsegmentation)
  [[ -z $mmcv ]] || die "mmcv $mmcv is installed here; mmcv-full 1.7.2, which is needed, would overwrite it. Use a fresh environment, or: pip uninstall mmcv"
  [[ -z $mmdet || $mmdet == 2.* ]] || die "mmdet $mmdet is installed here, and 2.28.2 is needed. Use a fresh environment, or: pip uninstall mmdet"
  [[ -z $mmseg || $mmseg == 0.* ]] || die "mmsegmentation $mmseg is installed here, and 0.30.0 is needed. Use a fresh environment, or: pip uninstall mmsegmentation"
}

# The constraints for pip: .venv is ours and gets what was tested; elsewhere what is there stays.
write_constraints() {
  local name version
  CONSTRAINTS=$SCRATCH/constraints.txt
  if is_ours; then
    cp "$ROOT/requirements/constraints.txt" "$CONSTRAINTS"
    return
  fi
  if [[ -z $(installed torch) ]]; then grep '^torch' "$ROOT/requirements/constraints.txt"; fi >"$CONSTRAINTS"
  for name in $([[ -s $CONSTRAINTS ]] || echo torch torchvision) numpy; do
    version=$(installed "$name")
    [[ -z $version ]] || echo "$name==$version"
  done >>"$CONSTRAINTS"
}

# A torchvision made for another torch, or for a CPU-only one, fails when imported, and mmcv imports it.
torch_works() {
  quietly "$PY" -c 'import torch, torchvision
assert tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 6), f"error: torch {torch.__version__} is older than 2.6"
torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)'
}

install_torch() {
  local torch=$(installed torch) vision=$(installed torchvision)
  if [[ -n $torch ]] && torch_works; then
    note "keeping torch $torch and torchvision $vision"
    return
  fi
  is_ours || [[ -z $torch || -z $vision ]] || failed "torch $torch with torchvision $vision: trying them out"
  note 'downloading: 3 GB, 1 to 10 minutes'
  pip install -c "$CONSTRAINTS" torch torchvision || failed 'installing torch and torchvision'
  torch_works || failed "torch $(installed torch) with torchvision $(installed torchvision): trying them out"
}

# What ssod's own metadata ask for, with every extra but the tests' browser. Another build of OpenCV that works stays: two of
# them overwrite each other's files.
requirements() {
  local opencv='none'
  if [[ -z $(installed opencv-python-headless) ]] && quietly "$PY" -c 'import cv2'; then opencv='^opencv'; fi
  "$PY" -c 'from importlib.metadata import requires
for line in requires("ssod"):
    name, _, marker = line.partition(";")
    if "browser" not in marker:
        print(name)' | grep -v "$opencv"
}

# What an installation depends on, without starting Python: it is asked on every `make demo` and `make test`.
fingerprint() {
  (cd "$ROOT" && find ssod/ops requirements pyproject.toml tools/{install.sh,build_mmcv.py,compile_mmcv.sh} -type f \
    ! -name '*.pyc' | sort | xargs cat | sha256sum)
  echo "$ROOT $(readlink -f "$PY") SSOD_OPS=${SSOD_OPS:-}"
  (cd "$ENV_DIR"/lib && ls -d python3*/site-packages/{torch,torchvision,numpy,mmcv_full,mmdet,mmsegmentation,ssod}-*.dist-info) 2>/dev/null || true
}

is_installed() { [[ -x $PY && -e $STAMP && $(fingerprint) == "$(<"$STAMP")" ]]; }

install_all() {
  : >"$LOG"
  SCRATCH=$(mktemp -d)
  trap 'rm -rf "$SCRATCH"' EXIT
  step 1 'environment: a few seconds'
  prepare_env
  refuse_strangers
  write_constraints
  step 2 'torch and torchvision'
  install_torch
  write_constraints # now it holds the torch just installed
  step 3 'ssod, mmdet, mmsegmentation and the other requirements: a minute'
  pip install --no-deps -e "$ROOT" || failed 'installing ssod'
  requirements >"$SCRATCH/requirements.txt"
  pip install -c "$CONSTRAINTS" -r "$SCRATCH/requirements.txt" || failed 'installing the requirements'
  step 4 'mmcv-full 1.7.2'
  if [[ -n ${SSOD_OPS:-} ]]; then
    bash "$ROOT/tools/compile_mmcv.sh" "$PY"
  else
    quietly "$PY" "$ROOT/tools/build_mmcv.py" --install || failed 'installing mmcv-full'
  fi
  quietly "$PY" -c 'import mmdet.models' || failed 'importing mmdet'
  quietly "$PY" -c 'import mmseg.models' || failed 'importing mmsegmentation'
  fingerprint >"$STAMP"
  echo "Installed in $SECONDS s."
  if is_ours && [[ -z ${VIRTUAL_ENV:-} ]]; then echo 'To use it in your shell: source .venv/bin/activate'; fi
}

main() {
  ENV_DIR=$(find_env)
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
