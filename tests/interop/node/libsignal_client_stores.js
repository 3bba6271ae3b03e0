// SPDX-License-Identifier: Apache-2.0
"use strict";
// The stores that libsignal-client asks its caller for, over the plain state of peer.js.
// Every record is serialized when it is saved and deserialized when it is asked for.

const { hex, need, unhex } = require("./peer.js");

const keyOf = (address) => `${address.name()}.${address.deviceId()}`;

function stores(signal) {
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

  // Releases with Kyber keys have an enum for the answer of saveIdentity, 0 or 1.
  const changed = signal.IdentityChange ? Number : Boolean;

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
      return changed(before !== undefined && before !== hex(key.serialize()));
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

  return { Sessions, Identities, Prekeys, SignedPrekeys, KyberPrekeys: kyberStore(signal) };
}

// null for releases without Kyber keys.
function kyberStore(signal) {
  if (!signal.KyberPreKeyStore) return null;
  return class KyberPrekeys extends signal.KyberPreKeyStore {
    constructor(state) {
      super();
      this.state = state;
    }
    async saveKyberPreKey(id, record) {
      this.state.kyberPrekeys[id] = hex(record.serialize());
    }
    async getKyberPreKey(id) {
      const record = need(this.state.kyberPrekeys, id, "Kyber prekey");
      return signal.KyberPreKeyRecord.deserialize(unhex(record));
    }
    // A one-time key is gone after its use. A last-resort key stays, and what it was used with is
    // remembered, where the release tells it (0.103).
    async markKyberPreKeyUsed(id, signedId, baseKey) {
      if (!(id in this.state.kyberUses)) {
        delete this.state.kyberPrekeys[id];
        return;
      }
      if (baseKey === undefined) return;
      const use = `${signedId} ${hex(baseKey.serialize())}`;
      if (this.state.kyberUses[id].includes(use)) throw new Error(`Kyber prekey ${id} replayed`);
      this.state.kyberUses[id].push(use);
    }
  };
}

module.exports = { stores };
