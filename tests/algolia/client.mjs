// The official client, pointed at the hosts that the environment names. Prints one JSON value.
import { algoliasearch } from 'algoliasearch';

const hosts = process.env.HOSTS.split(',').map((url) => {
  const { host } = new URL(url);
  return { url: host, accept: 'readWrite', protocol: 'http' };
});
// A client that is asked to wait would try again for some seconds.
const client = algoliasearch(process.env.APP_ID, process.env.API_KEY, { hosts, maxRateLimitRetries: 0 });
const indexName = 'things';

const failure = (error) => [error.name, error.status, error.message];
const refusal = (promise) => promise.then(() => 'no error', (error) => [error.status, error.message]);
const done = (index, { taskID }) => client.waitForTask({ indexName: index, taskID, timeout: () => 5 });
const count = async () => (await client.searchSingleIndex({ indexName, searchParams: { query: '' } })).nbHits;

async function kept() {
  const requests = [
    { action: 'addObject', body: { objectID: 'a', n: 1 } },
    { action: 'updateObject', body: { objectID: 'b', n: 2 } },
    { action: 'addObject', body: { objectID: 'c', n: 3 } },
    { action: 'deleteObject', body: { objectID: 'c' } },
  ];
  await done('kept', await client.batch({ indexName: 'kept', batchWriteParams: { requests } }));
  const { objectID } = await client.saveObject({ indexName: 'kept', body: { n: 4 } });
  await done('kept', await client.addOrUpdateObject({ indexName: 'kept', objectID: 'b', body: { n: 2 } }));
  const objects = [{ objectID: 'a', more: { m: 5 } }, { objectID: 'd', n: 6 }];
  await client.partialUpdateObjects({ indexName: 'kept', objects, createIfNotExists: true, waitForTasks: true });
  return typeof objectID === 'string' && objectID.length > 0;
}

async function everything() {
  const objects = Array.from({ length: 2500 }, (_, n) => ({ objectID: `id ${n}`, n }));
  const saved = await client.saveObjects({ indexName, objects, waitForTasks: true });
  const wanted = ['id 7', 'nothing'].map((objectID) => ({ indexName, objectID }));
  const got = (await client.getObjects({ requests: wanted })).results;
  const one = await client.getObject({ indexName, objectID: 'id 7' });
  const browsed = new Set();
  let pages = 0;
  const aggregator = ({ hits }) => {
    pages += 1;
    hits.forEach((hit) => browsed.add(hit.objectID));
  };
  await client.browseObjects({ indexName, aggregator });
  const found = await count();
  await done(indexName, await client.deleteObject({ indexName, objectID: 'id 7' }));
  const objectIDs = ['id 1', 'id 2', 'id 3', 'id 4', 'id 5', 'id 6', 'nothing'];
  await client.deleteObjects({ indexName, objectIDs, waitForTasks: true });
  const left = await count();
  const gone = await refusal(client.getObject({ indexName, objectID: 'id 7' }));
  const generated = await kept();
  const missing = await refusal(client.browse({ indexName: 'missing' }));
  await done(indexName, await client.clearObjects({ indexName }));
  return {
    saved: saved.map((batch) => batch.objectIDs.length),
    got, one, browsed: browsed.size, pages, found, left, gone, generated, missing, cleared: await count(),
  };
}

const save = (objects) =>
  client.saveObjects({ indexName, objects, waitForTasks: true }).then(() => 'saved', failure);

const parts = {
  everything,
  save: () => save([{ objectID: 'a' }]),
  'save-large': () => save([{ objectID: 'a' }, { objectID: 'large', text: 'x'.repeat(2000) }]),
};
console.log(JSON.stringify(await parts[process.argv[2]]()));
