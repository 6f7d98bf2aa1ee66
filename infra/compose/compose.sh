#!/usr/bin/env bash
# docker compose with this folder's files and secrets: compose.sh logs --follow worker
set -euo pipefail
folder=$(cd "$(dirname "$0")" && pwd)
files=(--file "$folder/compose.yaml")
if [[ ${UNIMOL2_TARGET:-cpu} == gpu ]]; then
  files+=(--file "$folder/compose.gpu.yaml")
fi
exec docker compose --env-file "$folder/.env" "${files[@]}" "$@"
