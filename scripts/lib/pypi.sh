# shellcheck shell=bash
# Tools that PyPI has built, each in exactly one version: to compile them takes minutes. Needs build.sh.

# pypi PACKAGE VERSION PROGRAM [ARGUMENT...]: runs a program of the package; installs it first, once.
pypi() {
  local package=$1 version=$2 program=$3
  shift 3
  local folder=${CARGO_TARGET_DIR:-target}/pypi/$package-$version
  if [[ ! -x $folder/bin/$program ]]; then
    packages python3-venv
    python3 -m venv "$folder"
    "$folder/bin/pip" --quiet --disable-pip-version-check install --only-binary :all: "$package==$version"
  fi
  "$folder/bin/$program" "$@"
}
