#!/usr/bin/env bash
# Installs what Holmia needs: Debian packages (Qt's system libraries, fonts, what the tests check with), then
# the locked Python packages into $VENV. Needs Python >= 3.11 with pip; touches nothing outside $VENV but
# Debian packages, and those only as root.
set -euo pipefail
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}

packages=(
    # Qt offscreen, and a font
    libglib2.0-0 libgl1 libegl1 libxkbcommon0 libdbus-1-3 libfontconfig1 fonts-dejavu-core
    # Qt in a window
    libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 libxcb-xkb1 libxkbcommon-x11-0
    # two other DICOM implementations: the tests let them send, in clear and with TLS
    dcmtk orthanc
    # what the outputs are checked by: conformance to the standard, and the report's pages as text and pictures
    dicom3tools poppler-utils
)

missing=()
if command -v dpkg-query >/dev/null; then
    for package in "${packages[@]}"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        if [ "$(id -u)" -eq 0 ]; then
            echo "setup: installing Debian packages: ${missing[*]}"
            export DEBIAN_FRONTEND=noninteractive
            # Orthanc would start as a service on ports of its own; only its binary is wanted.
            policy=/usr/sbin/policy-rc.d
            if [ ! -e "$policy" ]; then
                printf '#!/bin/sh\nexit 101\n' >"$policy"
                chmod 755 "$policy"
                trap 'rm -f "$policy"' EXIT
            fi
            apt-get -qq update
            apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
        else
            echo "setup: these Debian packages are missing; run this line once, then call make again:" >&2
            echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
            exit 1
        fi
    fi
else
    echo "setup: not a Debian system; make sure that the equivalents of these are installed: ${packages[*]}" >&2
fi

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "setup: $PYTHON is older than Python 3.11; call make with PYTHON=/path/to/python3.11 or newer" >&2
    exit 1
}

# Debian splits ensurepip from Python; pip can install into an environment that has none.
if [ ! -x "$VENV/bin/python" ]; then
    "$PYTHON" -m venv --without-pip "$VENV"
fi
pip=("$PYTHON" -m pip --python "$VENV/bin/python" --disable-pip-version-check)
echo "setup: installing the locked Python packages into $VENV"
"${pip[@]}" install -q --require-hashes --no-deps -r requirements.lock
"${pip[@]}" install -q --no-deps --no-build-isolation -e .
echo "setup: compiling the fit"
"$VENV/bin/python" -c 'from quantify.r2star import warm; warm()'
echo "setup: done"
