// SPDX-License-Identifier: Apache-2.0
// Driver for @signalapp/libsignal-client, through its public API.
//
//   node --expose-gc libsignal_client.mjs FOLDER x3dh|pqxdh
//
// FOLDER has the node_modules. Since some version sessions begin with PQXDH, and calls take the
// own address too. The stores are maps of the library's own objects, nothing is serialised for
// them; a message leaves and arrives as bytes.

import { connected, each, load, serve, times } from "./serve.mjs";

const [folder, agreement] = process.argv.slice(2);
const signal = await load(folder, "@signalapp/libsignal-client");
const isPostQuantum = agreement === "pqxdh";

const isSame = (one, other) => (isPostQuantum ? one.equals(other) : one.compare(other) === 0);
const keyOf = (address) => `${address.name()}.${address.deviceId()}`;

class Sessions extends signal.SessionStore {
  records = new Map();
  async saveSession(address, record) {
    this.records.set(keyOf(address), record);
  }
  async getSession(address) {
    return this.records.get(keyOf(address)) ?? null;
  }
  async getExistingSessions(addresses) {
    return addresses.map((address) => this.records.get(keyOf(address)));
  }
}

class Identities extends signal.IdentityKeyStore {
  known = new Map();
  key = signal.PrivateKey.generate();
  async getIdentityKey() {
    return this.key;
  }
  async getLocalRegistrationId() {
    return 1234;
  }
  async saveIdentity(address, key) {
    const before = this.known.get(keyOf(address));
    this.known.set(keyOf(address), key);
    const isReplaced = before !== undefined && !isSame(before, key);
    return isPostQuantum ? Number(isReplaced) : isReplaced;
  }
  async isTrustedIdentity(address, key) {
    const known = this.known.get(keyOf(address));
    return known === undefined || isSame(known, key);
  }
  async getIdentity(address) {
    return this.known.get(keyOf(address)) ?? null;
  }
}

class Prekeys extends signal.PreKeyStore {
  records = new Map();
  async savePreKey(id, record) {
    this.records.set(id, record);
  }
  async getPreKey(id) {
    return this.records.get(id);
  }
  async removePreKey(id) {
    this.records.delete(id);
  }
}

class SignedPrekeys extends signal.SignedPreKeyStore {
  records = new Map();
  async saveSignedPreKey(id, record) {
    this.records.set(id, record);
  }
  async getSignedPreKey(id) {
    return this.records.get(id);
  }
}

const KyberStore = isPostQuantum ? signal.KyberPreKeyStore : Object;
class KyberPrekeys extends KyberStore {
  records = new Map();
  async saveKyberPreKey(id, record) {
    this.records.set(id, record);
  }
  async getKyberPreKey(id) {
    return this.records.get(id);
  }
  async markKyberPreKeyUsed() {}
}

const ME = signal.ProtocolAddress.new("me", 1);
const own = isPostQuantum ? [ME] : [];

class End {
  constructor(device, name) {
    this.device = device;
    this.address = signal.ProtocolAddress.new(name, 1);
  }
  async encrypt(plaintext) {
    const { identities, sessions } = this.device;
    const place = [this.address, ...own, sessions, identities];
    const message = await signal.signalEncrypt(plaintext, ...place);
    return [message.type(), message.serialize()];
  }
  async decrypt([type, data]) {
    const { identities, kyber, prekeys, sessions, signed } = this.device;
    const place = [this.address, ...own, sessions, identities];
    if (type === signal.CiphertextMessageType.Whisper) {
      return signal.signalDecrypt(signal.SignalMessage.deserialize(data), ...place);
    }
    const more = isPostQuantum ? [kyber] : [];
    const message = signal.PreKeySignalMessage.deserialize(data);
    return signal.signalDecryptPreKey(message, ...place, prekeys, signed, ...more);
  }
}

function kyberOf(device, id) {
  if (!isPostQuantum) return [];
  const pair = signal.KEMKeyPair.generate();
  const signature = device.identities.key.sign(pair.getPublicKey().serialize());
  device.kyber.records.set(id, signal.KyberPreKeyRecord.new(id, 0, pair, signature));
  return [id, pair.getPublicKey(), signature];
}

