#!/usr/bin/env bash
# Secrets come from AWS Secrets Manager (moto stands in for it), and nothing that is shown or kept
# has them.
. "$(dirname "$0")/../lib.sh"

copy_templates "$WORK/repo"
moto=${MOTO_SERVER:-/opt/hardtack-tests/bin/moto_server}
[ -x "$moto" ] || fail "there is no $moto; tests/setup.sh installs it"

port=$((20000 + RANDOM % 20000))
"$moto" --host 127.0.0.1 --port $port > "$WORK/moto.log" 2>&1 &
moto_pid=$!
at_exit+=("kill $moto_pid")
export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_REGION=eu-central-1
export AWS_ACCESS_KEY_ID=AKIDEXAMPLE AWS_SECRET_ACCESS_KEY=example
for _ in $(seq 100); do
    curl --silent --fail --output "$WORK/up" "$AWS_ENDPOINT_URL/moto-api/" && break
    sleep 0.2
done

# secret NAME TEXT: puts a secret into the store.
secret() {
    jq --null-input --compact-output --arg name "$1" --arg text "$2" \
        '{Name: $name, SecretString: $text, ClientRequestToken: "00000000-0000-0000-0000-000000000000"}' \
        | curl --silent --fail --output "$WORK/created" --data @- \
            --header 'Content-Type: application/x-amz-json-1.1' \
            --header 'X-Amz-Target: secretsmanager.CreateSecret' \
            --header "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-central-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=0" \
            "$AWS_ENDPOINT_URL/"
}
secret app/database '{"user":"admin-of-app","password":"hunter-2-hunter"}'
secret app/token 'plain-t0ken'

mkdir template
cat > template/secrets.pkr.hcl << 'TEMPLATE'
source "oci" "busybox" {
  layout = "${path.root}/../repo/fixtures/busybox"
}

locals {
  password = aws_secretsmanager("app/database", "password")
  token    = aws_secretsmanager("app/token")
  user     = jsondecode(aws_secretsmanager_raw("app/database")).user
}

build {
  sources = ["source.oci.busybox"]

  provisioner "shell" {
    env    = { PASSWORD = local.password, TOKEN = local.token, LOGIN = local.user }
    inline = [
      "echo \"it is $PASSWORD $TOKEN $LOGIN\"",
      "echo \"$PASSWORD $TOKEN $LOGIN\" | sha256sum > /sum",
      "true ${local.token}",
    ]
  }
}
TEMPLATE

build "$WORK/store" "$WORK/metadata" template || fail "the build with secrets"
equal "the step has the secrets" \
    "$(echo 'hunter-2-hunter plain-t0ken admin-of-app' | sha256sum)" \
    "$("$HARDTACK" run --store "$WORK/store" oci.busybox -- cat /sum)"
contains "they are masked in what a step prints" metadata.err \
    'it is <sensitive> <sensitive> <sensitive>'
"$HARDTACK" plan template > plan.out 2>&1 || fail "plan"
for text in hunter-2-hunter plain-t0ken admin-of-app; do
    ! grep -r --binary-files=text --fixed-strings --files-with-matches "$text" \
        "$WORK/store" metadata metadata.err metadata.out plan.out \
        || fail "$text is shown or kept"
done
echo "ok: nothing shown or kept has them"

# What is wrong is told with its place and what to do.
sed 's/"app\/token"/"app\/nothing"/' template/secrets.pkr.hcl > wrong.pkr.hcl
! "$HARDTACK" plan wrong.pkr.hcl > wrong 2>&1 || fail "a secret that is not there"
contains "a missing secret" wrong 'refuses the secret "app/nothing": ResourceNotFoundException'
contains "its place" wrong 'wrong.pkr.hcl:7:'
! env -u AWS_REGION "$HARDTACK" plan template > wrong 2>&1 || fail "no region"
contains "a missing region" wrong 'help: set AWS_REGION'
kill $moto_pid
! "$HARDTACK" plan template > wrong 2>&1 || fail "a server that is down"
contains "a server that is down" wrong "cannot ask $AWS_ENDPOINT_URL"
