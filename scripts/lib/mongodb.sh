# shellcheck shell=bash
# The MongoDB protocol, spoken by mongo-java-server with a file for its data: no registry has a mongod.

readonly MONGODB_VERSION=1.47.0
readonly MONGODB_JARS=mongo-java-server-$MONGODB_VERSION

mongodb_port() { echo 17017; }

mongodb_install() {
  need_jdk 17
  fetch_jars "$MONGODB_JARS" "de.bwaldvogel:mongo-java-server:$MONGODB_VERSION" \
    "de.bwaldvogel:mongo-java-server-h2-backend:$MONGODB_VERSION" org.slf4j:slf4j-simple:2.0.17
}

mongodb_start() {
  make_home mongodb "$(id -un)"
  say "mongodb is a server of the MongoDB protocol, not a mongod: $MONGODB_JARS"
  launch mongodb "$(id -un)" "$(jdk_at_least 17)/bin/java" -Xms256m -Xmx1g -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
    -cp "$CACHE/$MONGODB_JARS/*" "$SCRIPTS/lib/MongoServer.java" "$(port_of mongodb)" "$(home_of mongodb)/data"
}

# OP_MSG with {ping: 1, $db: "admin"}: 51 bytes, request id 1, opcode 2013, flags 0, a section of kind 0.
mongodb_ready() {
  local answer
  # shellcheck disable=SC2016
  answer=$(exchange "$1" '\063\0\0\0\01\0\0\0\0\0\0\0\335\07\0\0\0\0\0\0\0\036\0\0\0\020ping\0\01\0\0\0\002$db\0\06\0\0\0admin\0\0' 37)
  # An answer to request 1 that begins with {ok: 1.0}.
  [[ $answer == ????????????????01000000dd070000*016f6b00000000000000f03f ]]
}

mongodb_env() { echo "MONGODB_URL=mongodb://127.0.0.1:$(port_of mongodb)/millrace"; }