const library = {
  newDevice: async () => ({
    identities: new Identities(),
    kyber: new KyberPrekeys(),
    nextId: 1,
    prekeys: new Prekeys(),
    sessions: new Sessions(),
    signed: new SignedPrekeys(),
  }),
  makeBundle: async (device) => {
    const id = device.nextId++;
    const identity = device.identities.key;
    const signed = signal.PrivateKey.generate();
    const signature = identity.sign(signed.getPublicKey().serialize());
    const record = signal.SignedPreKeyRecord.new(id, 0, signed.getPublicKey(), signed, signature);
    device.signed.records.set(id, record);
    const once = signal.PrivateKey.generate();
    device.prekeys.records.set(id, signal.PreKeyRecord.new(id, once.getPublicKey(), once));
    return signal.PreKeyBundle.new(
      ...[1234, 1, id, once.getPublicKey(), id, signed.getPublicKey(), signature],
      ...[identity.getPublicKey(), ...kyberOf(device, id)],
    );
  },
  start: async (device, name, bundle) => {
    const end = new End(device, name);
    const { identities, sessions } = device;
    await signal.processPreKeyBundle(bundle, end.address, ...own, sessions, identities);
    return end;
  },
  accept: (device, name) => new End(device, name),
};

const ofVersion4 = {
  async bundle_v4() {
    const device = await library.newDevice();
    return async () => {
      await library.makeBundle(device);
      kyberOf(device, device.nextId++); // the one of last resort
    };
  },
  // The copies of a message for an account: one for each device, one after the other.
  async encrypt_devices(job) {
    const ana = await library.newDevice();
    const ends = await times(job.parameters.devices, async (i) => {
      const [end] = await connected(library, ana, await library.newDevice(), i);
      return end;
    });
    const plaintext = Buffer.alloc(job.parameters.bytes);
    return async () => {
      for (const end of ends) await end.encrypt(plaintext);
    };
  },
};

const GROUP = "8c78cd2a-16ff-427d-83dc-1a5e36ce713d";

class SenderKeys extends (signal.SenderKeyStore ?? Object) {
  records = new Map();
  async saveSenderKey(sender, group, record) {
    this.records.set(`${keyOf(sender)} ${group}`, record);
  }
  async getSenderKey(sender, group) {
    return this.records.get(`${keyOf(sender)} ${group}`) ?? null;
  }
}

const distributionOf = async (sender, keys) =>
  (await signal.SenderKeyDistributionMessage.create(sender, GROUP, keys)).serialize();

async function takeIn(sender, data, keys) {
  const message = signal.SenderKeyDistributionMessage.deserialize(data);
  await signal.processSenderKeyDistributionMessage(sender, message, keys);
}

const inGroups = {
  async group_encrypt(job) {
    const keys = new SenderKeys();
    await distributionOf(ME, keys);
    const plaintext = Buffer.alloc(job.parameters.bytes);
    return async () => (await signal.groupEncrypt(ME, GROUP, keys, plaintext)).serialize();
  },
  async group_decrypt(job) {
    const [ana, budi] = [new SenderKeys(), new SenderKeys()];
    await takeIn(ME, await distributionOf(ME, ana), budi);
    const plaintext = Buffer.alloc(job.parameters.bytes);
    const made = await times(job.warmup + job.blocks * job.count, async () =>
      (await signal.groupEncrypt(ME, GROUP, ana, plaintext)).serialize(),
    );
    return each(made, (message) => signal.groupDecrypt(ME, budi, message));
  },
  async group_distribution(job) {
    const budi = new SenderKeys();
    const made = await times(job.warmup + job.blocks * job.count, async (i) => {
      const sender = signal.ProtocolAddress.new(`ana${i}`, 1);
      return [sender, await distributionOf(sender, new SenderKeys())];
    });
    return each(made, ([sender, data]) => takeIn(sender, data, budi));
  },
};
if (isPostQuantum) {
  library.storedBytes = ({ address, device }) =>
    device.sessions.records.get(keyOf(address)).serialize().length;
}

serve(library, {
  ...(isPostQuantum ? { ...ofVersion4, ...inGroups } : {}),
  async safety_number() {
    const [ana, budi] = [0, 0].map(() => signal.PrivateKey.generate().getPublicKey());
    const [ours, theirs] = ["whatsapp:ana", "instagram:budi"].map((name) => Buffer.from(name));
    return () => {
      const number = signal.Fingerprint.new(5200, 2, ours, ana, theirs, budi);
      number.displayableFingerprint().toString();
      number.scannableFingerprint().toBuffer();
    };
  },
});
