# shellcheck shell=bash
# A second, small Kafka broker that takes nobody without TLS and a password, as managed Kafka does; beside the first port, and
# the controller's, one that wants a client's certificate instead, and one that wants a token.

readonly KAFKA_SASL_CLUSTER_ID=bWlsbHJhY2UtdGVzdHMwMg
readonly KAFKA_SASL_LOGIN=org.apache.kafka.common.security

kafka_sasl_port() { echo 19096; }

kafka_sasl_install() {
  need openssl openssl
  kafka_install
}

# The authority `NAME-ca` of this home: a key, and a certificate that stands for ten years.
kafka_sasl_authority() {
  openssl req -x509 -newkey rsa:2048 -nodes -sha256 -days 3650 -subj "/CN=millrace $1" \
    -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign' -keyout "$1-ca.key" -out "$1-ca.pem"
}

# The certificate of a client, `$1.crt` with its key, signed by the authority `$2-ca`.
kafka_sasl_client() {
  openssl req -newkey rsa:2048 -nodes -sha256 -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"
  openssl x509 -req -sha256 -days 3650 -in "$1.csr" -CA "$2-ca.pem" -CAkey "$2-ca.key" -CAcreateserial \
    -extfile <(echo extendedKeyUsage=clientAuth) -out "$1.crt"
}

# Once a home: the password, an authority with the broker's certificate and a client's, and one that signed a client's alone.
kafka_sasl_secrets() {
  [[ -f password && -f client.crt ]] && return
  kafka_sasl_authority broker
  kafka_sasl_authority other
  kafka_sasl_client client broker
  kafka_sasl_client stranger other
  openssl rsa -aes256 -in client.key -passout pass:secret -out client-locked.key
  openssl req -newkey rsa:2048 -nodes -sha256 -subj /CN=127.0.0.1 -keyout server.key -out server.csr
  openssl x509 -req -sha256 -days 3650 -in server.csr -CA broker-ca.pem -CAkey broker-ca.key -CAcreateserial \
    -extfile <(echo subjectAltName=IP:127.0.0.1,DNS:localhost) -out server.crt
  cat server.key server.crt broker-ca.pem >keystore.pem
  rm -f other-ca.key
  openssl rand -hex 16 >password.new
  # A rename, so that an interrupted start is not taken for a whole one.
  mv password.new password
}

kafka_sasl_properties() {
  local port=$1 password
  password=$(<password)
  cat <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
listeners=SASL_SSL://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1)),CERT://127.0.0.1:$((port + 2)),TOKEN://127.0.0.1:$((port + 3))
advertised.listeners=SASL_SSL://127.0.0.1:$port,CERT://127.0.0.1:$((port + 2)),TOKEN://127.0.0.1:$((port + 3))
listener.security.protocol.map=SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT,CERT:SSL,TOKEN:SASL_SSL
listener.name.cert.ssl.client.auth=required
listener.name.token.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.token.oauthbearer.sasl.jaas.config=$KAFKA_SASL_LOGIN.oauthbearer.OAuthBearerLoginModule required;
inter.broker.listener.name=SASL_SSL
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=$KAFKA_SASL_LOGIN.plain.PlainLoginModule required \\
  username="millrace" password="$password" user_millrace="$password" user_guest="$password";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=$KAFKA_SASL_LOGIN.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:millrace;User:ANONYMOUS
allow.everyone.if.no.acl.found=true
ssl.keystore.type=PEM
ssl.keystore.location=$PWD/keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location=$PWD/broker-ca.pem
log.dirs=$PWD/data
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
CONF
}

# What the tool for access rights needs to reach the broker.
kafka_sasl_admin() {
  cat <<CONF
security.protocol=SASL_SSL
sasl.mechanism=PLAIN
sasl.jaas.config=$KAFKA_SASL_LOGIN.plain.PlainLoginModule required username="millrace" password="$(<password)";
ssl.truststore.type=PEM
ssl.truststore.location=$PWD/broker-ca.pem
CONF
}

kafka_sasl_start() {
  local home port
  make_home kafka_sasl "$(id -un)"
  home=$(home_of kafka_sasl)
  port=$(port_of kafka_sasl)
  (
    umask 077
    cd "$home"
    kafka_sasl_secrets
    kafka_sasl_properties "$port" >kraft.properties
    kafka_sasl_admin >admin.properties
  ) >"$STATE/kafka_sasl.log" 2>&1 9>&- || { show_log kafka_sasl; die 69 "kafka_sasl: its certificates could not be made"; }
  KAFKA_FORMAT=(--add-scram "SCRAM-SHA-512=[name=millrace,password=$(<"$home/password")]")
  kafka_launch kafka_sasl "$KAFKA_SASL_CLUSTER_ID" -Xms256m -Xmx512m
  KAFKA_FORMAT=()
}

# A TLS handshake that the authority's certificate verifies; the listener opens when the broker takes part.
kafka_sasl_ready() {
  timeout 5 openssl s_client -connect "127.0.0.1:$1" -CAfile "$(home_of kafka_sasl)/broker-ca.pem" \
    -verify_ip 127.0.0.1 -verify_return_error -brief </dev/null
}

kafka_sasl_env() {
  local home
  home=$(home_of kafka_sasl)
  echo "SECURED_KAFKA_SERVICE_URI=127.0.0.1:$(port_of kafka_sasl)"
  echo SECURED_KAFKA_USERNAME=millrace
  # Has every right that nobody takes away, and the same password.
  echo SECURED_KAFKA_GUEST=guest
  echo "SECURED_KAFKA_ACLS=$(jdk_at_least 17)/bin/java -cp $CACHE/$KAFKA_JARS/* org.apache.kafka.tools.AclCommand" \
    "--bootstrap-server 127.0.0.1:$(port_of kafka_sasl) --command-config $home/admin.properties"
  # The password is made at the first start.
  echo "SECURED_KAFKA_PASSWORD=$(cat "$home/password" 2>/dev/null)"
  echo "SECURED_KAFKA_CERT_URI=127.0.0.1:$(($(port_of kafka_sasl) + 2))"
  echo "SECURED_KAFKA_TOKEN_URI=127.0.0.1:$(($(port_of kafka_sasl) + 3))"
  # With client.crt, client.key, client-locked.key (its password is "secret"), stranger.crt and stranger.key.
  echo "SECURED_KAFKA_CLIENTS=$home"
  echo "SECURED_KAFKA_CA_CERT=$home/broker-ca.pem"
  echo "SECURED_KAFKA_OTHER_CA_CERT=$home/other-ca.pem"
}
