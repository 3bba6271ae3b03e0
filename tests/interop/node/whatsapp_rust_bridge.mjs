// SPDX-License-Identifier: Apache-2.0
// Driver for whatsapp-rust-bridge, through its public API. An ES module, as the package is.

import * as bridge from "whatsapp-rust-bridge";

import peer from "./peer.js";

const { hex, need, newState, serve, unhex } = peer;

const PREKEY = 3;

const pack = (pair) => ({ pubKey: hex(pair.pubKey), privKey: hex(pair.privKey) });
const unpack = (pair) => ({ pubKey: unhex(pair.pubKey), privKey: unhex(pair.privKey) });

// The storage object that the library asks for. It reads a session as bytes, and gives a record.
function storage(state) {
  return {
    async loadSession(address) {
      const record = state.sessions[address];
      return record === undefined ? undefined : unhex(record);
    },
    async storeSession(address, record) {
      state.sessions[address] = hex(record.serialize());
    },
    async isTrustedIdentity(_name, key) {
      const known = Object.values(state.identities); // one contact per device in these tests
      return known.length === 0 || known.includes(hex(key));
    },
    async loadPreKey(id) {
      return state.prekeys[id] && unpack(state.prekeys[id]);
    },
    async removePreKey(id) {
      delete state.prekeys[id];
    },
    async loadSignedPreKey(id) {
      const { signature, ...pair } = need(state.signedPrekeys, id, "signed prekey");
      return { keyId: id, keyPair: unpack(pair), signature: unhex(signature) };
    },
    async getOurRegistrationId() {
      return state.registrationId;
    },
    async getOurIdentity() {
      return unpack(state.identity);
    },
  };
}

// The library throws texts, "where it happened: Name(details)": errors with that name are made of them.
async function named(promise) {
  try {
    return await promise;
  } catch (thrown) {
    if (typeof thrown !== "string") throw thrown;
    const error = new Error(thrown);
    error.name = /: (\w+)\(/.exec(thrown)?.[1] ?? "Error";
    throw error;
  }
}

const cipher = (state, address) => new bridge.SessionCipher(storage(state), bridge.ProtocolAddress.from(address));

serve({
  async create({ registration_id }) {
    return newState(pack(bridge.generateIdentityKeyPair()), registration_id);
  },
  async bundle(state, { one_time }) {
    const identity = unpack(state.identity);
    const signed = bridge.generateSignedPreKey(identity, state.nextId++);
    state.signedPrekeys[signed.keyId] = { ...pack(signed.keyPair), signature: hex(signed.signature) };
    const bundle = {
      registration_id: state.registrationId,
      identity_key: hex(identity.pubKey),
      signed_prekey_id: signed.keyId,
      signed_prekey: hex(signed.keyPair.pubKey),
      signed_prekey_signature: hex(signed.signature),
    };
    if (one_time) {
      const once = bridge.generatePreKey(state.nextId++);
      state.prekeys[once.keyId] = pack(once.keyPair);
      bundle.one_time_prekey_id = once.keyId;
      bundle.one_time_prekey = hex(once.keyPair.pubKey);
    }
    return { bundle };
  },
  async process_bundle(state, { address, bundle }) {
    const theirs = {
      registrationId: bundle.registration_id,
      identityKey: unhex(bundle.identity_key),
      signedPreKey: {
        keyId: bundle.signed_prekey_id,
        publicKey: unhex(bundle.signed_prekey),
        signature: unhex(bundle.signed_prekey_signature),
      },
    };
    if (bundle.one_time_prekey) {
      theirs.preKey = { keyId: bundle.one_time_prekey_id, publicKey: unhex(bundle.one_time_prekey) };
    }
    const contact = bridge.ProtocolAddress.from(address);
    await named(new bridge.SessionBuilder(storage(state), contact).initOutgoing(theirs));
    state.identities[address] = bundle.identity_key;
    return {};
  },
  async encrypt(state, { address, data }) {
    const message = await named(cipher(state, address).encrypt(unhex(data)));
    return { kind: message.type, data: hex(message.body) };
  },
  async decrypt(state, { address, kind, data }) {
    const session = cipher(state, address);
    const bytes = unhex(data);
    if (kind === PREKEY) return { data: hex(await named(session.decryptPreKeyWhisperMessage(bytes))) };
    return { data: hex(await named(session.decryptWhisperMessage(bytes))) };
  },
  async prekeys(state) {
    return { ids: Object.keys(state.prekeys).map(Number) };
  },
});
