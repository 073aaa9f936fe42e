#!/usr/bin/env bash
# redis-cli: one-shot, from a pipe, RESP2 and RESP3, interactive on a terminal, and redis-benchmark.
set -euo pipefail

cli() { redis-cli -h "$PROXY_HOST" -p "$PROXY_PORT" "$@"; }
failed=0
# same TITLE EXPECTED ACTUAL
same() {
  if [ "$2" = "$3" ]; then
    echo "ok   redis-cli: $1"
  else
    printf 'FAIL redis-cli: %s\n  expected: %q\n  got:      %q\n' "$1" "$2" "$3"
    failed=1
  fi
}

same "ping" PONG "$(cli ping)"
same "set" OK "$(cli set a hello)"
same "get" hello "$(cli get a)"
same "missing key" "" "$(cli get none)"
same "RESP3" hello "$(cli -3 get a)"
same "RESP3 null" '(nil)' "$(cli -3 --no-raw get none)"
same "cas" $'1\n2' "$(cli cas a 1 world)"
same "lost cas" $'0\n2' "$(cli cas a 1 again)"
same "getv" $'world\n2' "$(cli getv a)"
same "pipe" $'OK\nx\n(nil)' "$(printf 'set p x\nget p\nget none\n' | cli --no-raw | tr -d '"')"
same "mass insertion" "errors: 0, replies: 1000" \
  "$(for i in $(seq 1000); do printf 'SET mass:%d %d\r\n' "$i" "$i"; done | cli --pipe | tail -n 1)"
same "value from standard input" "0123456789" "$(printf 0123456789 | cli -x set x >/dev/null; cli get x)"
same "unknown command" "ERR unknown command 'nosuch', with args beginning with: 'x' " "$(cli nosuch x | head -n 1)"
# Interactive, on a terminal: redis-cli asks for COMMAND DOCS when it connects, and shows the arguments
# that they tell as hints.
terminal=$(dirname "$0")/../integration/terminal.py
if "$terminal" '> ' 'set tty yes\r' OK 'get tty\r' '"yes"' 'getv tty\r' '2) (integer) 1' \
  'cas ' 'key version value' 'tty 1 no\r' '2) (integer) 2' 'set ' '[NX|XX]' \
  -- redis-cli -h "$PROXY_HOST" -p "$PROXY_PORT"; then
  echo "ok   redis-cli: interactive"
else
  echo "FAIL redis-cli: interactive"
  failed=1
fi

for options in "-t get,set -n 20000 -c 50" "-t get,set -n 20000 -c 50 -P 16" "-t set,get -n 200 -c 4 -d 262144" \
  "-t ping_mbulk,ping_inline -n 5000"; do
  # shellcheck disable=SC2086  # options are words
  if output=$(redis-benchmark -h "$PROXY_HOST" -p "$PROXY_PORT" -q -r 1000 $options 2>&1) &&
    ! grep -qi error <<<"$output"; then
    echo "ok   redis-benchmark $options"
  else
    printf 'FAIL redis-benchmark %s\n%s\n' "$options" "$output"
    failed=1
  fi
done
exit $failed
