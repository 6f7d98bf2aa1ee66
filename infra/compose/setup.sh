#!/usr/bin/env bash
# Inside the image, where prefect.yaml is: the bucket takes and gives back an object, the work pool is there, every flow is deployed, zombies are found.
set -euo pipefail
bucket=${1:?usage: setup.sh BUCKET}

python - "$bucket" <<'PYTHON'
import sys

import s3fs

store, key = s3fs.S3FileSystem(), f"{sys.argv[1]}/.setup"
store.pipe_file(key, b"written")
assert store.cat_file(key) == b"written", f"s3://{key} does not hold what was written to it"
store.rm_file(key)
PYTHON

prefect block register --module unimol2_tasks.blocks
prefect work-pool inspect unimol2 >/dev/null 2>&1 || prefect work-pool create unimol2 --type process
prefect --no-prompt deploy --all
# Runs whose worker died become Crashed.
prefect automation inspect "unimol2 zombies" >/dev/null 2>&1 \
  || prefect automation create --from-file infra/prefect/zombies.yaml
