#!/usr/bin/env bash
# Runs a Prefect worker, and stops its flow runs before it: worker.sh prefect worker start --pool unimol2
# The worker gives each run a session of its own, out of reach of `tini -g`, and on SIGTERM kills them at once:
# no checkpoint, and a run that stays Running. Asked one by one, each has its time, and its end is reported.
set -euo pipefail
# Else what runs in the background ignores SIGINT, and hands that down to the runs.
set -m

"$@" &
worker=$!
declare -A asked=()

runs() {
  cat /proc/"$worker"/task/*/children 2>/dev/null
}

stop() {
  local run
  # The worker still takes runs: whichever comes meanwhile is asked too, and each only once.
  while [[ -n $(runs) ]]; do
    for run in $(runs); do
      [[ -v asked[$run] ]] || kill -TERM "$run" 2>/dev/null || true
      asked[$run]=1
    done
    sleep 0.2
  done
  kill -TERM "$worker" 2>/dev/null || true
}

trap stop TERM INT
# A signal ends the first; what the worker says in the end is what counts.
wait "$worker" || true
wait "$worker"
