#!/usr/bin/env bash
# An environment for the peers: setup.sh VENV_DIR [TORCH]
# TORCH is a requirement for pip, by default "torch>=2.6,<2.14"; give "torch==X" to match impasto's environment.
set -euo pipefail
venv=${1:?usage: setup.sh VENV_DIR [TORCH]}
torch=${2:-torch>=2.6,<2.14}
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)
# Both ask for torchvision, which fixes one build of torch; benchmarks/peers/torchvision_standin stands in. What else
# pystiche asks for is tqdm.
"${pip[@]}" --no-deps neural-style==0.5.7 pystiche==1.0.1
"${pip[@]}" "$torch" numpy pillow safetensors tqdm
"$venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

print("neural-style", version("neural-style"), "and pystiche", version("pystiche"), "are in", sys.prefix, "with torch", version("torch"))
PYTHON
