// SPDX-License-Identifier: Apache-2.0
"use strict";
// Driver for every release of libsignal-client that we talk to, through its public API.
//
//     node libsignal_client.js PACKAGE [Yes|No]
//
// PACKAGE is the name under which package.json installs the release; the word after it is the
// UsePQRatchet of releases that leave the choice to their caller.

const { hex, need, newState, serve, unhex } = require("./peer.js");
const { stores } = require("./libsignal_client_stores.js");

// What differs between the releases beyond what they export.
const KNOWS_ITSELF = new Set(["libsignal-client-0.103"]); // wants the local address in every call

const LAST_RESORT = "last-resort";

function driver(signal, { knowsItself, pqRatchet }) {
  const { Sessions, Identities, Prekeys, SignedPrekeys, KyberPrekeys } = stores(signal);
  const hasKyber = KyberPrekeys !== null;
  const atEnd = hasKyber && signal.UsePQRatchet ? [signal.UsePQRatchet[pqRatchet]] : [];

  function addressOf(text) {
    const dot = text.lastIndexOf(".");
    return signal.ProtocolAddress.new(text.slice(0, dot), Number(text.slice(dot + 1)));
  }

  // The addresses as this release wants them: the peer's, and the device's own after it or not.
  function between(state, address) {
    const peer = addressOf(address);
    return knowsItself ? [peer, addressOf(state.address)] : [peer];
  }

  async function encryptOne(state, address, data) {
    const kept = [new Sessions(state), new Identities(state)];
    return signal.signalEncrypt(unhex(data), ...between(state, address), ...kept);
  }

  function fingerprint(state, request) {
    const mine = signal.PrivateKey.deserialize(unhex(state.identity)).getPublicKey();
    const known = need(state.identities, request.address, "identity");
    const theirs = signal.PublicKey.deserialize(unhex(known));
    const { iterations, version } = request;
    const [me, them] = [unhex(request.local_id), unhex(request.remote_id)];
    return signal.Fingerprint.new(iterations, version, me, mine, them, theirs);
  }

  async function kyberPart(state, identity, once) {
    const pair = signal.KEMKeyPair.generate();
    const id = state.nextId++;
    const signature = identity.sign(pair.getPublicKey().serialize());
    const record = signal.KyberPreKeyRecord.new(id, 0, pair, signature);
    await new KyberPrekeys(state).saveKyberPreKey(id, record);
    if (!once) state.kyberUses[id] = [];
    return {
      kyber_prekey_id: id,
      kyber_prekey: hex(pair.getPublicKey().serialize()),
      kyber_prekey_signature: hex(signature),
    };
  }

  return {
    async create({ registration_id, address }) {
      const identity = hex(signal.PrivateKey.generate().serialize());
      const state = newState(identity, registration_id);
      return { ...state, address, kyberPrekeys: {}, kyberUses: {} };
    },
    async bundle(state, { one_time, kyber }) {
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
      if (hasKyber) Object.assign(bundle, await kyberPart(state, identity, kyber !== LAST_RESORT));
      return { bundle };
    },
    async process_bundle(state, { address, bundle }) {
      const key = (text) => (text ? signal.PublicKey.deserialize(unhex(text)) : null);
      const kemKey = (text) => (text ? signal.KEMPublicKey.deserialize(unhex(text)) : null);
      const theirs = signal.PreKeyBundle.new(
        bundle.registration_id,
        addressOf(address).deviceId(),
        bundle.one_time_prekey_id ?? null,
        key(bundle.one_time_prekey),
        bundle.signed_prekey_id,
        key(bundle.signed_prekey),
        unhex(bundle.signed_prekey_signature),
        key(bundle.identity_key),
        ...(hasKyber
          ? [
              bundle.kyber_prekey_id ?? null,
              kemKey(bundle.kyber_prekey),
              bundle.kyber_prekey_signature ? unhex(bundle.kyber_prekey_signature) : null,
            ]
          : []),
      );
      const kept = [new Sessions(state), new Identities(state)];
      await signal.processPreKeyBundle(theirs, ...between(state, address), ...kept, ...atEnd);
      return {};
    },
    // `lost` messages are encrypted before this one and thrown away, each from the stored session.
    async encrypt(state, { address, data, lost }) {
      for (let number = 0; number < (lost ?? 0); number++) await encryptOne(state, address, data);
      const message = await encryptOne(state, address, data);
      return { kind: message.type(), data: hex(message.serialize()) };
    },
    async decrypt(state, { address, kind, data }) {
      const bytes = unhex(data);
      const kept = [new Sessions(state), new Identities(state)];
      if (kind === signal.CiphertextMessageType.Whisper) {
        const message = signal.SignalMessage.deserialize(bytes);
        return { data: hex(await signal.signalDecrypt(message, ...between(state, address), ...kept)) };
      }
      const message = signal.PreKeySignalMessage.deserialize(bytes);
      kept.push(new Prekeys(state), new SignedPrekeys(state));
      if (hasKyber) kept.push(new KyberPrekeys(state));
      const opened = signal.signalDecryptPreKey(message, ...between(state, address), ...kept, ...atEnd);
      return { data: hex(await opened) };
    },
    async sign(state, { data }) {
      const identity = signal.PrivateKey.deserialize(unhex(state.identity));
      const key = hex(identity.getPublicKey().serialize());
      return { key, signature: hex(identity.sign(unhex(data))) };
    },
    async verify(state, { key, data, signature }) {
      return { verifies: signal.PublicKey.deserialize(unhex(key)).verify(unhex(data), unhex(signature)) };
    },
    async prekeys(state) {
      const numbers = (table) => Object.keys(table).map(Number);
      return { ids: numbers(state.prekeys), kyber_ids: numbers(state.kyberPrekeys ?? {}) };
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
  };
}

async function main(name, pqRatchet) {
  const signal = await import(name); // newer releases are ES modules
  serve(driver(signal, { knowsItself: KNOWS_ITSELF.has(name), pqRatchet }));
}

main(...process.argv.slice(2));
