# shellcheck shell=bash
# What every service needs: installing, launching, signalling, waiting. Sourced by scripts/services.

CHECKOUT=$(dirname -- "$SCRIPTS")
readonly CHECKOUT
readonly STATE=$CHECKOUT/.services
readonly CACHE=${MILLRACE_SERVICES_CACHE:-$HOME/.cache/millrace/services}
# Where a service's data goes when its user cannot enter the checkout.
readonly ELSEWHERE=/var/lib/millrace-services

say() { printf 'services: %s\n' "$*" >&2; }

die() {
  local code=$1
  shift
  printf 'services: error: %s\n' "$*" >&2
  exit "$code"
}

check_name() {
  local known
  for known in "${ALL[@]}"; do [[ $1 == "$known" ]] && return; done
  die 64 "unknown service $1; the names are: ${ALL[*]}"
}

# One change at a time a checkout. Launched services close fd 9, or they would hold the lock for good.
lock_checkout() {
  mkdir -p "$STATE"
  exec 9>"$STATE/lock"
  flock -w 600 9 || die 69 "another scripts/services has held $STATE/lock for ten minutes"
}

# ---- ports ----

# While a service runs, and after a kill, its port is the one it was started with; then the variable, then the default.
port_of() {
  local name=$1 variable=MILLRACE_SERVICES_PORT_${1^^}
  if is_running "$name" && [[ -s $STATE/$name.port ]]; then
    cat "$STATE/$name.port"
  elif [[ -n ${!variable-} ]]; then
    echo "${!variable}"
  elif [[ -s $STATE/$name.port ]]; then
    cat "$STATE/$name.port"
  else
    "${name}_port"
  fi
}

port_is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

require_free_ports() {
  local name=$1 port who
  port=$(port_of "$name")
  local ports=("$port")
  # Kafka's controller and its other listeners are beside the first.
  [[ $name == kafka_sasl ]] && ports+=("$((port + 1))" "$((port + 2))" "$((port + 3))")
  [[ $name == kafka || $name == kafka_broker? ]] && ports+=("$((port + 1))" "$((port + 2))")
  [[ $name == elasticsearch_node? ]] && ports+=("$(elasticsearch_transport "$name")")
  for port in "${ports[@]}"; do
    port_is_taken "$port" || continue
    who=$(ss -ltnpH "sport = :$port" 2>/dev/null | grep -o '"[^"]*",pid=[0-9]*' | head -n 1 || true)
    die 69 "port $port, wanted for $name, is taken by something else${who:+ ($who)};" \
      "stop it, or set MILLRACE_SERVICES_PORT_${name^^} to another port"
  done
  echo "${ports[0]}" >"$STATE/$name.port"
}

# ---- processes ----

# "STATE STARTTIME" of a live process. The start time tells our process from a later one with the same number.
process_facts() {
  local line fields
  # Not $(<file): where the file is gone, that ends the whole script.
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  # The command name in parentheses may hold anything; what follows the last one is regular.
  read -ra fields <<<"${line##*) }"
  [[ ${fields[0]} != [ZX] ]] && echo "${fields[0]} ${fields[19]}"
}

is_alive() { process_facts "$1" >/dev/null; }

pid_of() {
  local pid
  read -r pid _ <"$STATE/$1.pid"
  echo "$pid"
}

