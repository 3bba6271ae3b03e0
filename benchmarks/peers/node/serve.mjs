// SPDX-License-Identifier: Apache-2.0
// What the Node drivers share: the request loop, the loop that times, operations on one session.
//
// A request is a JSON object on a line, and so is the answer. Requests: {"request": "hello"},
// {"request": "sample", "job": {...}}. The job is that of benchmarks/job.py; what is prepared for
// it is not timed. The process runs with --expose-gc: the
// garbage is collected before each sample. That it is not during one cannot be asked of Node.

import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

// Libraries that log (whole sessions, even) would talk into our answers.
for (const name of ["log", "info", "warn", "error", "debug", "trace"]) console[name] = () => {};

export const PLAINTEXT = Buffer.alloc(100);

// Imports a package, whether it is CommonJS or not, from the node_modules of a folder.
export async function load(folder, name) {
  const require = createRequire(join(folder, "package.json"));
  const module = await import(pathToFileURL(require.resolve(name)));
  return module.default ?? module;
}

const total = (job) => job.warmup + job.blocks * job.count;

// Makes n of something, one after the other.
export async function times(n, make) {
  const made = [];
  for (let i = 0; i < n; i++) made.push(await make(i));
  return made;
}

// A step that does the operation with the next of some things.
export function each(items, operation) {
  let next = 0;
  return () => operation(items[next++]);
}

// The makers of operations on one session, and what makes two ends with a past as a job says.
// `connect()` gives two that know of each other, with encrypt(plaintext) -> message and
// decrypt(message) -> plaintext.
function chainMakers(connect) {
  async function connected(job) {
    const [sender, receiver] = await connect();
    for (let i = 0; i < (job.parameters.turns ?? 0); i++) {
      await receiver.decrypt(await sender.encrypt(PLAINTEXT));
      await sender.decrypt(await receiver.encrypt(PLAINTEXT));
    }
    const skipped = job.parameters.skipped ?? 0;
    const half = Math.floor(skipped / 2);
    for (const lost of skipped ? [half, skipped - half] : []) {
      for (let i = 0; i < lost; i++) await sender.encrypt(PLAINTEXT);
      await receiver.decrypt(await sender.encrypt(PLAINTEXT));
    }
    return [sender, receiver];
  }
  const messages = (job, sender) => {
    const plaintext = Buffer.alloc(job.parameters.bytes);
    return times(total(job), () => sender.encrypt(plaintext));
  };
  const makers = {
    async encrypt(job) {
      const [, receiver] = await connected(job);
      const plaintext = Buffer.alloc(job.parameters.bytes);
      return () => receiver.encrypt(plaintext);
    },
    async decrypt(job) {
      const [sender, receiver] = await connected(job);
      return each(await messages(job, sender), (message) => receiver.decrypt(message));
    },
    async out_of_order(job) {
      const [sender, receiver] = await connected(job);
      const inOrder = await messages(job, sender);
      const { window } = job.parameters;
      const shuffled = [];
      for (let start = 0; start < inOrder.length; start += window) {
        shuffled.push(...inOrder.slice(start, start + window).reverse());
      }
      return each(shuffled, (message) => receiver.decrypt(message));
    },
    async backlog(job) {
      const [sender, receiver] = await connected(job);
      await sender.decrypt(await receiver.encrypt(PLAINTEXT));
      return each(await messages(job, sender), (message) => receiver.decrypt(message));
    },
    async ping_pong(job) {
      let [sender, receiver] = await connected(job);
      const plaintext = Buffer.alloc(job.parameters.bytes);
      return async () => {
        await receiver.decrypt(await sender.encrypt(plaintext));
        [sender, receiver] = [receiver, sender];
      };
    },
  };
  return { connected, makers };
}

// The makers of everything that starts sessions. `library` has newDevice(), makeBundle(device),
// start(device, name, bundle) -> end, and accept(device, name) -> the end that a first message
// will make.
function sessionMakers(library) {
  const { accept, makeBundle, newDevice, start } = library;
  return {
    async bundle() {
      const device = await newDevice();
      return () => makeBundle(device);
    },
    async set_up(job) {
      const [ana, budi] = [await newDevice(), await newDevice()];
      const bundles = await times(total(job), async (i) => [i, await makeBundle(budi)]);
      return each(bundles, async ([i, bundle]) => {
        const end = await start(ana, `budi${i}`, bundle);
        await accept(budi, `ana${i}`).decrypt(await end.encrypt(PLAINTEXT));
      });
    },
    async first_contact(job) {
      const ana = await newDevice();
      const strangers = await times(total(job), newDevice);
      const bundles = await times(total(job), async (i) => [i, await makeBundle(strangers[i])]);
      return each(bundles, async ([i, bundle]) => {
        await (await start(ana, `budi${i}`, bundle)).encrypt(PLAINTEXT);
      });
    },
    async fan_out(job) {
      const [ana, budi] = [await newDevice(), await newDevice()];
      const ends = await times(total(job), async (i) => {
        const [end] = await connected(library, ana, budi, i);
        await end.encrypt(PLAINTEXT);
        return end;
      });
      return each(ends, (end) => end.encrypt(PLAINTEXT));
    },
  };
}

