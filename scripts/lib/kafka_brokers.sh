# shellcheck shell=bash
# A Kafka cluster of three brokers, each a controller as well; every topic has three replicas of which two must agree.

readonly KAFKA_BROKERS_CLUSTER_ID=bWlsbHJhY2UtdGVzdHMwMw
readonly KAFKA_BROKER_NAMES=(kafka_broker1 kafka_broker2 kafka_broker3)

kafka_broker1_port() { echo 19110; }
kafka_broker1_install() { kafka_install; }
kafka_broker1_start() { kafka_broker_start 1; }
kafka_broker1_ready() { kafka_broker_ready "$1"; }
kafka_broker1_env() { kafka_brokers_env; }

kafka_broker2_port() { echo 19120; }
kafka_broker2_install() { kafka_install; }
kafka_broker2_start() { kafka_broker_start 2; }
kafka_broker2_ready() { kafka_broker_ready "$1"; }
kafka_broker2_env() { kafka_brokers_env; }

kafka_broker3_port() { echo 19130; }
kafka_broker3_install() { kafka_install; }
kafka_broker3_start() { kafka_broker_start 3; }
kafka_broker3_ready() { kafka_broker_ready "$1"; }
kafka_broker3_env() { kafka_brokers_env; }

# Beside the client's port: the controller's, and the one of whoever comes by a proxy.
kafka_broker_start() {
  local id=$1 name=kafka_broker$1 home port voters='' other controller
  make_home "$name" "$(id -un)"
  home=$(home_of "$name")
  port=$(port_of "$name")
  for other in 1 2 3; do
    controller=$(($(port_of "kafka_broker$other") + 1))
    voters+=${voters:+,}$other@127.0.0.1:$controller
  done
  cat >"$home/kraft.properties" <<CONF
process.roles=broker,controller
node.id=$id
controller.quorum.voters=$voters
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1)),PROXIED://127.0.0.1:$((port + 2))
advertised.listeners=PLAINTEXT://127.0.0.1:$port,PROXIED://127.0.0.1:$((port + 3))
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=$home/data
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=6
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
# A broker that was killed is missed soon.
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
CONF
  kafka_launch "$name" "$KAFKA_BROKERS_CLUSTER_ID" -Xms256m -Xmx384m
}

kafka_brokers_running() {
  local name running=0
  for name in "${KAFKA_BROKER_NAMES[@]}"; do if is_running "$name"; then running=$((running + 1)); fi; done
  echo "$running"
}

# Its answer to a metadata request (version 1, no topics) lists at least as many brokers as run.
kafka_broker_ready() {
  local answer running
  running=$(kafka_brokers_running)
  answer=$(exchange "$1" '\0\0\0\016\0\003\0\001\0\0\0\001\377\377\0\0\0\0' 12)
  # Length, correlation id 1, number of brokers.
  [[ $answer == ????????00000001???????? ]] && ((16#${answer:16} >= running))
}

kafka_brokers_env() {
  local name list=''
  for name in "${KAFKA_BROKER_NAMES[@]}"; do list+=${list:+,}127.0.0.1:$(port_of "$name"); done
  echo "KAFKA_CLUSTER_BOOTSTRAP_SERVERS=$list"
}
