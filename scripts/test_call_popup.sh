#!/usr/bin/env bash
# Sends a test call through a running Caller Popup and checks what a dashboard would see of it. Needs curl and nothing else.
#
#   scripts/test_call_popup.sh [URL]      default http://127.0.0.1:8080
#
#   VERIFICATION_TOKEN   the server's RINGCENTRAL_VERIFICATION_TOKEN, if it has one
#   API_TOKEN            one of the server's API_TOKENS, if it has them
set -euo pipefail

url=${1:-http://127.0.0.1:8080}
url=${url%/}
session="test-call-$(date +%s)-$$-$RANDOM"
wait_s=10

dir=$(mktemp -d)
stream_pid=
ringing=
cleanup() {
  if [ -n "$ringing" ]; then send NoCall >"$dir/cleanup" 2>&1 || true; fi # nobody should keep looking at a call that never was
  if [ -n "$stream_pid" ]; then kill "$stream_pid" 2>/dev/null || true; fi
  rm -rf "$dir"
}
trap cleanup EXIT

saw() { printf '  \342\234\223 %s\n' "$1"; }
miss() {
  printf '  \342\234\227 %s\n' "$1" >&2
  if [ -n "${2:-}" ]; then printf '    saw: %.600s\n' "$2" >&2; fi
  exit 1
}

# Secrets go to curl in files: an argument can be read by everybody on the machine.
(
  umask 077
  : >"$dir/sender"; : >"$dir/reader"
  if [ -n "${VERIFICATION_TOKEN:-}" ]; then printf 'Verification-Token: %s\n' "$VERIFICATION_TOKEN" >"$dir/sender"; fi
  if [ -n "${API_TOKEN:-}" ]; then printf 'Authorization: Bearer %s\n' "$API_TOKEN" >"$dir/reader"; fi
)

# answer CURL-ARGUMENTS…: the body, then the status on a line of its own.
answer() { curl --silent --show-error --max-time "$wait_s" --write-out '\n%{http_code}' "$@" 2>&1 || true; }

# send STATUS: what RingCentral posts when the caller's call has that status.
send() {
  answer --request POST "$url/api/webhooks/ringcentral" --header 'Content-Type: application/json' --header @"$dir/sender" --data '{
    "event": "/restapi/v1.0/account/~/extension/~/presence",
    "body": {
      "telephonyStatus": "'"$1"'",
      "sessionId": "'"$session"'",
      "from": { "phoneNumber": "+14165551234", "name": "Test Caller" },
      "to": { "phoneNumber": "+15879876543" },
      "direction": "Inbound"
    }
  }'
}

active_calls() { answer --header @"$dir/reader" "$url/api/ringcentral/active-calls"; }

# stream_says WHAT PATTERN: waits until a line of the stream matches, and prints that line.
stream_says() {
  local tries=$((wait_s * 10)) open=yes
  while :; do
    grep -E -m 1 -- "$2" "$dir/stream" 2>/dev/null && return
    [ -n "$open" ] || break
    tries=$((tries - 1))
    # One more look after the stream ended: its last lines may have come in between.
    if [ "$tries" -le 0 ] || ! kill -0 "$stream_pid" 2>/dev/null; then open=; else sleep 0.1; fi
  done
  case $(cat "$dir/stream.err") in *401* | *403*) miss "the server asks who is reading: set API_TOKEN" "$(cat "$dir/stream.err")" ;; esac
  miss "the stream did not print $1 within $wait_s s" "$(tail -n 5 "$dir/stream" "$dir/stream.err")"
}

printf 'Caller Popup at %s\n\n' "$url"

printf 'Handshake\n'
token="handshake-$RANDOM$RANDOM"
head=$(curl --silent --show-error --max-time "$wait_s" --dump-header - --output /dev/null --request POST --header "Validation-Token: $token" \
  "$url/api/webhooks/ringcentral" 2>&1) || miss "no answer: is the server running at $url?" "$head"
case $head in *" 200"*) ;; *) miss "the handshake was not answered with 200" "$head" ;; esac
printf '%s' "$head" | tr -d '\r' | grep -qix "validation-token: $token" || miss "the Validation-Token did not come back" "$head"
saw "the Validation-Token came back"

printf 'Stream\n'
curl --silent --show-error --fail --no-buffer --max-time 120 --header @"$dir/reader" "$url/api/ringcentral/call-stream" >"$dir/stream" 2>"$dir/stream.err" &
stream_pid=$!
stream_says 'connected' '"type": ?"connected"' >"$dir/line"
saw "connected"

printf 'Incoming call\n'
ringing=yes
got=$(send Ringing)
case $got in
  *'"success"'*200) saw '{"status":"success"}' ;;
  *401) miss "the server wants its verification token: set VERIFICATION_TOKEN" "$got" ;;
  *) miss "the webhook did not answer {\"status\":\"success\"}" "$got" ;;
esac
stream_says 'the call' "\"type\": ?\"call\".*\"$session\"" >"$dir/line"
line=$(cat "$dir/line")
for field in id session_id from_number from_name to_number direction status timestamp customer_id customer_name customer_email; do
  case $line in *"\"$field\""*) ;; *) miss "the call in the stream has no $field" "$line" ;; esac
done
case $line in *'"ringing"'*) ;; *) miss "the call in the stream is not ringing" "$line" ;; esac
saw "the stream printed the call, with all eleven fields"
saw "from Test Caller, +14165551234"

printf 'Active calls\n'
got=$(active_calls)
case $got in
  *"\"$session\""*200) ;;
  *401 | *403) miss "the server asks who is reading: set API_TOKEN" "$got" ;;
  *) miss "active-calls does not contain the call" "$got" ;;
esac
for field in id session_id from_number from_name to_number direction status timestamp customer_id customer_name customer_email; do
  case $got in *"\"$field\""*) ;; *) miss "active-calls has no $field" "$got" ;; esac
done
saw "the call is there, with all eleven fields"

printf 'Hang-up\n'
got=$(send Disconnected)
case $got in *'"success"'*200) ;; *) miss "the webhook did not answer {\"status\":\"success\"}" "$got" ;; esac
ringing=
stream_says 'the end of the call' "\"type\": ?\"call_ended\".*\"$session\"" >"$dir/line"
saw "the stream printed the end"
# Only now: a customer who takes long to find follows the call.
customer=$(sed -n 's/.*"customer_name": \{0,1\}"\([^"]*\)".*/\1/p' "$dir/line")
saw "the caller was ${customer:-"a new one - not in database"}"
got=$(active_calls)
case $got in *"\"$session\""*) miss "the call is still in active-calls" "$got" ;; *200) ;; *) miss "active-calls did not answer" "$got" ;; esac
saw "the call left active-calls"

printf '\nA call through %s works from end to end.\n' "$url"
