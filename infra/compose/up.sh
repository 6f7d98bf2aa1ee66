#!/usr/bin/env bash
# Makes secrets, builds the image, starts everything and waits until it is healthy. Again: changes what changed.
set -euo pipefail
folder=$(cd "$(dirname "$0")" && pwd)

"$folder/secrets.sh"
"$folder/compose.sh" up --detach --build --wait --wait-timeout 600
echo "Prefect: http://127.0.0.1:${PREFECT_PORT:-4200}, user and password 'admin:' and PREFECT_PASSWORD of $folder/.env"
echo "S3:      http://127.0.0.1:${S3_PORT:-3900}, bucket ${S3_BUCKET:-unimol2}, region garage, keys in the same file"
