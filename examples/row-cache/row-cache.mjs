// Rows of the database through Redis, for readers in Node: never older than the database, while writers invalidate after their
// commit as `millrace run database` does. The same as src/stores/database/cache/row_cache.rs, and by the same scripts.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';

const script = (name) => readFileSync(new URL(`./${name}.lua`, import.meta.url), 'utf8');
const READ = script('read');
const PUT = script('put');
const INVALIDATE = script('invalidate');
/** How long a reader may take to read a row, in milliseconds. */
const LEASE = 60_000;
const LISTS = '*';

export class RowCache {
  #client;
  #prefix;
  #ttl;

  /**
   * `client` is one of the package `redis` (or `@redis/client`), connected; made with `disableOfflineQueue: true` it does not wait
   * while Redis is away. `prefix` is the writers' DATABASE_CACHE_PREFIX.
   */
  constructor(client, { prefix = '', ttlSeconds = 3600 } = {}) {
    this.#client = client;
    this.#prefix = prefix;
    this.#ttl = ttlSeconds * 1000;
  }

  /**
   * A row, or null where there is none. The parts of a composite key are joined by colons. `load` must ask the primary, in a
   * transaction that begins after the call, and gives the row or null.
   */
  async row(entity, id, load) {
    const key = this.#key(entity, id);
    const { value, generation } = await this.#read(key, LEASE);
    if (value !== null) return JSON.parse(value);
    const row = (await load()) ?? null;
    if (generation !== null) {
      const values = [generation, String(this.#ttl), JSON.stringify(row)];
      await this.#evaluate(PUT, [key, generationKey(key)], values).catch(() => 0);
    }
    return row;
  }

  /** A list of rows, under a name of the reader's own, such as its query. */
  async list(entity, name, load) {
    const { generation } = await this.#read(this.#key(entity, LISTS), this.#ttl);
    if (generation === null) return load();
    const key = `${this.#prefix}${camel(entity)}:list:${generation}:${name}`;
    const held = await this.#client.get(key).catch(() => null);
    if (held !== null) return JSON.parse(held);
    const list = await load();
    await this.#client.set(key, JSON.stringify(list), { PX: this.#ttl }).catch(() => null);
    return list;
  }

  /** Forgets rows, and the lists of their entity: for whoever writes beside the consumer, after the commit. */
  async invalidate(entity, ids) {
    const keys = [...ids, LISTS].map((id) => this.#key(entity, id));
    await this.#evaluate(INVALIDATE, keys.flatMap((key) => [key, generationKey(key)]), ['0', '', '0']);
  }

  async #read(key, lease) {
    try {
      const answer = await this.#evaluate(READ, [key, generationKey(key)], [randomUUID(), String(lease)]);
      return { value: answer[0], generation: answer[1] };
    } catch {
      // While Redis is away the database is asked each time.
      return { value: null, generation: null };
    }
  }

  #key(entity, id) {
    return `${this.#prefix}${camel(entity)}:${id}`;
  }

  #evaluate(text, keys, values) {
    return this.#client.eval(text, { keys, arguments: values });
  }
}

const camel = (entity) => entity.charAt(0).toLowerCase() + entity.slice(1);
const generationKey = (key) => `{${key}}:generation`;
