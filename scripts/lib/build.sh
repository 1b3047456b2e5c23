# shellcheck shell=bash
# What the compiler needs besides Rust: librdkafka is C, and links OpenSSL and zlib.

readonly BUILD_PACKAGES=(g++ libssl-dev make pkg-config zlib1g-dev)

build_prerequisites() { packages "${BUILD_PACKAGES[@]}"; }

# Tests run the official JavaScript clients of Algolia and Redis.
node_prerequisites() { command -v node >/dev/null && command -v npm >/dev/null || packages nodejs npm; }

# packages NAME...: installs what is missing of them.
packages() {
  local package missing=()
  command -v dpkg-query >/dev/null || return 0
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  if [[ $EUID -ne 0 ]]; then
    echo "missing: install ${missing[*]} (apt-get install ${missing[*]}), or run as root" >&2
    return 69
  fi
  apt-get -qq update >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}" >/dev/null
}
