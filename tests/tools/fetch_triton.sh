#!/bin/sh
# Unpacks the Triton Inference Server that PyPI's nvidia-pytriton carries, and the numpy that its Python backend needs,
# into a folder beside no other package:
#     tests/tools/fetch_triton.sh FOLDER PYTHON     prints the folder
# About 75 MB to download and 0.25 GB on disk. numpy 2 loads, but Triton 2.51 then misreads every output's shape.
set -eu

folder=${1:?usage: fetch_triton.sh FOLDER PYTHON}
python=${2:?usage: fetch_triton.sh FOLDER PYTHON}
if [ ! -e "$folder/.complete" ]; then
    rm -rf "$folder"
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --target "$folder" \
        nvidia-pytriton==0.7.0 numpy==1.26.4 >&2
    touch "$folder/.complete"
fi
echo "$folder"
