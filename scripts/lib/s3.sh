# shellcheck shell=bash
# An S3 server for tests: moto from PyPI, in an environment of its own. It keeps buckets in memory.

readonly MOTO_VERSION=5.2.5

s3_port() { echo 15000; }

s3_install() {
  local target=$CACHE/moto-$MOTO_VERSION part
  [[ -d $target ]] && return
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
  say "installing moto $MOTO_VERSION"
  part=$(new_part)
  { python3 -m venv "$part/venv" && "$part/venv/bin/python" -m pip install --quiet "moto[server]==$MOTO_VERSION"; } \
    </dev/null >&2 9>&- || die 69 "moto $MOTO_VERSION could not be had: pip install failed"
  move_into_place "$part/venv" "$target"
  rm -rf "$part"
}

s3_start() {
  make_home s3 "$(id -un)"
  # By the interpreter: the programs of an environment name the folder that it was made in.
  launch s3 "$(id -un)" "$CACHE/moto-$MOTO_VERSION/bin/python" -m moto.server -H 127.0.0.1 -p "$(port_of s3)"
}

s3_ready() { curl -fsS --noproxy '*' --max-time 5 "http://127.0.0.1:$1/moto-api/data.json"; }

s3_env() { echo "S3_ENDPOINT=http://127.0.0.1:$(port_of s3)"; }
