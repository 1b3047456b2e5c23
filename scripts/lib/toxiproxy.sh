# shellcheck shell=bash
# Toxiproxy: slow and cut links. Its proxies are made over its API by whoever needs them.

readonly TOXIPROXY_VERSION=2.5.0

toxiproxy_port() { echo 18474; }

toxiproxy_install() {
  local target=$CACHE/toxiproxy-$TOXIPROXY_VERSION part
  [[ -d $target ]] && return
  need go golang-go
  say "building toxiproxy $TOXIPROXY_VERSION"
  part=$(new_part)
  mkdir "$part/bin"
  GOBIN=$part/bin go install "github.com/Shopify/toxiproxy/v2/cmd/server@v$TOXIPROXY_VERSION" </dev/null >&2 2>/dev/null 9>&- ||
    die 69 "toxiproxy $TOXIPROXY_VERSION could not be built: go install failed"
  move_into_place "$part/bin" "$target"
  rm -rf "$part"
}

toxiproxy_start() {
  make_home toxiproxy "$(id -un)"
  launch toxiproxy "$(id -un)" "$CACHE/toxiproxy-$TOXIPROXY_VERSION/server" -host 127.0.0.1 -port "$(port_of toxiproxy)"
}

toxiproxy_ready() { curl -fsS --noproxy '*' --max-time 5 "http://127.0.0.1:$1/version"; }

toxiproxy_env() { echo "TOXIPROXY_URL=http://127.0.0.1:$(port_of toxiproxy)"; }
