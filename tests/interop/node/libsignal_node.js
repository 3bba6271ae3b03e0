// SPDX-License-Identifier: Apache-2.0
"use strict";
// Driver for libsignal-node and for the later releases of it that are called libsignal, through
// their public API: libsignal_node.js PACKAGE

const signal = require(process.argv[2]);
const { hex, need, newState, serve, unhex } = require("./peer.js");

// The library's number for a message on an established session; ours (and libsignal's) is 2.
const LIBRARY_NORMAL = 1;
const PREKEY = 3;
const SIGNAL = 2;

const pack = (pair) => ({ pubKey: hex(pair.pubKey), privKey: hex(pair.privKey) });
const unpack = (pair) => ({ pubKey: unhex(pair.pubKey), privKey: unhex(pair.privKey) });

// The storage object that the library asks for.
function storage(state) {
  return {
    async loadSession(address) {
      const record = state.sessions[address];
      return record === undefined ? undefined : signal.SessionRecord.deserialize(JSON.parse(record));
    },
    async storeSession(address, record) {
      state.sessions[address] = JSON.stringify(record.serialize());
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
      return unpack(need(state.signedPrekeys, id, "signed prekey"));
    },
    async getOurRegistrationId() {
      return state.registrationId;
    },
    async getOurIdentity() {
      return unpack(state.identity);
    },
  };
}

const cipher = (state, address) => new signal.SessionCipher(storage(state), signal.ProtocolAddress.from(address));

serve({
  async create({ registration_id }) {
    return newState(pack(signal.keyhelper.generateIdentityKeyPair()), registration_id);
  },
  async bundle(state, { one_time }) {
    const identity = unpack(state.identity);
    const signed = signal.keyhelper.generateSignedPreKey(identity, state.nextId++);
    state.signedPrekeys[signed.keyId] = pack(signed.keyPair);
    const bundle = {
      registration_id: state.registrationId,
      identity_key: hex(identity.pubKey),
      signed_prekey_id: signed.keyId,
      signed_prekey: hex(signed.keyPair.pubKey),
      signed_prekey_signature: hex(signed.signature),
    };
    if (one_time) {
      const once = signal.keyhelper.generatePreKey(state.nextId++);
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
    const peer = signal.ProtocolAddress.from(address);
    await new signal.SessionBuilder(storage(state), peer).initOutgoing(theirs);
    state.identities[address] = bundle.identity_key;
    return {};
  },
  async encrypt(state, { address, data }) {
    const message = await cipher(state, address).encrypt(unhex(data));
    const body = typeof message.body === "string" ? Buffer.from(message.body, "latin1") : message.body;
    return { kind: message.type === LIBRARY_NORMAL ? SIGNAL : message.type, data: hex(body) };
  },
  async decrypt(state, { address, kind, data }) {
    const session = cipher(state, address);
    const bytes = unhex(data);
    if (kind === PREKEY) return { data: hex(await session.decryptPreKeyWhisperMessage(bytes)) };
    return { data: hex(await session.decryptWhisperMessage(bytes)) };
  },
  async prekeys(state) {
    return { ids: Object.keys(state.prekeys).map(Number) };
  },
});