is_running() {
  local pid started facts
  { read -r pid started <"$STATE/$1.pid"; } 2>/dev/null || return 1
  facts=$(process_facts "$pid") || return 1
  [[ ${facts#* } == "$started" ]]
}

is_paused() { [[ $(process_facts "$(pid_of "$1")") == T* ]]; }

forget_if_dead() { is_running "$1" || rm -f "$STATE/$1.pid"; }

# A process and all below it: Elasticsearch is a launcher with the engine as its child, PostgreSQL a process a connection.
tree_of() {
  local child
  echo "$1"
  for child in $(pgrep -P "$1" || true); do tree_of "$child"; done
}

signal_all() {
  local signal=$1 pid
  shift
  for pid in "$@"; do kill -s "$signal" "$pid" 2>/dev/null || true; done
}

pause_tree() {
  local pid before after=''
  pid=$(pid_of "$1")
  # Again until the tree stands still: a child may have been born between the look and the signal.
  while before=$after; after=$(tree_of "$pid"); [[ $before != "$after" ]]; do
    # shellcheck disable=SC2086
    signal_all STOP $after
  done
}

resume_tree() {
  # shellcheck disable=SC2046
  signal_all CONT $(tree_of "$(pid_of "$1")")
}

wait_until_gone() {
  local deadline=$((SECONDS + $1)) pid
  shift
  for pid in "$@"; do
    while is_alive "$pid"; do
      ((SECONDS < deadline)) || return 1
      sleep 0.1
    done
  done
}

kill_tree() {
  local pids
  # Frozen first, so that nothing is born or tidied up while the signals go out.
  pause_tree "$1"
  mapfile -t pids < <(tree_of "$(pid_of "$1")")
  signal_all KILL "${pids[@]}"
  wait_until_gone 20 "${pids[@]}" || die 69 "$1 (pid ${pids[0]}) outlives SIGKILL"
  rm -f "$STATE/$1.pid"
}

stop() {
  local name=$1 signal=TERM pids
  # PostgreSQL waits for its clients on SIGTERM; SIGINT is its orderly stop that does not.
  [[ $name == postgres ]] && signal=INT
  # The last broker of a cluster waits for a controller that lets it go, and there is none without a majority.
  if [[ $name == kafka_broker? ]] && (($(kafka_brokers_running) < 2)); then signal=KILL; fi
  if is_running "$name"; then
    mapfile -t pids < <(tree_of "$(pid_of "$name")")
    resume_tree "$name"
    signal_all "$signal" "${pids[0]}"
    if ! wait_until_gone 30 "${pids[@]}"; then
      say "$name does not stop on SIG$signal, killing it"
      signal_all KILL "${pids[@]}"
      wait_until_gone 20 "${pids[@]}" || die 69 "$name (pid ${pids[0]}) outlives SIGKILL"
    fi
    say "$name is stopped"
  fi
  rm -f "$STATE/$name.pid" "$STATE/$name.port"
}

# launch NAME USER COMMAND...: in a session of its own, in the service's home, output to .services/NAME.log.
launch() {
  local name=$1 user=$2 home pid facts
  shift 2
  home=$(home_of "$name")
  [[ -f $STATE/$name.log ]] && mv -f "$STATE/$name.log" "$STATE/$name.log.1"
  local as_user
  mapfile -t as_user < <(prefix_for "$user")
  # setsid and setpriv both become the command, so that $! is the service itself.
  (cd "$home" && exec setsid "${as_user[@]}" env HOME="$home" "$@") >"$STATE/$name.log" 2>&1 </dev/null 9>&- &
  pid=$!
  facts=$(process_facts "$pid") || facts='gone 0'
  echo "$pid ${facts#* }" >"$STATE/$name.pid"
}

wait_until_ready() {
  local name=$1 limit=120 deadline
  deadline=$((SECONDS + limit))
  until "${name}_ready" "$(port_of "$name")" >/dev/null 2>&1; do
    if ! is_running "$name"; then
      show_log "$name"
      die 69 "$name ended before it answered on port $(port_of "$name")"
    elif ((SECONDS >= deadline)); then
      show_log "$name"
      kill_tree "$name"
      die 69 "$name did not answer on port $(port_of "$name") within $limit s and was stopped"
    fi
    sleep 0.3
  done
}

show_log() {
  say "the end of $STATE/$1.log:"
  tail -n 40 "$STATE/$1.log" >&2 || true
}

# ---- users and places ----

# As root a service gets a user of its own, made when it is not there; anybody else runs everything as themselves.
user_or_self() {
  if [[ $EUID -ne 0 ]]; then
    id -un
    return
  fi
  id -u "$1" >/dev/null 2>&1 || useradd --system --user-group --no-create-home --shell /usr/sbin/nologin "$1"
  echo "$1"
}

# The words that make a command run as USER, one a line; none when that is who we are.
prefix_for() {
  [[ $1 == "$(id -un)" ]] && return
  printf '%s\n' setpriv --reuid "$(id -u "$1")" --regid "$(id -g "$1")" --init-groups
}

run_as() {
  local user=$1 as_user
  shift
  mapfile -t as_user < <(prefix_for "$user")
  "${as_user[@]}" "$@"
}

home_of() { readlink -f -- "$STATE/$1"; }

# Makes .services/NAME for USER; a link to a place outside when the user cannot get into the checkout.
make_home() {
  local name=$1 user=$2 home=$STATE/$1
  if [[ ! -d $home ]]; then
    if (cd / && run_as "$user" test -x "$STATE"); then
      rm -f "$home"
      mkdir -p "$home"
    else
      mkdir -p -m 755 "$ELSEWHERE"
      ln -sfn "$(mktemp -d "$ELSEWHERE/$name.XXXXXX")" "$home"
      say "user $user cannot enter $STATE, the data of $name goes to $(home_of "$name")"
    fi
    chmod 755 "$(home_of "$name")"
  fi
  chown "$user" "$(home_of "$name")"
}

wipe_data() {
  local name=$1
  [[ -e $STATE/$name ]] && rm -rf -- "$(home_of "$name")"
  rm -rf -- "${STATE:?}/$name" "$STATE/$name.log" "$STATE/$name.log.1"
}

# ---- installing ----

# need COMMAND PACKAGE...: installs the packages when the command is missing.
need() {
  local command=$1
  shift
  command -v "$command" >/dev/null || apt_install "$@"
}

apt_install() {
  [[ $EUID -eq 0 ]] || die 69 "missing: install the packages $* (apt-get install $*), or run as root"
  say "installing $*"
  local policy=/usr/sbin/policy-rc.d code=0
  # Debian starts a packaged server on its default port; 101 says no, for this installation only.
  if [[ -e $policy ]]; then policy=''; else printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"; fi
  apt_get install "$@" || { apt_get update && apt_get install "$@"; } || code=$?
  [[ -z $policy ]] || rm -f "$policy"
  ((code == 0)) || die 69 "could not install $*"
}

apt_get() { DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends "$@" >/dev/null </dev/null 9>&-; }

# The newest JDK under /usr/lib/jvm that is at least MAJOR.
jdk_at_least() {
  local release major best='' best_major=0
  for release in /usr/lib/jvm/*/release; do
    [[ -x ${release%/release}/bin/java ]] || continue
    major=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$release")
    if ((${major:-0} >= $1 && ${major:-0} > best_major)); then best=${release%/release} best_major=$major; fi
  done
  [[ -n $best ]] && echo "$best"
}

need_jdk() {
  jdk_at_least "$1" >/dev/null && return
  apt_install default-jdk-headless
  jdk_at_least "$1" >/dev/null || die 69 "a JDK $1 or newer is needed under /usr/lib/jvm, and apt has none"
}

maven() {
  need mvn maven
  mvn --batch-mode --quiet --no-transfer-progress "$@" </dev/null >&2 9>&-
}

readonly DEPENDENCY_PLUGIN=org.apache.maven.plugins:maven-dependency-plugin:3.8.1

# fetch_jars TARGET GROUP:ARTIFACT:VERSION...: the jars and all they depend on, into the folder CACHE/TARGET.
fetch_jars() {
  local target=$CACHE/$1 part group artifact version coordinate
  shift
  [[ -d $target ]] && return
  say "downloading $*"
  part=$(new_part)
  {
    echo '<project><modelVersion>4.0.0</modelVersion><groupId>x</groupId><artifactId>x</artifactId><version>1</version><dependencies>'
    for coordinate in "$@"; do
      IFS=: read -r group artifact version <<<"$coordinate"
      echo "<dependency><groupId>$group</groupId><artifactId>$artifact</artifactId><version>$version</version></dependency>"
    done
    echo '</dependencies></project>'
  } >"$part/pom.xml"
  maven -f "$part/pom.xml" "$DEPENDENCY_PLUGIN:copy-dependencies" -DincludeScope=runtime -DoutputDirectory="$part/jars"
  move_into_place "$part/jars" "$target"
  rm -rf "$part"
}

# fetch_zip TARGET GROUP:ARTIFACT:VERSION: one zip as the file CACHE/TARGET.
fetch_zip() {
  local target=$CACHE/$1 coordinate=$2 part
  [[ -f $target ]] && return
  say "downloading $coordinate"
  part=$(new_part)
  maven "$DEPENDENCY_PLUGIN:copy" -Dartifact="$coordinate:zip" -DoutputDirectory="$part/zip"
  move_into_place "$part"/zip/*.zip "$target"
  rm -rf "$part"
}

new_part() {
  mkdir -p "$CACHE"
  mktemp -d "$CACHE/part.XXXXXX"
}

# A rename, so that a broken download is never taken for a whole one; whoever comes first of two checkouts wins.
move_into_place() { [[ -e $2 ]] || mv -T "$1" "$2" || [[ -e $2 ]]; }

# exchange PORT REQUEST COUNT: sends the bytes of a printf format, prints the first COUNT bytes of the answer in hex.
exchange() {
  # shellcheck disable=SC2016
  timeout 5 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1"; printf "$2" >&3; head -c "$3" <&3 | od -An -v -tx1 | tr -d " \n"' \
    exchange "$@"
}

# Whether the databases wait until their data is on the disk. A killed server loses nothing without it, a machine without power
# does; the many tables that tests make would hold up every other service that shares the disk.
is_durable() { [[ ${MILLRACE_SERVICES_DURABLE:-no} == yes ]]; }
