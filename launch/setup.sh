# Sourced by the other scripts: puts the project and the named extras into .venv, once.
#   source launch/setup.sh [dev,speech,..]
# A stamp of the requirement files makes a second call cost nothing.

setup_environment() {
  local extras="${1:-}" python="${PYTHON:-python3}" root stamp
  root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "reasoner_jax needs Python 3.11 or newer; $python is $("$python" -V 2>&1). Set PYTHON=..." >&2
    return 1
  }
  stamp="$(cd "$root" && cat requirements.txt pyproject.toml | cksum | cut -d' ' -f1) ${extras}"
  if [ "$(cat "$root/.venv/.stamp" 2>/dev/null)" != "$stamp" ]; then
    echo "setting up .venv (some minutes the first time)"
    [ -x "$root/.venv/bin/python" ] || "$python" -m venv "$root/.venv" || return 1
    # Python compiles what it imports; all that lies there would take a third of the time.
    "$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
      --editable "$root${extras:+[$extras]}" || return 1
    echo "$stamp" > "$root/.venv/.stamp"
  fi
  export PATH="$root/.venv/bin:$PATH"
  # Large pages save a tenth of a training step on a CPU (benchmarks/results/train_step_cpu.md).
  export GLIBC_TUNABLES="${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}"
}

setup_environment "$@"
