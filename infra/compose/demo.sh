#!/usr/bin/env bash
# The whole pipeline on the embedded molecules, as a deployment, with every artifact in the S3 bucket.
set -euo pipefail
folder=$(cd "$(dirname "$0")" && pwd)
out="s3://${S3_BUCKET:-unimol2}/demo"
parameters=(--param "out=$out")
if [[ ${UNIMOL2_TARGET:-cpu} == gpu ]]; then
  # prefect.yaml asks for two ranks, which one GPU has no room for.
  parameters+=(--param 'launch={"ranks": 1}')
fi

"$folder/up.sh"
# --watch ends with the run, and fails with it. The other parameters are those of prefect.yaml.
"$folder/compose.sh" exec --no-TTY worker \
  prefect deployment run unimol2-end-to-end/end-to-end --watch "${parameters[@]}"
"$folder/compose.sh" exec --no-TTY worker python - "$out" <<'PYTHON'
import sys

import s3fs

for key in sorted(s3fs.S3FileSystem().find(sys.argv[1])):
    print(f"s3://{key}")
PYTHON
