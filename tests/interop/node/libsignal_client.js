// SPDX-License-Identifier: Apache-2.0
"use strict";
// Driver for @signalapp/libsignal-client, through its public API.

const signal = require("@signalapp/libsignal-client");
const { hex, need, newState, serve, unhex } = require("./peer.js");

const keyOf = (address) => `${address.name()}.${address.deviceId()}`;

function addressOf(text) {
  const dot = text.lastIndexOf(".");
  return signal.ProtocolAddress.new(text.slice(0, dot), Number(text.slice(dot + 1)));
}

class Sessions extends signal.SessionStore {
  constructor(state) {
    super();
    this.state = state;
  }
  async saveSession(address, record) {
    this.state.sessions[keyOf(address)] = hex(record.serialize());
  }
  async getSession(address) {
    const record = this.state.sessions[keyOf(address)];
    return record === undefined ? null : signal.SessionRecord.deserialize(unhex(record));
  }
}

class Identities extends signal.IdentityKeyStore {
  constructor(state) {
    super();
    this.state = state;
  }
  async getIdentityKey() {
    return signal.PrivateKey.deserialize(unhex(this.state.identity));
  }
  async getLocalRegistrationId() {
    return this.state.registrationId;
  }
  async saveIdentity(address, key) {
    const before = this.state.identities[keyOf(address)];
    this.state.identities[keyOf(address)] = hex(key.serialize());
    return before !== undefined && before !== hex(key.serialize());
  }
  async isTrustedIdentity(address, key) {
    const known = this.state.identities[keyOf(address)];
    return known === undefined || known === hex(key.serialize());
  }
  async getIdentity(address) {
    const known = this.state.identities[keyOf(address)];
    return known === undefined ? null : signal.PublicKey.deserialize(unhex(known));
  }
}

class Prekeys extends signal.PreKeyStore {
  constructor(state) {
    super();
    this.state = state;
  }
  async savePreKey(id, record) {
    this.state.prekeys[id] = hex(record.serialize());
  }
  async getPreKey(id) {
    return signal.PreKeyRecord.deserialize(unhex(need(this.state.prekeys, id, "prekey")));
  }
  async removePreKey(id) {
    delete this.state.prekeys[id];
  }
}

class SignedPrekeys extends signal.SignedPreKeyStore {
  constructor(state) {
    super();
    this.state = state;
  }
  async saveSignedPreKey(id, record) {
    this.state.signedPrekeys[id] = hex(record.serialize());
  }
  async getSignedPreKey(id) {
    const record = need(this.state.signedPrekeys, id, "signed prekey");
    return signal.SignedPreKeyRecord.deserialize(unhex(record));
  }
}

function fingerprint(state, request) {
  const mine = signal.PrivateKey.deserialize(unhex(state.identity)).getPublicKey();
  const theirs = signal.PublicKey.deserialize(unhex(need(state.identities, request.address, "identity")));
  const { iterations, version } = request;
  const [me, them] = [unhex(request.local_id), unhex(request.remote_id)];
  return signal.Fingerprint.new(iterations, version, me, mine, them, theirs);
}

serve({
  async create({ registration_id }) {
    return newState(hex(signal.PrivateKey.generate().serialize()), registration_id);
  },
  async bundle(state, { one_time }) {
    const identity = await new Identities(state).getIdentityKey();
    const signed = signal.PrivateKey.generate();
    const signedId = state.nextId++;
    const signature = identity.sign(signed.getPublicKey().serialize());
    const record = signal.SignedPreKeyRecord.new(signedId, 0, signed.getPublicKey(), signed, signature);
    await new SignedPrekeys(state).saveSignedPreKey(signedId, record);
    const bundle = {
      registration_id: state.registrationId,
      identity_key: hex(identity.getPublicKey().serialize()),
      signed_prekey_id: signedId,
      signed_prekey: hex(signed.getPublicKey().serialize()),
      signed_prekey_signature: hex(signature),
    };
    if (one_time) {
      const once = signal.PrivateKey.generate();
      bundle.one_time_prekey_id = state.nextId++;
      bundle.one_time_prekey = hex(once.getPublicKey().serialize());
      const prekey = signal.PreKeyRecord.new(bundle.one_time_prekey_id, once.getPublicKey(), once);
      await new Prekeys(state).savePreKey(bundle.one_time_prekey_id, prekey);
    }
    return { bundle };
  },
  async process_bundle(state, { address, bundle }) {
    const peer = addressOf(address);
    const once = bundle.one_time_prekey ? signal.PublicKey.deserialize(unhex(bundle.one_time_prekey)) : null;
    const theirs = signal.PreKeyBundle.new(
      bundle.registration_id,
      peer.deviceId(),
      bundle.one_time_prekey_id ?? null,
      once,
      bundle.signed_prekey_id,
      signal.PublicKey.deserialize(unhex(bundle.signed_prekey)),
      unhex(bundle.signed_prekey_signature),
      signal.PublicKey.deserialize(unhex(bundle.identity_key)),
    );
    await signal.processPreKeyBundle(theirs, peer, new Sessions(state), new Identities(state));
    return {};
  },
  async encrypt(state, { address, data }) {
    const message = await signal.signalEncrypt(
      unhex(data),
      addressOf(address),
      new Sessions(state),
      new Identities(state),
    );
    return { kind: message.type(), data: hex(message.serialize()) };
  },
  async decrypt(state, { address, kind, data }) {
    const [peer, bytes] = [addressOf(address), unhex(data)];
    const [sessions, identities] = [new Sessions(state), new Identities(state)];
    if (kind === signal.CiphertextMessageType.Whisper) {
      const message = signal.SignalMessage.deserialize(bytes);
      return { data: hex(await signal.signalDecrypt(message, peer, sessions, identities)) };
    }
    const message = signal.PreKeySignalMessage.deserialize(bytes);
    const [once, signed] = [new Prekeys(state), new SignedPrekeys(state)];
    return { data: hex(await signal.signalDecryptPreKey(message, peer, sessions, identities, once, signed)) };
  },
  async prekeys(state) {
    return { ids: Object.keys(state.prekeys).map(Number) };
  },
  async safety_number(state, request) {
    const number = fingerprint(state, request);
    const scannable = hex(number.scannableFingerprint().toBuffer());
    return { digits: number.displayableFingerprint().toString(), scannable };
  },
  async compare(state, request) {
    const theirs = signal.ScannableFingerprint._fromBuffer(unhex(request.scanned));
    return { matches: fingerprint(state, request).scannableFingerprint().compare(theirs) };
  },
});
