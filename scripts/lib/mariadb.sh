# shellcheck shell=bash
# MariaDB as Debian packages it, for the MySQL protocol: an instance of its own, loopback only. Its root has no password; the
# program comes as a user who has what it needs and no more.

readonly MARIADB_NAME=millrace
readonly MARIADB_PASSWORD=millrace

mariadb_port() { echo 13306; }

mariadb_install() { need mariadbd mariadb-server; }

# The rights that docs/database.md names, on this database and on those that the tests make.
mariadb_accounts() {
  cat <<SQL
CREATE USER IF NOT EXISTS root@127.0.0.1 IDENTIFIED BY '';
GRANT ALL PRIVILEGES ON *.* TO root@127.0.0.1 WITH GRANT OPTION;
CREATE USER IF NOT EXISTS $MARIADB_NAME@127.0.0.1 IDENTIFIED BY '$MARIADB_PASSWORD';
CREATE DATABASE IF NOT EXISTS $MARIADB_NAME;
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX ON \`$MARIADB_NAME\`.* TO $MARIADB_NAME@127.0.0.1;
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX ON \`e2e%\`.* TO $MARIADB_NAME@127.0.0.1;
SQL
}

mariadb_start() { mariadb_launch mariadb; }

# mariadb_launch NAME OPTION...: the options of InnoDB's files are needed when the data is made, too.
mariadb_launch() {
  local name=$1 user home
  shift
  user=$(user_or_self mysql)
  make_home "$name" "$user"
  home=$(home_of "$name")
  if [[ ! -d $home/data ]]; then
    rm -rf "$home/data.new"
    run_as "$user" mariadb-install-db --no-defaults --datadir="$home/data.new" --skip-test-db \
      --auth-root-authentication-method=normal "$@" >"$STATE/$name.log" 2>&1 9>&- ||
      { show_log "$name"; die 69 "$name: mariadb-install-db failed"; }
    # A rename, so that an interrupted run is not taken for data.
    mv "$home/data.new" "$home/data"
  fi
  mariadb_accounts >"$home/accounts.sql"
  local quick=()
  is_durable || quick=(--innodb-flush-method=nosync --sync-frm=0)
  launch "$name" "$user" mariadbd --no-defaults --datadir="$home/data" --socket="$home/mariadb.sock" \
    --pid-file="$home/mariadb.pid" --bind-address=127.0.0.1 --port="$(port_of "$name")" --skip-name-resolve \
    --init-file="$home/accounts.sql" "${quick[@]}" "$@"
}

# Whether the accounts of the init file are there, which is read last.
mariadb_ready() {
  timeout 5 mariadb --no-defaults --protocol=TCP -h 127.0.0.1 -P "$1" -u "$MARIADB_NAME" -p"$MARIADB_PASSWORD" \
    -e 'SELECT 1' "$MARIADB_NAME"
}

# mariadb_urls NAME PROGRAM ROOT: the addresses as these variables.
mariadb_urls() {
  echo "$2=mysql://$MARIADB_NAME:$MARIADB_PASSWORD@127.0.0.1:$(port_of "$1")/$MARIADB_NAME"
  echo "$3=mysql://root@127.0.0.1:$(port_of "$1")/$MARIADB_NAME"
}

mariadb_env() { mariadb_urls mariadb DATABASE_CONSUMER_URL MARIADB_ROOT_URL; }

# All tables lie in one file, which grows to 40 MB and no further: a full disk.
mariadb_small_port() { echo 13307; }
mariadb_small_install() { mariadb_install; }
mariadb_small_start() {
  mariadb_launch mariadb_small --innodb-data-file-path=ibdata1:12M:autoextend:max:40M --innodb-file-per-table=0 \
    --innodb-log-file-size=8M --innodb-buffer-pool-size=16M --innodb-autoextend-increment=1
}
mariadb_small_ready() { mariadb_ready "$1"; }
mariadb_small_env() { mariadb_urls mariadb_small MARIADB_SMALL_URL MARIADB_SMALL_ROOT_URL; }
