// SPDX-License-Identifier: Apache-2.0
// Driver for the sender keys of baileys, through the Signal repository that its exported default
// configuration makes.
//
//     node groups_baileys.mjs PACKAGE

import peer from "./peer.js";

const { hex, serve, unhex } = peer;

const baileys = await import(process.argv[2]);
const { BufferJSON, DEFAULT_CONNECTION_CONFIG, initAuthCreds } = baileys.default?.BufferJSON ? baileys.default : baileys;

const logger = { level: "silent", child: () => logger };
for (const name of ["trace", "debug", "info", "warn", "error", "fatal"]) logger[name] = () => {};

const creds = initAuthCreds(); // of no use for sender keys

// The key store that the library asks for.
function keys(state) {
  return {
    async get(type, ids) {
      const known = ids.map((id) => [id, state.keys[`${type} ${id}`]]).filter(([, value]) => value !== undefined);
      return Object.fromEntries(known.map(([id, value]) => [id, JSON.parse(value, BufferJSON.reviver)]));
    },
    async set(types) {
      for (const [type, values] of Object.entries(types)) {
        for (const [id, value] of Object.entries(values)) {
          if (value === null) delete state.keys[`${type} ${id}`];
          else state.keys[`${type} ${id}`] = JSON.stringify(value, BufferJSON.replacer);
        }
      }
    },
    transaction: (work) => work(),
    isInTransaction: () => true,
  };
}

const repository = (state) =>
  DEFAULT_CONNECTION_CONFIG.makeSignalRepository({ creds, keys: keys(state) }, logger, async () => undefined);

const jid = (member) => `${member}@s.whatsapp.net`;

const seal = (state, group, data) =>
  repository(state).encryptGroupMessage({ group, meId: jid(state.address), data: unhex(data) });

serve({
  async create({ address }) {
    return { address, keys: {} };
  },
  // The library hands out a distribution message with every message, as it was before that message.
  async new_key(state) {
    state.keys = Object.fromEntries(
      Object.entries(state.keys).filter(([name]) => !name.includes(`::${state.address}::`)),
    );
    return {};
  },
  async encrypt_group(state, { group, data, lost }) {
    for (let number = 0; number < (lost ?? 0); number++) await seal(state, group, data);
    const { ciphertext, senderKeyDistributionMessage } = await seal(state, group, data);
    return { data: hex(ciphertext), distribution: hex(senderKeyDistributionMessage) };
  },
  async process_distribution(state, { group, sender, data }) {
    const item = { groupId: group, axolotlSenderKeyDistributionMessage: unhex(data) };
    await repository(state).processSenderKeyDistributionMessage({ item, authorJid: jid(sender) });
    return {};
  },
  async decrypt_group(state, { group, sender, data }) {
    const read = repository(state).decryptGroupMessage({ group, authorJid: jid(sender), msg: unhex(data) });
    return { data: hex(await read) };
  },
});
