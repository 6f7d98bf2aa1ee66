#!/usr/bin/env bash
# Writes random secrets to .env beside this file, or to the file given; what is there already stays as it is.
set -euo pipefail
file=${1:-$(dirname "$0")/.env}

random_hex() {
  od --address-radix=n --format=x1 --read-bytes="$1" /dev/urandom | tr --delete ' \n'
}

# Kept to oneself from the first byte on.
umask 077
touch "$file"
add() {
  grep --quiet "^$1=" "$file" || printf '%s=%s\n' "$1" "$2" >>"$file"
}
add POSTGRES_PASSWORD "$(random_hex 24)"
add REDIS_PASSWORD "$(random_hex 24)"
add PREFECT_PASSWORD "$(random_hex 24)"
# Garage takes keys of this form only: GK and hexadecimal digits, then 64 of them.
add S3_ACCESS_KEY "GK$(random_hex 16)"
add S3_SECRET_KEY "$(random_hex 32)"
add GARAGE_RPC_SECRET "$(random_hex 32)"
