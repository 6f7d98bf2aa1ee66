#!/usr/bin/env bash
# Shows that an installation works: imports, the commands, and real molecules prepared. Takes a table of SMILES.
set -euo pipefail
table=${1:?usage: smoke.sh TABLE}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

git --version
dvc --version
python -c 'import deepspeed, prefect, rdkit, torch, unimol2_flows, unimol2_model, unimol2_tasks.blocks'
unimol2 --help >"$folder/help"
grep --quiet prepare "$folder/help"

{ head -n 1 "$table"; sed -n '2,6p' "$table"; } >"$folder/molecules.csv"
cd "$folder"
unimol2 prepare --input molecules.csv --out dataset --set prepare.conformers=1 --set prepare.split=random
unimol2 verify dataset
