# shellcheck shell=bash
# Redis, with an append-only file: what it acknowledged survives a stop and a kill.

redis_port() { echo 16379; }

redis_install() { need redis-server redis-server; }

redis_start() {
  make_home redis "$(id -un)"
  launch redis "$(id -un)" redis-server --port "$(port_of redis)" --bind 127.0.0.1 --dir "$(home_of redis)" \
    --save '' --appendonly yes --daemonize no
}

# "+PONG" in hex.
redis_ready() { [[ $(exchange "$1" 'PING\r\n' 5) == 2b504f4e47 ]]; }

redis_env() { echo "REDIS_URL=redis://127.0.0.1:$(port_of redis)/0"; }
