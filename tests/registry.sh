# shellcheck shell=bash
# A real registry for a test: Debian's docker-registry on a port of its own.
#
#   $REGISTRY       its HOST:PORT
#   $REGISTRY_LOG   its access log

# start_registry [LINES OF CONFIGURATION…]
start_registry() {
    local port line
    for _ in $(seq 20); do
        port=$((20000 + RANDOM % 20000))
        printf '%s\n' "version: 0.1" "log:" "  level: info" "storage:" "  filesystem:" \
            "    rootdirectory: $WORK/registry-$port" "  delete:" "    enabled: true" "http:" \
            "  addr: 127.0.0.1:$port" > registry.yml
        for line in "$@"; do printf '%s\n' "$line" >> registry.yml; done
        REGISTRY_LOG=$WORK/registry-$port.log
        docker-registry serve registry.yml > "$REGISTRY_LOG" 2>&1 &
        REGISTRY_PID=$!
        for _ in $(seq 100); do
            kill -0 $REGISTRY_PID 2> /dev/null || break
            if curl --silent --output /dev/null "http://127.0.0.1:$port/v2/"; then
                REGISTRY=127.0.0.1:$port
                at_exit+=("kill $REGISTRY_PID 2> /dev/null; wait $REGISTRY_PID 2> /dev/null")
                return
            fi
            sleep 0.1
        done
    done
    cat "$REGISTRY_LOG" >&2
    fail "docker-registry does not start"
}

# password_file USER PASSWORD: a line for the registry's file of passwords, which takes bcrypt only.
password_file() {
    /usr/bin/python3 -W ignore - "$1" "$2" <<'PYTHON'
import crypt, sys
print(f"{sys.argv[1]}:{crypt.crypt(sys.argv[2], crypt.mksalt(crypt.METHOD_BLOWFISH))}")
PYTHON
}

# forget_requests: count_requests counts from here on.
forget_requests() {
    REQUESTS_FROM=$(wc -l < "$REGISTRY_LOG")
}

# count_requests PATTERN: how many requests, each `METHOD PATH`, match.
count_requests() {
    tail -n "+$((${REQUESTS_FROM:-0} + 1))" "$REGISTRY_LOG" \
        | sed -nE 's/^[0-9.:]+ - - \[[^]]*\] "([A-Z]+ [^ ]+) HTTP.*/\1/p' | grep -cE "$1" || true
}
