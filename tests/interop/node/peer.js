// SPDX-License-Identifier: Apache-2.0
"use strict";
// What the Node drivers share: the request loop and a device's state.
//
// One JSON object per line comes in, one goes out: {"ok": true, ...} or {"ok": false, "error": "..."}.
// The state is a plain object of strings and numbers. Between two requests it exists only as one JSON
// text, so every operation starts from what was saved, as after a restart.

const readline = require("node:readline");

// Libraries that log (whole sessions, even) would talk into our answers.
for (const name of ["log", "info", "warn", "error", "debug", "trace"]) console[name] = () => {};

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const unhex = (text) => Buffer.from(text, "hex");

function newState(identity, registrationId) {
  return {
    identity, // the library's own form of the identity key pair
    registrationId,
    nextId: 0x0a0b01, // prekey ids; needs three bytes, so that a truncated id would show
    prekeys: {},
    signedPrekeys: {},
    sessions: {},
    identities: {},
  };
}

function need(table, key, what) {
  if (!(key in table)) throw new Error(`no ${what} ${key}`);
  return table[key];
}

// `commands`: name -> async (state, request) => answer. `create` gets no state and returns one.
function serve({ create, ...commands }) {
  let saved = null;
  async function handle(request) {
    if (request.cmd === "create") {
      saved = JSON.stringify(await create(request));
      return {};
    }
    if (request.cmd === "load") {
      saved = unhex(request.state).toString("utf8");
      return {};
    }
    if (saved === null) throw new Error("no device: create or load one first");
    if (request.cmd === "save") return { state: hex(Buffer.from(saved, "utf8")) };
    if (!Object.hasOwn(commands, request.cmd)) throw new Error(`unknown command ${request.cmd}`);
    const state = JSON.parse(saved);
    try {
      return await commands[request.cmd](state, request);
    } finally {
      saved = JSON.stringify(state); // also after a failure: what the library stored, it stored
    }
  }
  let queue = Promise.resolve();
  readline.createInterface({ input: process.stdin }).on("line", (line) => {
    queue = queue.then(async () => {
      let answer;
      try {
        answer = { ok: true, ...(await handle(JSON.parse(line))) };
      } catch (error) {
        answer = { ok: false, error: `${error.name}: ${error.message}` };
      }
      process.stdout.write(JSON.stringify(answer) + "\n");
    });
  });
}

module.exports = { hex, need, newState, serve, unhex };
