#!/bin/sh
# Shows a server under load: builds the server and the load generator, runs a plan in units of the server's capacity (or
# another plan: demo.sh 0.5:5s,2:5s), and writes the report to target/demo. Needs cargo and curl. Stops the server on
# every exit.
set -eu

cd "$(dirname "$0")/.."
built=${CARGO_TARGET_DIR:-target}
out=$built/demo
# Multiples of the capacity at full width. One worker thread, so that a generator on one core keeps up on any machine.
# Twice: beyond that, reading requests takes most of a core, whatever the width.
plan=${1:-0.3:4s,2:4s,0.3:4s,1:1s,2:0.5s,1:1s,2:0.5s,1:1s,0.3:4s}
server= load= on_server= on_load=

fail() {
    echo "demo: $1" >&2
    exit 1
}

# Stops the started processes and waits for them.
clean_up() {
    for pid in $load $server; do
        kill -TERM "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Pins the generator to the last allowed core if the server has another.
part_cores() {
    command -v taskset >/dev/null || return 0
    cores=$(taskset -cp $$ | sed 's/.*: //' | tr ',' '\n' | while IFS=- read -r from to; do seq "$from" "${to:-$from}"; done)
    [ "$(echo "$cores" | wc -l)" -ge 2 ] || return 0
    on_load="taskset -c $(echo "$cores" | tail -n 1)"
    on_server="taskset -c $(echo "$cores" | sed '$d' | paste -s -d , -)"
}

start_server() {
    $on_server "$built/release/anywidth" serve --port 0 --threads 1 --log warn >"$out/server.log" 2>&1 &
    server=$!
    for _ in $(seq 300); do
        url=$(sed -n 's/^anywidth .* listens on \(http:[^ ]*\)$/\1/p' "$out/server.log")
        [ -n "$url" ] && curl --silent --fail --output "$out/ready.json" "$url/readyz" && return
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    cat "$out/server.log" >&2
    fail "the server did not become ready: its log is above"
}

# Runs in the background and waits, so that signals are handled immediately.
play() {
    $on_load "$built/release/anywidth-load" run "$url" "$@" &
    load=$!
    wait "$load" || fail "the load generator ended with an error"
    load=
}

show() {
    [ -z "${CI:-}" ] || return 0
    for opener in xdg-open open; do
        if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || [ "$opener $(uname)" = "open Darwin" ]; then
            command -v "$opener" >/dev/null && "$opener" "$1" && return 0
        fi
    done
    return 0
}

step() {
    echo "demo: $1"
}

command -v curl >/dev/null || fail "curl is required but not installed"
step "building the server and the load generator: a few minutes the first time, nothing after that"
${CARGO:-cargo} build --release --locked --package anywidth --package anywidth-load || fail "the build failed: see above"
mkdir -p "$out"
part_cores
step "starting the server"
start_server
# The server's profile includes decoding only after the first image was decoded.
play --rate 50 --duration 300ms >"$out/warm-up.txt"
step "sending load by the plan $plan, in multiples of the capacity at full width (20 s by default)"
play --of-capacity --steps "$plan" --arrivals gamma --cv2 4 --budget-ms 20x \
    --report "$out/report.html" --chart "$out/chart.svg" --json "$out/run.json"
clean_up
server=
echo
echo "The report: $out/report.html"
show "$out/report.html"
