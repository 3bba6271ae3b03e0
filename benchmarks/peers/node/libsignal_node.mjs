// SPDX-License-Identifier: Apache-2.0
// Driver for libsignal-node, through its public API.
//
//   node --expose-gc libsignal_node.mjs FOLDER
//
// FOLDER has the node_modules. The storage is maps of the library's own objects.

import { load, serve } from "./serve.mjs";

const signal = await load(process.argv[2], "libsignal-node");

const PREKEY = 3;

// A device is the storage object that the library asks for.
class Device {
  identity = signal.keyhelper.generateIdentityKeyPair();
  nextId = 1;
  prekeys = new Map();
  sessions = new Map();
  signedPrekeys = new Map();
  identities = new Map();

  async loadSession(address) {
    return this.sessions.get(address);
  }
  async storeSession(address, record) {
    this.sessions.set(address, record);
  }
  async isTrustedIdentity(name, key) {
    const known = this.identities.get(name);
    return known === undefined || known.equals(key);
  }
  async loadPreKey(id) {
    return this.prekeys.get(id);
  }
  async removePreKey(id) {
    this.prekeys.delete(id);
  }
  async loadSignedPreKey(id) {
    return this.signedPrekeys.get(id);
  }
  async getOurRegistrationId() {
    return 1234;
  }
  async getOurIdentity() {
    return this.identity;
  }
}

class End {
  constructor(device, name) {
    this.cipher = new signal.SessionCipher(device, new signal.ProtocolAddress(name, 1));
  }
  async encrypt(plaintext) {
    const { body, type } = await this.cipher.encrypt(plaintext);
    return [type, typeof body === "string" ? Buffer.from(body, "latin1") : body];
  }
  async decrypt([type, data]) {
    if (type === PREKEY) return this.cipher.decryptPreKeyWhisperMessage(data);
    return this.cipher.decryptWhisperMessage(data);
  }
}

serve({
  newDevice: async () => new Device(),
  makeBundle: async (device) => {
    const id = device.nextId++;
    const signed = signal.keyhelper.generateSignedPreKey(device.identity, id);
    const once = signal.keyhelper.generatePreKey(id);
    device.signedPrekeys.set(id, signed.keyPair);
    device.prekeys.set(id, once.keyPair);
    return {
      registrationId: 1234,
      identityKey: device.identity.pubKey,
      signedPreKey: { keyId: id, publicKey: signed.keyPair.pubKey, signature: signed.signature },
      preKey: { keyId: id, publicKey: once.keyPair.pubKey },
    };
  },
  start: async (device, name, bundle) => {
    const address = new signal.ProtocolAddress(name, 1);
    await new signal.SessionBuilder(device, address).initOutgoing(bundle);
    device.identities.set(name, bundle.identityKey);
    return new End(device, name);
  },
  accept: (device, name) => new End(device, name),
});
