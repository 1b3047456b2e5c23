// Readers for the test: {"read": 1} begins one, which answers {"load": 1} when it asks the database; {"id": 1, "row": …} is the
// database's answer, and {"done": 1} says that it was kept, or not.
import { createInterface } from 'node:readline';
import { createClient } from '@redis/client';
import { RowCache } from './row-cache.mjs';

const client = createClient({ url: process.env.REDIS_URL });
await client.connect();
const cache = new RowCache(client, { ttlSeconds: 600 });
const waiting = new Map();
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

async function read(id) {
  await cache.row('User', id, () => {
    say({ load: id });
    return new Promise((resolve) => waiting.set(id, resolve));
  });
  say({ done: id });
}

for await (const line of createInterface({ input: process.stdin })) {
  const told = JSON.parse(line);
  if ('read' in told) read(told.read);
  else waiting.get(told.id)(told.row);
}
