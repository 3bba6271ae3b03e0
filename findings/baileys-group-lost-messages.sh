#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# baileys: a device that has missed 1,001 messages of one sender to a group reads no more of them.
#
# Expected: as far ahead as other clients of the format read: whatsapp-rust-bridge and libsignal read
# 25,000 ahead. What is missed then is some messages, not the sender.
# Seen with baileys 6.17.16 and 7.0.0-rc14, Node 20.20.2, 2026-11-29, between devices of each, through
# the Signal repository that the exported DEFAULT_CONNECTION_CONFIG makes. A receiver goes at most
# 2,000 numbers ahead, and a sender uses every second number only:
#   1,000 messages missed:  the next one is read.
#   1,001 messages missed:  the next one is not, nor any after it: each is further ahead. It ends when
#                           the sender makes a new key.
# whatsapp-rust-bridge 0.5.5 reads after 1,001, and after 5,000. Output:
#   baileys-6: after 1,000 missed read, after 1,001 refused, and the next refused
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
    async send(text) {
      const made = await new bridge.GroupSessionBuilder(storage).create(name);
      return { message: await cipher.encrypt(Buffer.from(text)), distribution: made.serialize() };
    },
    take: (data) =>
      new bridge.GroupSessionBuilder(storage).process(name, bridge.SenderKeyDistributionMessage.deserialize(data)),
    read: async (message) => Buffer.from(await cipher.decrypt(message)).toString(),
  };
}

// What two devices read that were in the group from the beginning, and missed so many messages.
async function look(device, missed) {
  const ana = await device();
  const readers = await Promise.all(missed.map(device));
  const first = await ana.send("0");
  for (const reader of readers) await reader.take(first.distribution);
  const sent = [first];
  while (sent.length < Math.max(...missed) + 2) sent.push(await ana.send(`${sent.length}`));
  const read = async (reader, which) => {
    try {
      return (await reader.read(sent[which].message)) === `${which}` ? "read" : "garbled";
    } catch {
      return "refused";
    }
  };
  const answers = [];
  for (const [at, count] of missed.entries()) {
    answers.push(await read(readers[at], count), await read(readers[at], count + 1));
  }
  return answers;
}

const libraries = { "baileys-6": await import("baileys-6"), "baileys-7": await import("baileys-7") };
const checks = {};
for (const [name, module] of Object.entries(libraries)) {
  const library = module.default?.initAuthCreds ? module.default : module;
  const seen = await look(() => baileysDevice(library), [1_000, 1_001]);
  print(`${name}: after 1,000 missed ${seen[0]}, after 1,001 ${seen[2]}, and the next ${seen[3]}`);
  checks[`${name} reads on after 1,000`] = seen[0] === "read" && seen[1] === "read";
  checks[`${name} reads nothing after 1,001`] = seen[2] === "refused" && seen[3] === "refused";
}
const other = await look(bridgeDevice, [1_001, 5_000]);
checks["whatsapp-rust-bridge reads on after 1,001, and 5,000"] = other.every((answer) => answer === "read");
for (const [what, holds] of Object.entries(checks)) print(holds ? "yes" : "NO ", what);
process.exit(Object.values(checks).every(Boolean) ? 0 : 1);
JAVASCRIPT
node seen.mjs
