#!/usr/bin/env bash
# An environment for the peer: setup.sh VENV_DIR [TORCH]
# TORCH is a requirement for pip, by default "torch>=2.6,<2.14"; give "torch==X" to match impasto's environment.
set -euo pipefail
venv=${1:?usage: setup.sh VENV_DIR [TORCH]}
torch=${2:-torch>=2.6,<2.14}
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
# neural-style asks for torchvision, which fixes one build of torch: benchmarks/peers/torchvision_standin stands in.
"$venv/bin/python" -m pip install --no-deps neural-style==0.5.7
"$venv/bin/python" -m pip install "$torch" numpy pillow safetensors
"$venv/bin/python" -c 'import torch; print("neural-style 0.5.7 is in", __import__("sys").prefix, "with torch", torch.__version__)'