// Two ends with a session that both know of, under a number, of two devices.
export async function connected({ accept, makeBundle, start }, ana, budi, number) {
  const end = await start(ana, `budi${number}`, await makeBundle(budi));
  const other = accept(budi, `ana${number}`);
  await other.decrypt(await end.encrypt(PLAINTEXT));
  await end.decrypt(await other.encrypt(PLAINTEXT));
  return [end, other];
}

async function sample(makers, job) {
  const step = await makers[job.operation](job);
  for (let i = 0; i < job.warmup; i++) await step();
  global.gc();
  const seconds = [];
  for (let block = 0; block < job.blocks; block++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < job.count; i++) await step();
    seconds.push(Number(process.hrtime.bigint() - start) / 1e9 / job.count / job.per);
  }
  return seconds;
}

async function memory(library, count) {
  const [ana, budi] = [await library.newDevice(), await library.newDevice()];
  await connected(library, ana, budi, 0);
  global.gc();
  const before = process.memoryUsage.rss();
  for (let i = 1; i <= count; i++) await connected(library, ana, budi, i);
  global.gc();
  return (process.memoryUsage.rss() - before) / (2 * count);
}

// What is the same for sessions of version 4, under the names of their rows.
function version4(makers) {
  const names = ["encrypt", "decrypt", "out_of_order", "backlog", "ping_pong", "set_up"];
  const renamed = names.map((name) => [`${name}_v4`, makers[name]]);
  return { ...Object.fromEntries(renamed), encrypt_chunk_v4: makers.encrypt };
}

// Bytes on average, of a message and of what it leaves to be stored.
function byteMeasures(connected, storedBytes) {
  const pingPong = async (job, bytes) => {
    let [sender, receiver] = await connected(job);
    const plaintext = Buffer.alloc(job.parameters.bytes);
    let sum = 0;
    for (let i = 0; i < total(job); i++) {
      const message = await sender.encrypt(plaintext);
      await receiver.decrypt(message);
      sum += bytes(message, sender, receiver);
      [sender, receiver] = [receiver, sender];
    }
    return sum / total(job);
  };
  return {
    async chain_bytes_v4(job) {
      const [, receiver] = await connected(job);
      const plaintext = Buffer.alloc(job.parameters.bytes);
      const sizes = await times(total(job), async () => (await receiver.encrypt(plaintext))[1].length);
      return sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
    },
    ping_pong_bytes_v4: (job) => pingPong(job, ([, data]) => data.length),
    stored_bytes_v4: (job) =>
      pingPong(job, (_, sender, receiver) => storedBytes(sender) + storedBytes(receiver)),
  };
}

// Answers requests about a library (see `sessionMakers`); `more` are makers of its own. A library
// of version 4 has `storedBytes(end)`, the size of what it would store after a message.
export function serve(library, more = {}) {
  const { newDevice, storedBytes } = library;
  const connect = async () => connected(library, await newDevice(), await newDevice(), 0);
  const chain = chainMakers(connect);
  const common = { ...chain.makers, ...sessionMakers(library) };
  const makers = { ...common, ...(storedBytes ? version4(common) : {}), ...more };
  if (storedBytes) delete makers.bundle; // which would make a Kyber key, too: see bundle_v4
  const measures = {
    memory: (job) => memory(library, job.parameters.count),
    ...(storedBytes ? byteMeasures(chain.connected, storedBytes) : {}),
  };
  const answers = {
    hello: async () => ({
      operations: [...Object.keys(makers), ...Object.keys(measures)],
      versions: { Node: process.versions.node },
    }),
    sample: async ({ job }) => {
      const measure = measures[job.operation];
      return { values: measure ? [await measure(job)] : await sample(makers, job) };
    },
  };
  let queue = Promise.resolve();
  createInterface({ input: process.stdin }).on("line", (line) => {
    queue = queue.then(async () => {
      let answer;
      try {
        const request = JSON.parse(line);
        answer = await answers[request.request](request);
      } catch (error) {
        answer = { error: `${error.name}: ${error.message}` };
      }
      process.stdout.write(JSON.stringify(answer) + "\n");
    });
  });
}
