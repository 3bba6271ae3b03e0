// SPDX-License-Identifier: Apache-2.0
"use strict";
// Driver for the sender keys of libsignal-client, through its public API.
//
//     node groups_libsignal_client.js PACKAGE
//
// A group is the text of a UUID; members are "name.device".

const { hex, need, serve, unhex } = require("./peer.js");

function driver(signal) {
  const addressOf = (text) => {
    const dot = text.lastIndexOf(".");
    return signal.ProtocolAddress.new(text.slice(0, dot), Number(text.slice(dot + 1)));
  };
  const keyOf = (sender, group) => `${sender.name()}.${sender.deviceId()} ${group}`;

  class SenderKeys extends signal.SenderKeyStore {
    constructor(state) {
      super();
      this.state = state;
    }
    async saveSenderKey(sender, group, record) {
      this.state.senderKeys[keyOf(sender, group)] = hex(record.serialize());
    }
    async getSenderKey(sender, group) {
      const record = this.state.senderKeys[keyOf(sender, group)];
      return record === undefined ? null : signal.SenderKeyRecord.deserialize(unhex(record));
    }
  }

  async function distribution(state, { group }) {
    const made = signal.SenderKeyDistributionMessage.create(addressOf(state.address), group, new SenderKeys(state));
    return { data: hex((await made).serialize()) };
  }

  return {
    async create({ address }) {
      return { address, senderKeys: {} };
    },
    async new_key(state, request) {
      delete state.senderKeys[keyOf(addressOf(state.address), request.group)];
      return distribution(state, request);
    },
    async distribution(state, request) {
      need(state.senderKeys, keyOf(addressOf(state.address), request.group), "sender key");
      return distribution(state, request);
    },
    // `lost` messages are encrypted before this one and thrown away, each from the stored key.
    async encrypt_group(state, { group, data, lost }) {
      const seal = () => signal.groupEncrypt(addressOf(state.address), group, new SenderKeys(state), unhex(data));
      for (let number = 0; number < (lost ?? 0); number++) await seal();
      return { data: hex((await seal()).serialize()) };
    },
    async process_distribution(state, { sender, data }) {
      const message = signal.SenderKeyDistributionMessage.deserialize(unhex(data));
      await signal.processSenderKeyDistributionMessage(addressOf(sender), message, new SenderKeys(state));
      return {};
    },
    async decrypt_group(state, { sender, data }) {
      return { data: hex(await signal.groupDecrypt(addressOf(sender), new SenderKeys(state), unhex(data))) };
    },
  };
}

async function main(name) {
  serve(driver(await import(name))); // an ES module
}

main(...process.argv.slice(2));
