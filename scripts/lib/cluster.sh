# shellcheck shell=bash
# What the fault suite needs to run on three brokers and three search nodes.

# Redis, PostgreSQL and the proxies stay single.
readonly CLUSTER_SERVICES=(kafka_broker1 kafka_broker2 kafka_broker3 elasticsearch_node1 elasticsearch_node2 elasticsearch_node3
  redis postgres toxiproxy)

# Every address is a list of three. HAProxy is started by the scenario that needs it; MongoDB is an end of a link that nobody uses.
cluster_environment() {
  local line
  while IFS= read -r line; do export "${line?}"; done < <(scripts/services env "${CLUSTER_SERVICES[@]}" haproxy mongodb)
  export KAFKA_BOOTSTRAP_SERVERS=$KAFKA_CLUSTER_BOOTSTRAP_SERVERS ELASTICSEARCH_URL=$ELASTICSEARCH_CLUSTER_URL
}
