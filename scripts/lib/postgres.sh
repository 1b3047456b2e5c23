# shellcheck shell=bash
# PostgreSQL as Debian packages it, with a cluster of its own; no password, loopback only, no Unix socket.

readonly POSTGRES_NAME=millrace

postgres_port() { echo 15432; }

# Debian keeps the server's programs off the PATH; the newest version wins.
postgres_bin() { find /usr/lib/postgresql/*/bin -name postgres -printf '%h\n' 2>/dev/null | sort -V | tail -n 1; }

postgres_install() {
  [[ -n $(postgres_bin) ]] && return
  # Keeps the package from making and starting a cluster on port 5432.
  if [[ $EUID -eq 0 && ! -e /etc/postgresql-common/createcluster.conf ]]; then
    mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  fi
  apt_install postgresql
}

postgres_start() {
  postgres_data postgres
  launch postgres "$(user_or_self postgres)" "$(postgres_bin)/postgres" "${postgres_options[@]}"
}

# postgres_data NAME: makes its data, and sets postgres_options.
postgres_data() {
  local name=$1 user home bin
  user=$(user_or_self postgres)
  make_home "$name" "$user"
  home=$(home_of "$name")
  bin=$(postgres_bin)
  if [[ ! -d $home/data ]]; then
    rm -rf "$home/data.new"
    (
      cd "$home"
      run_as "$user" "$bin/initdb" -D "$home/data.new" -A trust -U "$POSTGRES_NAME" -E UTF8 --no-locale
      echo "CREATE DATABASE $POSTGRES_NAME;" | run_as "$user" "$bin/postgres" --single -D "$home/data.new" postgres
    ) >"$STATE/$name.log" 2>&1 9>&- || { show_log "$name"; die 69 "$name: initdb failed"; }
    # Everybody is trusted save this user, who tests that a password is asked for.
    sed -i '1i host all guarded 127.0.0.1/32 scram-sha-256' "$home/data.new/pg_hba.conf"
    # A rename, so that an interrupted initdb is not taken for data.
    mv "$home/data.new" "$home/data"
  fi
  # After a kill the server refuses to start while its old process is still in the process table, dead or not.
  local old
  if { read -r old <"$home/data/postmaster.pid"; } 2>/dev/null && ! is_alive "$old"; then rm -f "$home/data/postmaster.pid"; fi
  postgres_options=(-D "$home/data" -p "$(port_of "$name")" -c listen_addresses=127.0.0.1 -c unix_socket_directories=
    -c fsync="$(is_durable && echo on || echo off)")
}

postgres_ready() {
  timeout 5 "$(postgres_bin)/psql" -h 127.0.0.1 -p "$1" -U "$POSTGRES_NAME" -d "$POSTGRES_NAME" -XtAc 'SELECT 1'
}

postgres_env() { echo "DATABASE_URL=postgresql://$POSTGRES_NAME@127.0.0.1:$(port_of postgres)/$POSTGRES_NAME"; }

# Beside its data it has a disk of 48 MB in memory, for table spaces. Only the server sees it, and it ends with the server.
postgres_small_port() { echo 15433; }
postgres_small_install() {
  [[ $EUID -eq 0 ]] || die 69 'postgres_small mounts a file system, for which it has to be root'
  postgres_install
}
postgres_small_start() {
  local user as_user mount
  user=$(user_or_self postgres)
  postgres_data postgres_small
  mapfile -t as_user < <(prefix_for "$user")
  mount='mkdir -p "$0" && mount -t tmpfs -o "size=48m,mode=700,uid=$(id -u "$1")" none "$0" && shift && exec "$@"'
  launch postgres_small "$(id -un)" unshare --mount sh -c "$mount" "$(home_of postgres_small)/small" "$user" \
    "${as_user[@]}" "$(postgres_bin)/postgres" "${postgres_options[@]}"
}
postgres_small_ready() { postgres_ready "$1"; }
postgres_small_env() {
  echo "POSTGRES_SMALL_URL=postgresql://$POSTGRES_NAME@127.0.0.1:$(port_of postgres_small)/$POSTGRES_NAME"
  echo "POSTGRES_SMALL_DISK=$(home_of postgres_small)/small"
}
