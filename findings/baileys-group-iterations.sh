#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# baileys: group messages are sent under every second number, and read in their order alone.
#
# Expected: the messages of one sender to a group are numbered 0, 1, 2, as other clients of the same
# format number theirs; a message that comes after a later one of its sender is read, because a
# receiver keeps the keys of those that it has passed.
# Seen with baileys 6.17.16 and 7.0.0-rc14, Node 20.20.2, 2026-11-29, between two devices of each,
# through the Signal repository that the exported DEFAULT_CONNECTION_CONFIG makes:
#   numbers:        0, 2, 4, 6. A receiver keeps a key for each number that is left out, and nothing
#                   ever uses it: in 7.0.0-rc14 its record of the sender is longer with each message.
#   late messages:  the first and the third are read, and then the second is not. The next one is, so
#                   nothing else is lost.
# whatsapp-rust-bridge 0.5.5, of the same format, numbers them 0, 1, 2 and reads the late one.
# Output:
#   baileys-6: numbers 0 2 4 6, late message refused, record 1.1 times as long after ten more
#   baileys-7: numbers 0 2 4 6, late message refused, record 2.4 times as long after ten more
#
# Installs into a temporary folder. Exits 0 while this is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# Two packages of baileys 6 are on GitHub, not on npm: one is for its developers, of the other the
# release that baileys 7 asks for is taken.
cat >package.json <<'JSON'
{
  "private": true,
  "dependencies": {
    "baileys-6": "npm:baileys@6.17.16",
    "baileys-7": "npm:baileys@7.0.0-rc14",
    "whatsapp-rust-bridge": "0.5.5"
  },
  "overrides": { "@whiskeysockets/eslint-config": "npm:isarray@2.0.5", "libsignal": "6.0.0" }
}
JSON
npm install --silent --ignore-scripts --legacy-peer-deps --no-audit --no-fund >/dev/null

cat >seen.mjs <<'JAVASCRIPT'
import * as bridge from "whatsapp-rust-bridge";

const GROUP = "1234567890-1234567890@g.us";
const ANA = "111";
const print = console.log; // the libraries print, too
for (const name of ["log", "info", "warn", "error", "debug", "trace"]) console[name] = () => {};

// What stands in a message: 33, then protobuf, in which field 2 is its number.
function number(message) {
  const bytes = [...message];
  let at = 1;
  const varint = () => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * shift;
      if (byte < 128) return value;
    }
  };
  for (;;) {
    const tag = varint();
    const value = varint();
    if (tag === 2 * 8) return value;
  }
}

async function baileysDevice(library) {
  const { BufferJSON, DEFAULT_CONNECTION_CONFIG, initAuthCreds } = library;
  const kept = {};
  const keys = {
    async get(type, ids) {
      const known = ids.filter((id) => `${type} ${id}` in kept);
      return Object.fromEntries(known.map((id) => [id, JSON.parse(kept[`${type} ${id}`], BufferJSON.reviver)]));
    },
    async set(types) {
      for (const [type, values] of Object.entries(types)) {
        for (const [id, value] of Object.entries(values)) {
          kept[`${type} ${id}`] = JSON.stringify(value, BufferJSON.replacer);
        }
      }
    },
    transaction: (work) => work(),
    isInTransaction: () => true,
  };
  const logger = { level: "silent", child: () => logger };
  for (const name of ["trace", "debug", "info", "warn", "error", "fatal"]) logger[name] = () => {};
  const repository = DEFAULT_CONNECTION_CONFIG.makeSignalRepository(
    { creds: initAuthCreds(), keys },
    logger,
    async () => undefined,
  );
  const author = `${ANA}@s.whatsapp.net`;
  return {
    length: () => JSON.stringify(kept).length,
    async send(text) {
      const sent = await repository.encryptGroupMessage({ group: GROUP, meId: author, data: Buffer.from(text) });
      return { message: sent.ciphertext, distribution: sent.senderKeyDistributionMessage };
    },
    take: (data) =>
      repository.processSenderKeyDistributionMessage({
        item: { groupId: GROUP, axolotlSenderKeyDistributionMessage: data },
        authorJid: author,
      }),
    async read(message) {
      return Buffer.from(await repository.decryptGroupMessage({ group: GROUP, authorJid: author, msg: message })).toString();
    },
  };
}

async function bridgeDevice() {
  const kept = {};
  const storage = {
    loadSenderKey: async (name) => kept[name],
    storeSenderKey: async (name, record) => void (kept[name] = record),
  };
  const address = bridge.ProtocolAddress.from(`${ANA}.0`);
  const name = new bridge.SenderKeyName(GROUP, address);
  const cipher = new bridge.GroupCipher(storage, GROUP, address);
  return {
    length: () => 1,
    async send(text) {
      const made = await new bridge.GroupSessionBuilder(storage).create(name);
      return { message: await cipher.encrypt(Buffer.from(text)), distribution: made.serialize() };
    },
    take: (data) =>
      new bridge.GroupSessionBuilder(storage).process(name, bridge.SenderKeyDistributionMessage.deserialize(data)),
    read: async (message) => Buffer.from(await cipher.decrypt(message)).toString(),
  };
}

async function look(name, device) {
  const [ana, budi] = [await device(), await device()];
  const sent = [];
  for (const text of ["one", "two", "three", "four"]) sent.push(await ana.send(text));
  await budi.take(sent[0].distribution);
  const read = async (which) => {
    try {
      return await budi.read(sent[which].message);
    } catch {
      return null;
    }
  };
  const inOrder = [await read(0), await read(2)];
  const late = await read(1);
  const next = await read(3);
  const before = budi.length();
  for (let more = 0; more < 10; more++) await budi.read((await ana.send("more")).message);
  return {
    name,
    numbers: sent.map(({ message }) => number(message)).join(" "),
    readsOn: inOrder.join() === "one,three" && next === "four",
    late,
    growth: budi.length() / before,
  };
}

const libraries = { "baileys-6": await import("baileys-6"), "baileys-7": await import("baileys-7") };
const checks = {};
for (const [name, module] of Object.entries(libraries)) {
  const library = module.default?.initAuthCreds ? module.default : module;
  const seen = await look(name, () => baileysDevice(library));
  print(
    `${name}: numbers ${seen.numbers}, late message ${seen.late === null ? "refused" : "read"}, ` +
      `record ${seen.growth.toFixed(1)} times as long after ten more`,
  );
  checks[`${name} sends under every second number`] = seen.numbers === "0 2 4 6";
  checks[`${name} does not read a late message`] = seen.late === null;
  checks[`${name} reads what is in order`] = seen.readsOn;
  if (name === "baileys-7") checks[`${name} has a longer record with each message`] = seen.growth > 2;
}
const other = await look("whatsapp-rust-bridge", bridgeDevice);
checks["whatsapp-rust-bridge sends under every number"] = other.numbers === "0 1 2 3";
checks["whatsapp-rust-bridge reads the late message"] = other.late === "two" && other.readsOn;
for (const [what, holds] of Object.entries(checks)) print(holds ? "yes" : "NO ", what);
process.exit(Object.values(checks).every(Boolean) ? 0 : 1);
JAVASCRIPT
node seen.mjs
