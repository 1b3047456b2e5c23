# shellcheck shell=bash
# The search engines: Elasticsearch 9 (a small node as well) and 8, OpenSearch. All are the small build of Maven Central: the real engine, few modules.

readonly SEARCH_USER=millrace-services
readonly ELASTICSEARCH_ZIP=org.elasticsearch.distribution.integ-test-zip:elasticsearch
readonly OPENSEARCH_ZIP=org.opensearch.distribution.integ-test-zip:opensearch

elasticsearch_port() { echo 19200; }
elasticsearch_install() { search_install elasticsearch-9.2.0.zip "$ELASTICSEARCH_ZIP:9.2.0"; }
elasticsearch_start() { search_start elasticsearch elasticsearch-9.2.0.zip; }
elasticsearch_ready() { search_ready "$1"; }
elasticsearch_env() { echo "ELASTICSEARCH_URL=http://127.0.0.1:$(port_of elasticsearch)"; }

elasticsearch8_port() { echo 19208; }
elasticsearch8_install() { search_install elasticsearch-8.19.5.zip "$ELASTICSEARCH_ZIP:8.19.5"; }
elasticsearch8_start() { search_start elasticsearch8 elasticsearch-8.19.5.zip; }
elasticsearch8_ready() { search_ready "$1"; }
elasticsearch8_env() { echo "ELASTICSEARCH8_URL=http://127.0.0.1:$(port_of elasticsearch8)"; }

# A node that is soon asked too much: it answers 429 and 413 where a large one would take everything.
elasticsearch_small_port() { echo 19209; }
elasticsearch_small_install() { elasticsearch_install; }
elasticsearch_small_start() { ES_HEAP=512m search_start elasticsearch_small elasticsearch-9.2.0.zip; }
elasticsearch_small_ready() { search_ready "$1"; }
elasticsearch_small_env() { echo "ELASTICSEARCH_SMALL_URL=http://127.0.0.1:$(port_of elasticsearch_small)"; }

opensearch_port() { echo 19203; }
opensearch_install() { search_install opensearch-3.1.0.zip "$OPENSEARCH_ZIP:3.1.0"; }
opensearch_start() { search_start opensearch opensearch-3.1.0.zip; }
opensearch_ready() { search_ready "$1"; }
opensearch_env() { echo "OPENSEARCH_URL=http://127.0.0.1:$(port_of opensearch)"; }

search_install() {
  need_jdk 21
  need curl curl
  need unzip unzip
  fetch_zip "$1" "$2"
}

# search_start NAME ZIP
search_start() {
  local name=$1 zip=$2 user home jdk heap=${ES_HEAP:-1g}
  # The engines refuse to run as root.
  user=$(user_or_self "$SEARCH_USER")
  make_home "$name" "$user"
  home=$(home_of "$name")
  jdk=$(jdk_at_least 21)
  # Unpacked a checkout, not in the cache: the engine's user cannot read root's home, and it writes into its folder.
  if [[ ! -d $home/${zip%.zip} ]]; then
    rm -rf "$home/unpack"
    mkdir "$home/unpack"
    unzip -q "$CACHE/$zip" -d "$home/unpack"
    mv -T "$home"/unpack/* "$home/${zip%.zip}"
    rmdir "$home/unpack"
  fi
  rm -rf "$home/config" "$home/tmp"
  cp -r "$home/${zip%.zip}/config" "$home/config"
  mkdir -p "$home/data" "$home/logs" "$home/tmp"
  {
    cat <<CONF
cluster.name: millrace
node.name: $name
path.data: $home/data
path.logs: $home/logs
network.host: 127.0.0.1
http.port: $(port_of "$name")
# A developer's disk is often fuller than the watermarks allow, and indices would turn read-only.
cluster.routing.allocation.disk.threshold_enabled: false
CONF
    [[ $name == opensearch ]] || echo 'xpack.security.enabled: false'
    case $name in
      elasticsearch_node?) elasticsearch_node_settings "$name" ;;
      *) printf '%s\n' 'transport.port: 19300-19399' 'discovery.type: single-node' ;;
    esac
    [[ $name != elasticsearch_small ]] || small_limits
  } >"$home/config/$(sed 's/8$//; s/_small$//; s/_node.$//' <<<"$name").yml"
  chown -R "$user" "$home"
  local options="-Xms$heap -Xmx$heap"
  if [[ $name == opensearch ]]; then
    # Its byte-code library does not know the newest JDKs by name.
    launch "$name" "$user" OPENSEARCH_JAVA_HOME="$jdk" OPENSEARCH_JAVA_OPTS="$options -Dnet.bytebuddy.experimental=true" \
      OPENSEARCH_PATH_CONF="$home/config" OPENSEARCH_TMPDIR="$home/tmp" "$home/${zip%.zip}/bin/opensearch"
  else
    launch "$name" "$user" ES_JAVA_HOME="$jdk" ES_JAVA_OPTS="$options" \
      ES_PATH_CONF="$home/config" ES_TMPDIR="$home/tmp" "$home/${zip%.zip}/bin/elasticsearch"
  fi
}

small_limits() {
  cat <<CONF
thread_pool.write.size: 1
thread_pool.write.queue_size: 1
indexing_pressure.memory.limit: 2mb
http.max_content_length: 4mb
CONF
}

# Yellow: every primary shard of the data on disk is back.
search_ready() { curl -fsS --noproxy '*' --max-time 5 "http://127.0.0.1:$1/_cluster/health?wait_for_status=yellow&timeout=3s"; }
