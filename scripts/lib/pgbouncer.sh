# shellcheck shell=bash
# PgBouncer as Debian packages it, before the PostgreSQL of this checkout: it pools transactions, and is stock otherwise.

pgbouncer_port() { echo 16432; }

pgbouncer_install() {
  [[ -x /usr/sbin/pgbouncer ]] || apt_install pgbouncer
}

pgbouncer_start() { pgbouncer_launch pgbouncer ''; }

# Every database of the server, under its own name; who connects is believed. The database by_statement is one whose
# statements are pooled.
pgbouncer_launch() {
  local name=$1 more=$2 user home
  user=$(user_or_self postgres)
  make_home "$name" "$user"
  home=$(home_of "$name")
  cat >"$home/pgbouncer.ini" <<INI
[databases]
by_statement = host=127.0.0.1 port=$(port_of postgres) user=$POSTGRES_NAME dbname=$POSTGRES_NAME pool_mode=statement
* = host=127.0.0.1 port=$(port_of postgres) user=$POSTGRES_NAME
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $(port_of "$name")
unix_socket_dir = $home
auth_type = any
pool_mode = transaction
$more
INI
  launch "$name" "$user" /usr/sbin/pgbouncer "$home/pgbouncer.ini"
}

pgbouncer_ready() {
  timeout 5 "$(postgres_bin)/psql" -h 127.0.0.1 -p "$1" -U "$POSTGRES_NAME" -d "$POSTGRES_NAME" -XtAc 'SELECT 1'
}

pgbouncer_env() {
  echo "PGBOUNCER_URL=postgresql://$POSTGRES_NAME@127.0.0.1:$(port_of pgbouncer)/$POSTGRES_NAME"
  echo "PGBOUNCER_SOCKET=$(home_of pgbouncer)"
}

# The same as most who met drivers that ask for more than it knows set it up.
pgbouncer_lenient_port() { echo 16433; }
pgbouncer_lenient_install() { pgbouncer_install; }
pgbouncer_lenient_start() { pgbouncer_launch pgbouncer_lenient 'ignore_startup_parameters = extra_float_digits,options'; }
pgbouncer_lenient_ready() { pgbouncer_ready "$1"; }
pgbouncer_lenient_env() {
  echo "PGBOUNCER_LENIENT_URL=postgresql://$POSTGRES_NAME@127.0.0.1:$(port_of pgbouncer_lenient)/$POSTGRES_NAME"
}
