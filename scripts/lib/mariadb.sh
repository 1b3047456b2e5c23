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

mariadb_start() {
  local user home
  user=$(user_or_self mysql)
  make_home mariadb "$user"
  home=$(home_of mariadb)
  if [[ ! -d $home/data ]]; then
    rm -rf "$home/data.new"
    run_as "$user" mariadb-install-db --no-defaults --datadir="$home/data.new" --skip-test-db \
      --auth-root-authentication-method=normal >"$STATE/mariadb.log" 2>&1 9>&- ||
      { show_log mariadb; die 69 "mariadb: mariadb-install-db failed"; }
    # A rename, so that an interrupted run is not taken for data.
    mv "$home/data.new" "$home/data"
  fi
  mariadb_accounts >"$home/accounts.sql"
  local quick=()
  is_durable || quick=(--innodb-flush-method=nosync --sync-frm=0)
  launch mariadb "$user" mariadbd --no-defaults --datadir="$home/data" --socket="$home/mariadb.sock" \
    --pid-file="$home/mariadb.pid" --bind-address=127.0.0.1 --port="$(port_of mariadb)" --skip-name-resolve \
    --init-file="$home/accounts.sql" "${quick[@]}"
}

# Whether the accounts of the init file are there, which is read last.
mariadb_ready() {
  timeout 5 mariadb --no-defaults --protocol=TCP -h 127.0.0.1 -P "$1" -u "$MARIADB_NAME" -p"$MARIADB_PASSWORD" \
    -e 'SELECT 1' "$MARIADB_NAME"
}

mariadb_env() {
  echo "DATABASE_CONSUMER_URL=mysql://$MARIADB_NAME:$MARIADB_PASSWORD@127.0.0.1:$(port_of mariadb)/$MARIADB_NAME"
  echo "MARIADB_ROOT_URL=mysql://root@127.0.0.1:$(port_of mariadb)/$MARIADB_NAME"
}
