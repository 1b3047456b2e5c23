# shellcheck shell=bash
# An Elasticsearch cluster of three small nodes, and HAProxy in front of them.

readonly ELASTICSEARCH_NODE_NAMES=(elasticsearch_node1 elasticsearch_node2 elasticsearch_node3)

elasticsearch_node1_port() { echo 19211; }
elasticsearch_node1_install() { elasticsearch_install; }
elasticsearch_node1_start() { elasticsearch_node_start elasticsearch_node1; }
elasticsearch_node1_ready() { search_ready "$1"; }
elasticsearch_node1_env() { elasticsearch_nodes_env; }

elasticsearch_node2_port() { echo 19212; }
elasticsearch_node2_install() { elasticsearch_install; }
elasticsearch_node2_start() { elasticsearch_node_start elasticsearch_node2; }
elasticsearch_node2_ready() { search_ready "$1"; }
elasticsearch_node2_env() { elasticsearch_nodes_env; }

elasticsearch_node3_port() { echo 19213; }
elasticsearch_node3_install() { elasticsearch_install; }
elasticsearch_node3_start() { elasticsearch_node_start elasticsearch_node3; }
elasticsearch_node3_ready() { search_ready "$1"; }
elasticsearch_node3_env() { elasticsearch_nodes_env; }

elasticsearch_node_start() { ES_HEAP=${ES_NODE_HEAP:-400m} search_start "$1" elasticsearch-9.2.0.zip; }

# The port of the nodes' own protocol.
elasticsearch_transport() { echo $(($(port_of "$1") + 200)); }

# elasticsearch_node_settings NAME: how the nodes find each other.
elasticsearch_node_settings() {
  local name seeds='' names=''
  for name in "${ELASTICSEARCH_NODE_NAMES[@]}"; do
    seeds+=${seeds:+, }\"127.0.0.1:$(elasticsearch_transport "$name")\"
    names+=${names:+, }$name
  done
  cat <<CONF
transport.port: $(elasticsearch_transport "$1")
discovery.seed_hosts: [$seeds]
cluster.initial_master_nodes: [$names]
# A node that was killed is missed soon.
cluster.fault_detection.follower_check.interval: 500ms
cluster.fault_detection.follower_check.timeout: 2s
cluster.fault_detection.leader_check.interval: 500ms
cluster.fault_detection.leader_check.timeout: 2s
CONF
}

elasticsearch_nodes_env() {
  local name list=''
  for name in "${ELASTICSEARCH_NODE_NAMES[@]}"; do list+=${list:+,}http://127.0.0.1:$(port_of "$name"); done
  echo "ELASTICSEARCH_CLUSTER_URL=$list"
}

# A balancer that asks its backends in turn, one after the other, and neither checks them nor tries again: what a backend does
# wrong is seen by the client. HAPROXY_BACKENDS names them (HOST:PORT, separated by spaces); the default is the three nodes.
haproxy_port() { echo 19280; }
haproxy_install() { need haproxy haproxy; }

haproxy_start() {
  local home number=0 backend name backends=${HAPROXY_BACKENDS-}
  make_home haproxy "$(id -un)"
  home=$(home_of haproxy)
  if [[ -z $backends ]]; then
    for name in "${ELASTICSEARCH_NODE_NAMES[@]}"; do backends+=" 127.0.0.1:$(port_of "$name")"; done
  fi
  {
    cat <<CONF
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  retries 0
  http-reuse never
frontend all
  bind 127.0.0.1:$(port_of haproxy)
  monitor-uri /haproxy
  default_backend nodes
backend nodes
  balance roundrobin
CONF
    for backend in $backends; do
      number=$((number + 1))
      echo "  server node$number $backend"
    done
  } >"$home/haproxy.cfg"
  launch haproxy "$(id -un)" "$(command -v haproxy)" -db -f "$home/haproxy.cfg"
}

haproxy_ready() { curl -fsS --noproxy '*' --max-time 5 "http://127.0.0.1:$1/haproxy"; }
haproxy_env() { echo "HAPROXY_URL=http://127.0.0.1:$(port_of haproxy)"; }
