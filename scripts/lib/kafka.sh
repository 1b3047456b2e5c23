# shellcheck shell=bash
# Apache Kafka: one KRaft node, broker and controller in one process.

readonly KAFKA_VERSION=4.1.1
readonly KAFKA_JARS=kafka-$KAFKA_VERSION
# Any 16 bytes in base64url; the cluster is thrown away with its data.
readonly KAFKA_CLUSTER_ID=bWlsbHJhY2UtdGVzdHMwMQ
# More options for formatting a data folder.
KAFKA_FORMAT=()

kafka_port() { echo 19092; }

kafka_install() {
  need_jdk 17
  fetch_jars "$KAFKA_JARS" "org.apache.kafka:kafka_2.13:$KAFKA_VERSION" "org.apache.kafka:kafka-tools:$KAFKA_VERSION" \
    org.apache.logging.log4j:log4j-slf4j-impl:2.24.3
}

kafka_log_settings() {
  cat <<'CONF'
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c{1})%n
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
CONF
}

kafka_start() {
  local home port
  make_home kafka "$(id -un)"
  home=$(home_of kafka)
  port=$(port_of kafka)
  cat >"$home/kraft.properties" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
# Whoever comes by PROXIED is sent on to the port after it, where a proxy can stand in between.
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1)),PROXIED://127.0.0.1:$((port + 2))
advertised.listeners=PLAINTEXT://127.0.0.1:$port,PROXIED://127.0.0.1:$((port + 3))
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=$home/data
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
CONF
  kafka_launch kafka "$KAFKA_CLUSTER_ID" -Xms1g -Xmx1g
}

# kafka_launch NAME CLUSTER_ID JVM_OPTION...: formats the data folder once, then starts what kraft.properties describes.
kafka_launch() {
  local name=$1 cluster=$2 home java
  shift 2
  home=$(home_of "$name")
  java=$(jdk_at_least 17)/bin/java
  kafka_log_settings >"$home/log4j2.properties"
  local class_path=$CACHE/$KAFKA_JARS/'*' logging=-Dlog4j2.configurationFile=$home/log4j2.properties
  if [[ ! -f $home/data/meta.properties ]]; then
    "$java" "$logging" -cp "$class_path" kafka.tools.StorageTool format -t "$cluster" "${KAFKA_FORMAT[@]}" \
      -c "$home/kraft.properties" --ignore-formatted >"$STATE/$name.log" 2>&1 9>&- ||
      { show_log "$name"; die 69 "$name: formatting failed"; }
  fi
  launch "$name" "$(id -un)" "$java" "$@" "$logging" -cp "$class_path" kafka.Kafka "$home/kraft.properties"
}

# A metadata request (version 1, no topics): its answer lists the broker once the controller lets it take part.
kafka_ready() {
  local answer
  answer=$(exchange "$1" '\0\0\0\016\0\003\0\001\0\0\0\001\377\377\0\0\0\0' 12)
  # Length, correlation id 1, number of brokers 1.
  [[ $answer == ????????0000000100000001 ]]
}

kafka_env() { echo "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:$(port_of kafka)"; }
