#!/usr/bin/env bash
# `openssl s_client` with verification, by hand as an operator would: the text and the meta protocol.
set -euo pipefail

deadline_s=10
passed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Prints a line where what was seen is what is expected; ends the program at the first that is not.
check() {
  if [[ $2 != "$3" ]]; then
    printf 'FAILED %s: expected %q, got %q\n' "$1" "$3" "${2:0:200}" >&2
    exit 1
  fi
  passed=$((passed + 1))
  echo "ok $1"
}

# One connection: standard input goes to the cache, what it answers until it closes comes back.
# -quiet keeps s_client from acting on lines that begin with Q or R.
connection() {
  openssl s_client "${tls[@]}" -quiet -connect "$MEMTIDE_HOST:$MEMTIDE_PORT" \
    -CAfile "$MEMTIDE_CA" -verify_return_error -verify_hostname "$MEMTIDE_HOST" 2>"$work/stderr" ||
    { tail -n 3 "$work/stderr" >&2; return 1; }
}
tls=()

# The replies to these command lines, on a connection of their own, joined by `|`.
ask() {
  { printf '%s\r\n' "$@"; printf 'quit\r\n'; } | connection | tr -d '\r' | paste -sd'|'
}

# Whether a get of the key misses before the deadline.
expires() {
  local end=$((SECONDS + deadline_s))
  while ((SECONDS < end)); do
    [[ $(ask "get $1") == END ]] && return
    sleep 0.05
  done
  return 1
}

check "set and get" "$(ask 'set sh:a 7 0 1' 1 'get sh:a')" 'STORED|VALUE sh:a 7 1|1|END'
check "get of a missing key" "$(ask 'get sh:none')" 'END'
check "get of several keys" "$(ask 'set sh:b 0 0 1' 2 'get sh:a sh:none sh:b')" \
  'STORED|VALUE sh:a 7 1|1|VALUE sh:b 0 1|2|END'
check "delete" "$(ask 'delete sh:b' 'delete sh:b' 'get sh:b')" 'DELETED|NOT_FOUND|END'
check "incr and decr" "$(ask 'incr sh:a 41' 'decr sh:a 50' 'incr sh:none 1')" '42|0|NOT_FOUND'

token=$(ask 'gets sh:a' | cut -d'|' -f1 | cut -d' ' -f5)
check "cas" "$(ask "cas sh:a 0 0 3 $token" new "cas sh:a 0 0 3 $token" old 'get sh:a')" \
  'STORED|EXISTS|VALUE sh:a 0 3|new|END'
check "cas of a missing key" "$(ask "cas sh:none 0 0 1 $token" x)" 'NOT_FOUND'

check "touch" "$(ask 'set sh:t 0 600 1' x 'touch sh:t 1' 'touch sh:none 1')" 'STORED|TOUCHED|NOT_FOUND'
expires sh:t
check "a touched item expires" "$(ask 'get sh:t')" 'END'
check "set for a second" "$(ask 'set sh:e 0 1 1' x)" 'STORED'
expires sh:e
check "an item expires" "$(ask 'get sh:e')" 'END'

check "noreply" "$(ask 'set sh:q 0 0 1 noreply' 1 'incr sh:q 9 noreply' 'append sh:q 0 0 1 noreply' 5 \
  'touch sh:q 600 noreply' 'get sh:q' 'delete sh:q noreply' 'get sh:q')" 'VALUE sh:q 0 3|105|END|END'

# 900 KB, with line ends within, and every byte that there is.
for byte in {0..255}; do printf "\\x$(printf %02x "$byte")"; done >"$work/bytes"
for _ in {1..60}; do cat "$work/bytes"; done >"$work/some"
for _ in {1..60}; do cat "$work/some"; done >"$work/value"
length=$(wc -c <"$work/value")
{ printf 'set sh:large 0 0 %d\r\n' "$length"; cat "$work/value"; printf '\r\nget sh:large\r\nquit\r\n'; } |
  connection >"$work/reply"
{ printf 'STORED\r\nVALUE sh:large 0 %d\r\n' "$length"; cat "$work/value"; printf '\r\nEND\r\n'; } >"$work/expected"
check "$length bytes of every value come back" "$(cmp "$work/reply" "$work/expected" 2>&1)" ''

check "meta set and get" "$(ask 'ms sh:meta 2 T600 F5' hi 'mg sh:meta v f t k Oab')" 'HD|VA 2 f5 t600 ksh:meta Oab|hi'
check "meta get of a missing key" "$(ask 'mg sh:none v' 'mg sh:none v q' mn)" 'EN|MN'
check "meta arithmetic, delete, no-op" "$(ask 'ma sh:count N0 J5 v' 'ma sh:count v' 'md sh:count' mn)" \
  'VA 1|5|VA 1|6|HD|MN'
check "base64 keys" "$(ask 'ms c2g6YmFzZTY0 1 b' x 'get sh:base64')" 'HD|VALUE sh:base64 0 1|x|END'
check "an unknown command" "$(ask bogus 'get sh:none')" 'ERROR|END'

for version in -tls1_2 -tls1_3; do
  tls=("$version")
  check "get over${version/-/ }" "$(ask 'get sh:none')" 'END'
done
echo "$passed checks passed"
