# shellcheck shell=bash
# HAProxy before the search engine of this checkout that runs: it takes nobody without TLS and a client's certificate.

elasticsearch_cert_port() { echo 19290; }

elasticsearch_cert_install() {
  need haproxy haproxy
  need openssl openssl
}

elasticsearch_cert_start() {
  local home
  make_home elasticsearch_cert "$(id -un)"
  home=$(home_of elasticsearch_cert)
  (
    umask 077
    cd "$home"
    kafka_sasl_secrets
    cat >haproxy.cfg <<CONF
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
frontend all
  bind 127.0.0.1:$(port_of elasticsearch_cert) ssl crt $home/keystore.pem ca-file $home/broker-ca.pem verify required
  monitor-uri /haproxy
  default_backend nodes
backend nodes
  server elasticsearch 127.0.0.1:$(port_of elasticsearch) check inter 500ms
  server elasticsearch8 127.0.0.1:$(port_of elasticsearch8) check inter 500ms backup
  server opensearch 127.0.0.1:$(port_of opensearch) check inter 500ms backup
CONF
  ) >"$STATE/elasticsearch_cert.log" 2>&1 9>&- ||
    { show_log elasticsearch_cert; die 69 "elasticsearch_cert: its certificates could not be made"; }
  launch elasticsearch_cert "$(id -un)" "$(command -v haproxy)" -db -f "$home/haproxy.cfg"
}

elasticsearch_cert_ready() {
  local home
  home=$(home_of elasticsearch_cert)
  curl -fsS --noproxy '*' --max-time 5 --cacert "$home/broker-ca.pem" --cert "$home/client.crt" --key "$home/client.key" \
    "https://127.0.0.1:$1/haproxy"
}

elasticsearch_cert_env() {
  echo "ELASTICSEARCH_CERT_URL=https://127.0.0.1:$(port_of elasticsearch_cert)"
  # With broker-ca.pem, client.crt, client.key, stranger.crt and stranger.key.
  echo "ELASTICSEARCH_CERT_HOME=$(home_of elasticsearch_cert)"
}
