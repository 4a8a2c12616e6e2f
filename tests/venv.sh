#!/usr/bin/env bash
# Makes the virtual environment named on the command line, with encamp in it as an editable install and its tools.
# Which package index is used is up to this machine's own pip and uv configuration.
set -euo pipefail

VENV="$1"

# Companies' certificate authorities are in the system's store, where uv looks only when told to. (Two names: the
# variable was renamed.)
export UV_NATIVE_TLS="${UV_NATIVE_TLS:-1}" UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}"
export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-180}"

cd "$(dirname "$0")/.."

# A Python that runs (a version manager's shim may exist and not run) and is new enough.
find_python() {
    local candidate
    for candidate in ${PYTHON3:-} python3.13 python3.12 python3.11 python3.10 python3 python3.14; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$candidate"
            return 0
        fi
    done
    echo "venv.sh: Python 3.10 or later is needed; none was found (PYTHON3=/path/to/python names one)" >&2
    return 1
}

python="$(find_python)"
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    version="$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')"
    # Debian keeps venv in a package of its own.
    tests/lab/docker.sh need "$version-venv" "$version-venv" ||
        { echo "venv.sh: $python has no venv module" >&2; exit 3; }
fi

# An environment made by a Python that is gone, or half made, is made anew.
if ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --clear "$VENV"
fi

retry() {
    local attempt
    for attempt in 1 2 3; do
        "$@" && return 0
        echo "venv.sh: failed (attempt $attempt of 3): $*" >&2
        sleep $((attempt * 3))
    done
    return 1
}

retry "$VENV/bin/python" -m pip install --quiet uv
# Bytecode now: where PYTHONDONTWRITEBYTECODE is set, every start of fab would compile all it imports.
retry "$VENV/bin/uv" pip install --quiet --compile-bytecode --python "$VENV/bin/python" -e '.[dev]'
# Once more alone, so that its `fab` is the one that stays: Fabric brings one of that name.
retry "$VENV/bin/uv" pip install --quiet --no-deps --reinstall-package encamp --python "$VENV/bin/python" -e .
