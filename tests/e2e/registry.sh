#!/usr/bin/env bash
# Registries: logging in and out of Debian's docker-registry, with the same files as docker and
# skopeo use, by plain HTTP and with certificates of an own authority.

. "$(dirname "$0")/../lib.sh"
. "$REPO/tests/registry.sh"

for tool in docker-registry openssl skopeo; do
    command -v $tool > /dev/null || fail "$tool is not installed"
done

export HOME=$WORK/home
mkdir -p "$HOME"
unset REGISTRY_AUTH_FILE DOCKER_CONFIG XDG_RUNTIME_DIR
password_file anna 'pa:ss' > users

# start_locked_registry NAME PORT [CONFIGURATION]: with the passwords of `users`.
start_locked_registry() {
    cat > "$1.yml" << END
version: 0.1
log: { level: error }
storage: { filesystem: { rootdirectory: $WORK/$1-data }, delete: { enabled: true } }
http:
  addr: 127.0.0.1:$2
${3:-}
auth: { htpasswd: { realm: test, path: $WORK/users } }
END
    docker-registry serve "$1.yml" > "$1.log" 2>&1 &
    at_exit+=("kill $!")
    for _ in $(seq 100); do
        if (exec 3<> "/dev/tcp/127.0.0.1/$2") 2> /dev/null; then return; fi
        sleep 0.1
    done
    cat "$1.log" >&2
    fail "the registry $1 does not start"
}

# refused WHAT TEXT COMMAND…: the command fails and says this.
refused() {
    local what=$1 text=$2
    shift 2
    if "$@" > refused.out 2>&1; then
        cat refused.out >&2
        fail "$what: it is not refused"
    fi
    contains "$what" refused.out "$text"
}

plain=127.0.0.1:5177
start_locked_registry plain 5177

refused "a wrong password is told at once" "does not accept the credentials" \
    "$HARDTACK" login -u anna --password-stdin $plain <<< wrong
[ ! -e "$HOME/.docker/config.json" ] || fail "a wrong password was kept"
refused "without a terminal nothing is asked" "--password-stdin" "$HARDTACK" login $plain < /dev/null
refused "a repository is no registry" "a host is wanted" "$HARDTACK" login -u a --password-stdin $plain/app <<< x

"$HARDTACK" login -u anna --password-stdin $plain <<< 'pa:ss' > login.out
contains "the login is told" login.out "logged in to $plain as anna"
! grep -q 'pa:ss' login.out || fail "the password is shown"
equal "the file is for its owner alone" 600 "$(stat -c %a "$HOME/.docker/config.json")"

# Others read what was written there, and the other way round.
mkdir -p image
printf '{"imageLayoutVersion": "1.0.0"}' > image/oci-layout
mkdir -p image/blobs/sha256
put() { local digest; digest=$(printf '%s' "$1" | sha256sum | cut -d' ' -f1); printf '%s' "$1" > "image/blobs/sha256/$digest"; echo "$digest"; }
config='{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
manifest='{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:'$(put "$config")'","size":'${#config}'},"layers":[]}'
printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"x"}}]}' \
    "$(put "$manifest")" ${#manifest} > image/index.json
skopeo copy --quiet --dest-tls-verify=false oci:image:x docker://$plain/app:1
echo "ok: skopeo pushes with the credentials that hardtack kept"

"$HARDTACK" logout $plain > logout.out
contains "the logout is told" logout.out "$HOME/.docker/config.json"
"$HARDTACK" logout $plain > logout.out
contains "there is nothing left to remove" logout.out "there were no credentials"
refused "without credentials nothing is pushed" "unauthorized" \
    skopeo copy --quiet --dest-tls-verify=false oci:image:x docker://$plain/app:2

# Where the user's files say: a file of the environment, a helper.
REGISTRY_AUTH_FILE=$WORK/auth.json "$HARDTACK" login -u anna --password-stdin $plain <<< 'pa:ss' > login.out
contains "a file of the environment is used" login.out "$WORK/auth.json"
REGISTRY_AUTH_FILE=$WORK/auth.json skopeo inspect --tls-verify=false docker://$plain/app:1 > inspect.out
contains "skopeo reads it" inspect.out '"amd64"'

cat > bin/docker-credential-test << 'END'
#!/bin/sh
case $1 in
    get) cat > /dev/null; cat "$HOME/kept" 2> /dev/null || { echo "credentials not found in native keychain"; exit 1; } ;;
    store) cat > "$HOME/kept" ;;
    erase) cat > /dev/null; rm -f "$HOME/kept" ;;
esac
END
chmod +x bin/docker-credential-test
mkdir -p "$HOME/.docker"
echo '{"credsStore": "test", "psFormat": "kept"}' > "$HOME/.docker/config.json"
PATH=$WORK/bin:$PATH "$HARDTACK" login -u anna --password-stdin $plain <<< 'pa:ss' > login.out
contains "a helper keeps the password" "$HOME/kept" '"Secret":"pa:ss"'
contains "what else the file says stays" "$HOME/.docker/config.json" psFormat
! grep -q '"auth"' "$HOME/.docker/config.json" || fail "the password is in the file too"
PATH=$WORK/bin:$PATH "$HARDTACK" logout $plain > /dev/null
[ ! -e "$HOME/kept" ] || fail "the helper still has the password"
rm "$HOME/.docker/config.json"

# Encryption.
cat > leaf.ext << 'END'
subjectAltName=IP:127.0.0.1
basicConstraints=CA:FALSE
END
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=authority 2> /dev/null
openssl req -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.csr -subj /CN=leaf 2> /dev/null
openssl x509 -req -in leaf.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile leaf.ext -out leaf.crt 2> /dev/null
secure=127.0.0.1:5178
start_locked_registry secure 5178 "  tls: { certificate: $WORK/leaf.crt, key: $WORK/leaf.key }"
login() { "$HARDTACK" login -u anna --password-stdin "$@" <<< 'pa:ss'; }
refused "an unknown authority is not trusted" "--registry-ca FILE" login $secure
login --registry-ca ca.crt $secure > /dev/null
HARDTACK_REGISTRY_CA=$WORK/ca.crt login $secure > /dev/null
login --insecure-registry $secure $secure > /dev/null
mkdir -p "$HOME/.config/containers/certs.d/$secure"
cp ca.crt "$HOME/.config/containers/certs.d/$secure/"
login $secure > /dev/null
echo "ok: certificates are trusted as the user says"

# The same registry by a name that is not loopback.
other=0.0.0.0:5177
refused "plain HTTP is for loopback only" "--insecure-registry $other" login $other
HARDTACK_INSECURE_REGISTRIES=$other login $other > /dev/null
echo "ok: plain HTTP is allowed where the user says"

refused "a missing file is named" "missing.pem" login --registry-ca missing.pem $secure
refused "what is no mirror is told" "HOST=URL" login --registry-mirror x $secure
