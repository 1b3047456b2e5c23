import de.bwaldvogel.mongo.MongoCollection;
import de.bwaldvogel.mongo.MongoDatabase;
import de.bwaldvogel.mongo.ServerVersion;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.IndexKey;
import de.bwaldvogel.mongo.backend.KeyValue;
import de.bwaldvogel.mongo.backend.ValueComparator;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.backend.h2.H2Database;
import de.bwaldvogel.mongo.bson.Document;
import java.lang.reflect.Field;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.h2.mvstore.MVMap;
import org.h2.mvstore.MVStore;
import org.h2.mvstore.type.ObjectDataType;

/**
 * Serves the MongoDB protocol on 127.0.0.1 from one file: {@code MongoServer.java PORT FILE}.
 *
 * <p>A stand-in where no mongod is to be had. It has no sessions, transactions, update pipelines or oplog, its only
 * indexes are the unique ones, and a SIGKILL loses about a second of acknowledged writes.
 */
final class MongoServer {
    /** MongoDB 5.0 as today's drivers know it. The library reports 8, which they refuse. */
    private static final int WIRE_VERSION = 13;

    private static final int CACHE_MB = 256;

    private MongoServer() {}

    public static void main(String[] args) throws ReflectiveOperationException, InterruptedException {
        int port = Integer.parseInt(args[0]);
        Field wireVersion = ServerVersion.class.getDeclaredField("wireVersion");
        wireVersion.setAccessible(true);
        wireVersion.setInt(ServerVersion.MONGO_5_0, WIRE_VERSION);

        MVStore store = new MVStore.Builder().fileName(args[1]).cacheSize(CACHE_MB).open();
        var backend = new Backend(store);
        backend.version(ServerVersion.MONGO_5_0);
        var server = new de.bwaldvogel.mongo.MongoServer(backend);
        // It lets the clients go first and closes the store last, so that what they were told is on disk.
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow, "stop"));
        server.bind("127.0.0.1", port);
        System.out.println("a server of the MongoDB protocol, not a mongod, listens on port " + port);
        new CountDownLatch(1).await();
    }

    private static final class Backend extends H2Backend {
        Backend(MVStore store) {
            super(store);
        }

        @Override
        protected MongoDatabase openOrCreateDatabase(String name) {
            return new Database(name);
        }

        // Inner, because the constructor of its parent asks for the indexes before a field of its own would be set.
        private final class Database extends H2Database {
            Database(String name) {
                super(name, getMvStore(), getCursorRegistry());
            }

            @Override
            protected Index<Object> openOrCreateUniqueIndex(
                    String collection, String name, List<IndexKey> keys, boolean sparse) {
                // A map that is open stays as it was opened: the library finds this one under the name it uses itself.
                getMvStore().openMap(getFullCollectionNamespace(collection) + "._index_" + name,
                        new MVMap.Builder<KeyValue, Object>().keyType(new KeyType()));
                return new NarrowingIndex(
                        super.openOrCreateUniqueIndex(collection, name, keys, sparse), name, keys, sparse);
            }
        }
    }

    /** Compares keys by their values; the store would serialize both each time. */
    private static final class KeyType extends ObjectDataType {
        private static final ValueComparator VALUES = ValueComparator.ascWithoutListHandling();

        @Override
        public int compare(Object left, Object right) {
            if (!(left instanceof KeyValue a && right instanceof KeyValue b)) return super.compare(left, right);
            int order = Integer.compare(a.size(), b.size());
            for (int i = 0; order == 0 && i < a.size(); i++) order = VALUES.compare(a.get(i), b.get(i));
            return order;
        }
    }

    /**
     * An index that serves a query about more fields than its own, which the library would answer by reading the whole
     * collection. What the index finds is held against the whole query by the collection.
     */
    private static final class NarrowingIndex extends Index<Object> {
        private final Index<Object> index;

        NarrowingIndex(Index<Object> index, String name, List<IndexKey> keys, boolean sparse) {
            super(name, keys, sparse);
            this.index = index;
        }

        private Document narrow(Document query) {
            var own = new Document();
            for (String key : keys()) {
                if (query.containsKey(key)) own.put(key, query.get(key));
            }
            return own;
        }

        @Override
        public boolean canHandle(Document query) {
            return index.canHandle(narrow(query));
        }

        @Override
        public Iterable<Object> getPositions(Document query) {
            return index.getPositions(narrow(query));
        }

        @Override
        public Object getPosition(Document document) {
            return index.getPosition(document);
        }

        @Override
        public void checkAdd(Document document, MongoCollection<Object> collection) {
            index.checkAdd(document, collection);
        }

        @Override
        public void add(Document document, Object position, MongoCollection<Object> collection) {
            index.add(document, position, collection);
        }

        @Override
        public Object remove(Document document) {
            return index.remove(document);
        }

        @Override
        public void checkUpdate(Document before, Document after, MongoCollection<Object> collection) {
            index.checkUpdate(before, after, collection);
        }

        @Override
        public void updateInPlace(Document before, Document after, Object position, MongoCollection<Object> collection) {
            index.updateInPlace(before, after, position, collection);
        }

        @Override
        public long getCount() {
            return index.getCount();
        }

        @Override
        public long getDataSize() {
            return index.getDataSize();
        }

        @Override
        public boolean isUnique() {
            return index.isUnique();
        }

        @Override
        public void drop() {
            index.drop();
        }
    }
}
