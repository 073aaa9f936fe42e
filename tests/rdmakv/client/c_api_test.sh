#!/bin/bash
# c_api_test.sh KV_SERVER C_API_TEST cm|socket: the C program against a server of its own, over shared memory
# where there is no RDMA device.
set -u
server=$1 program=$2 mode=$3
output=$(mktemp)
options=()
[ "$mode" = socket ] && options+=(-S)
"$server" -p 0 -m 128 --workers 2 "${options[@]}" >"$output" 2>&1 &
pid=$!
trap 'kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; rm -f "$output"' EXIT
until grep -q '^ready' "$output"; do
  kill -0 "$pid" 2>/dev/null || { cat "$output"; exit 1; }
  sleep 0.1
done
port=$(sed -n 's/.*connect with .*:\([0-9]*\)$/\1/p' "$output" | head -1)
[ -n "$port" ] || { echo "no port in:"; cat "$output"; exit 1; }
"$program" "${C_API_TEST_ADDRESS:-127.0.0.1}" "$port" "$mode"
