// SPDX-License-Identifier: Apache-2.0
// Driver for the sender keys of whatsapp-rust-bridge, through its public API.

import * as bridge from "whatsapp-rust-bridge";

import peer from "./peer.js";

const { hex, serve, unhex } = peer;

const storage = (state) => ({
  async loadSenderKey(name) {
    const record = state.senderKeys[name];
    return record === undefined ? undefined : unhex(record);
  },
  async storeSenderKey(name, record) {
    state.senderKeys[name] = hex(record);
  },
});

// The library throws texts in the place of errors.
async function named(promise) {
  try {
    return await promise;
  } catch (thrown) {
    throw typeof thrown === "string" ? new Error(thrown) : thrown;
  }
}

const nameOf = (group, member) => new bridge.SenderKeyName(group, bridge.ProtocolAddress.from(member));
const cipher = (state, group, member) =>
  new bridge.GroupCipher(storage(state), group, bridge.ProtocolAddress.from(member));

async function distribution(state, { group }) {
  const builder = new bridge.GroupSessionBuilder(storage(state));
  return { data: hex((await named(builder.create(nameOf(group, state.address)))).serialize()) };
}

serve({
  async create({ address }) {
    return { address, senderKeys: {} };
  },
  async new_key(state, request) {
    delete state.senderKeys[nameOf(request.group, state.address).toString()];
    return distribution(state, request);
  },
  distribution,
  async encrypt_group(state, { group, data, lost }) {
    const seal = () => named(cipher(state, group, state.address).encrypt(unhex(data)));
    for (let number = 0; number < (lost ?? 0); number++) await seal();
    return { data: hex(await seal()) };
  },
  async process_distribution(state, { group, sender, data }) {
    const message = bridge.SenderKeyDistributionMessage.deserialize(unhex(data));
    await named(new bridge.GroupSessionBuilder(storage(state)).process(nameOf(group, sender), message));
    return {};
  },
  async decrypt_group(state, { group, sender, data }) {
    return { data: hex(await named(cipher(state, group, sender).decrypt(unhex(data)))) };
  },
});
