// SPDX-License-Identifier: Apache-2.0
// The page of the demo: it builds itself from the server's events alone, so a reload shows the same.
//
// - What anybody has typed, and what comes from a peer, becomes text of a node and nothing else.
// - Nothing is asked of anybody but the server that the page came from.
// - What a person has chosen to look at is kept in this tab's session; all else is the server's.
"use strict";

const APPS = { whatsapp: "WhatsApp", instagram: "Instagram", messenger: "Messenger" };
const COLUMNS = { ana: "ana", laptop: "ana", budi: "budi", toko: "toko" };
const FIRST_CHATS = {
  ana: "instagram:budi",
  laptop: "instagram:budi",
  budi: "whatsapp:ana",
  toko: "whatsapp:ana",
};
const EMOJI = [["❤️", "heart"], ["👍", "thumbs up"], ["😂", "laughing"], ["🎉", "party"], ["☕️", "coffee"]];
const ATTACKS = [
  ["flip", "Flip one bit", "Alters a single bit of a message on its way, then delivers the genuine one."],
  ["replay", "Deliver twice", "Hands over the last message once more."],
  ["readdress", "Put it into another mailbox", "Gives a message to somebody else, with the address rewritten to fit."],
  ["add_device", "Add a device to Ana", "Gives Ana's account a third device, with keys of the back end's own."],
  ["add_member", "Add a member to the group", "Puts a member of its own into the group, whom nobody has invited."],
  ["hide", "Hide a message", "Takes a message and keeps it."],
  ["restore", "Restore an old phone", "Ana's phone gets an old copy of its store back, as from a backup."],
  ["swap_keys", "Swap the keys of a first contact", "Citra writes to the shop for the first time, and is given the back end's keys."],
];
const VERDICTS = {
  refused: ["Refused", "i-shield"],
  noticed: ["Noticed", "i-eye"],
  "not noticed": ["Not noticed", "i-hidden"],
  "only by comparing": ["Only by comparing", "i-alert"],
  "": ["Not done", "i-close"],
};
const MOST_BLOBS = 300; // of the newest that are drawn; the sums count all
const MOST_ITEMS = 500; // of one chat
const MOST_PICTURE_BYTES = 1 << 20; // the server's bound

const phones = new Map(); // by id: those that are drawn
const users = new Map(); // by user: name, and the phone that speaks for it
const blobs = new Map(); // by number
const attacks = new Map(); // by number
const readMessages = new Set(); // ids that somebody is known to have read
const kept = load();
let running = null; // the attack that is going on
let asked = false; // for an attack, of which no event has come
let settled = false; // what comes from now on is new: it is announced, and moves

// ---- Nodes

const find = (id) => document.getElementById(id);

function make(tag, { className, text, ...attributes } = {}, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function draw(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const icon = (name) => draw("svg", { class: "icon", "aria-hidden": "true" }, draw("use", { href: `#${name}` }));

function announce(text, urgent = false) {
  if (!settled) return;
  const region = find(urgent ? "assertive" : "polite");
  region.append(make("p", { text }));
  while (region.childElementCount > 3) region.firstElementChild.remove();
}

// ---- What this tab keeps

function load() {
  try {
    return JSON.parse(sessionStorage.getItem(location.pathname)) ?? {};
  } catch {
    return {}; // no storage, or not ours: the page works without
  }
}

function keep(name, value) {
  kept[name] = value;
  try {
    sessionStorage.setItem(location.pathname, JSON.stringify(kept));
  } catch {
    // without storage a reload shows the first screen again
  }
}

// ---- The server

async function act(action, fields) {
  try {
    const response = await fetch("do", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ action, ...fields }),
    });
    if (response.ok) return await response.json();
    return { ok: false, error: "The demo did not understand that." };
  } catch {
    return { ok: false, error: "The demo does not answer: it may have ended." };
  }
}

// ---- Who is who

const nameOf = (user) => users.get(user)?.name ?? user.split(":").pop();
const appOf = (user) => user.split(":")[0];
const isGroup = (chat) => chat.startsWith("group:");
const listed = (names) => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);
const initials = (name) => [...name].slice(0, 1).join("").toUpperCase();
const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const number = (value) => value.toLocaleString("en");

function titleOf(phone, chat) {
  return chat.title || (isGroup(chat.id) ? "Group" : nameOf(chat.id));
}

// ---- Phones

function onPhone(event) {
  const main = event.phone !== "laptop"; // a second device has the name of a device, not of a person
  if (main || !users.has(event.user)) {
    users.set(event.user, { name: event.name, phone: event.phone });
  }
  if (!(event.phone in COLUMNS)) return;
  const phone = phones.get(event.phone) ?? addPhone(event);
  phone.user = event.user;
  phone.owner = users.get(event.user).name;
  phone.name = main ? `${event.name}'s phone` : `${phone.owner}'s laptop`;
  const { node } = phone;
  node.dataset.app = appOf(event.user);
  node.setAttribute("aria-label", phone.name);
  node.querySelector(".avatar").textContent = initials(phone.owner);
  node.querySelector("h2").textContent = phone.owner;
  node.querySelector(".app").textContent = event.app;
  node.querySelector(".process").textContent = `${event.address} · process ${event.process}`;
  phone.strip.setAttribute("aria-label", `Chats on ${phone.name}`);
  phone.messages.setAttribute("aria-label", `Messages on ${phone.name}`);
  node.querySelector('[data-do="picture"]').setAttribute("aria-label", `Send a picture from ${phone.name}`);
  addContacts();
}

function addPhone(event) {
  const node = find("phone-template").content.cloneNode(true).firstElementChild;
  const phone = {
    id: event.phone,
    node,
    chats: new Map(),
    open: null,
    wanted: kept[`chat ${event.phone}`] ?? FIRST_CHATS[event.phone],
    strip: node.querySelector(".chats"),
    messages: node.querySelector(".messages"),
    input: node.querySelector("input"),
    looked: new Set(kept[`looked ${event.phone}`]),
    atEnd: true,
  };
  node.id = `phone-${phone.id}`;
  phones.set(phone.id, phone);
  document.querySelector(`[data-column="${COLUMNS[phone.id]}"]`).append(node);
  node.hidden = COLUMNS[phone.id] === "ana" && phone.id !== shownDevice();
  node.querySelector("form").addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    sendText(phone);
  });
  node.querySelector('[data-do="picture"]').addEventListener("click", () => openPictures(phone));
  node.querySelector('[data-do="verify"]').addEventListener("click", () => openNumbers(phone.id, phone.open.id));
  node.querySelector('[data-do="dismiss"]').addEventListener("click", () => {
    node.querySelector(".banner").hidden = true;
    phone.input.focus();
  });
  phone.messages.addEventListener("keydown", (pressed) => walkMessages(phone, pressed));
  phone.messages.addEventListener("scroll", () => {
    phone.atEnd = isAtEnd(phone.messages);
  });
  new ResizeObserver(() => {
    if (phone.atEnd) showEnd(phone);
  }).observe(phone.messages);
  return phone;
}

const isAtEnd = (list) => list.scrollHeight - list.scrollTop - list.clientHeight < 60;

function showEnd(phone) {
  phone.messages.scrollTop = phone.messages.scrollHeight;
  phone.atEnd = true;
}

function addContacts() {
  for (const phone of phones.values()) {
    for (const other of phones.values()) {
      if (other.user !== phone.user && !phone.chats.has(other.user)) addChat(phone, other.user);
    }
    for (const chat of phone.chats.values()) drawChat(phone, chat);
    drawHead(phone);
  }
}

// ---- Chats

function addChat(phone, id) {
  const button = make("button", { type: "button", "aria-current": "false" });
  const chat = { id, title: "", members: [], items: [], byId: new Map(), button, draft: "" };
  button.addEventListener("click", () => {
    openChat(phone, chat);
    keep(`chat ${phone.id}`, chat.id);
  });
  phone.chats.set(id, chat);
  phone.strip.querySelector(".new-group")?.remove();
  phone.strip.append(button, makeGroupButton(phone));
  drawChat(phone, chat);
  if (phone.wanted === id || phone.open === null) openChat(phone, chat);
  return chat;
}

function makeGroupButton(phone) {
  const button = make(
    "button",
    { type: "button", className: "new-group", "aria-label": `New group on ${phone.name}` },
    make("span", { className: "avatar" }, icon("i-group")),
    make("span", { className: "name", text: "Group" }),
  );
  button.addEventListener("click", () => openGroups(phone));
  return button;
}

const chatOf = (phone, id) => phone.chats.get(id) ?? addChat(phone, id);

function onChat(event) {
  const phone = phones.get(event.phone);
  if (!phone) return;
  const chat = chatOf(phone, event.chat);
  chat.title = event.title;
  chat.members = event.members;
  drawChat(phone, chat);
  if (phone.open === chat) drawHead(phone);
}

function unread(phone, chat) {
  const isUnread = (item) => item.id && !item.own && !phone.looked.has(item.id) && !readMessages.has(item.id);
  return chat.items.filter(isUnread).length;
}

function drawChat(phone, chat) {
  const title = titleOf(phone, chat);
  const count = unread(phone, chat);
  const avatar = make("span", { className: "avatar", "aria-hidden": "true" });
  avatar.textContent = isGroup(chat.id) ? String(chat.members.length || "") : initials(title);
  if (!isGroup(chat.id)) avatar.dataset.app = appOf(chat.id);
  chat.button.replaceChildren(avatar, make("span", { className: "name", text: title }));
  if (count) {
    const badge = make("span", { className: "count", text: String(count) }, make("span", { className: "sr", text: " unread" }));
    chat.button.append(badge);
  }
  drawDots();
}

function drawHead(phone) {
  const chat = phone.open;
  if (!chat) return;
  const title = titleOf(phone, chat);
  const head = phone.node.querySelector(".with");
  head.querySelector("h3").textContent = title;
  const others = chat.members.filter((user) => user !== phone.user).map(nameOf);
  const app = APPS[appOf(chat.id)] ?? appOf(chat.id);
  head.querySelector(".members").textContent = isGroup(chat.id) ? listed(["You", ...others]) : `on ${app}`;
  const verify = head.querySelector(".verify");
  verify.hidden = isGroup(chat.id);
  verify.setAttribute("aria-label", `Verify: the safety number of ${title}, on ${phone.name}`);
  phone.input.placeholder = `Message to ${title}`;
  phone.input.setAttribute("aria-label", `Message from ${phone.name} to ${title}`);
  phone.node.querySelector(".send").setAttribute("aria-label", `Send from ${phone.name}`);
}

function openChat(phone, chat) {
  if (phone.open) {
    phone.open.draft = phone.input.value;
    phone.open.button.setAttribute("aria-current", "false");
  }
  phone.open = chat;
  if (phone.wanted === chat.id) phone.wanted = null;
  chat.button.setAttribute("aria-current", "true");
  phone.input.value = chat.draft;
  phone.messages.replaceChildren(...chat.items.map((item) => item.node));
  setStop(phone, phone.messages.querySelector("li:last-child .react"));
  drawHead(phone);
  complain(phone.node, "");
  showEnd(phone);
  look(phone);
}

function addItem(phone, chat, item) {
  item.node = item.id ? makeMessage(phone, chat, item) : makeNotice(item);
  chat.items.push(item);
  if (item.id) chat.byId.set(item.id, item);
  if (chat.items.length > MOST_ITEMS) {
    const dropped = chat.items.shift();
    chat.byId.delete(dropped.id);
    dropped.node.remove();
  }
  if (phone.open === chat) {
    const atEnd = phone.atEnd;
    phone.messages.append(item.node);
    if (!phone.messages.contains(document.activeElement)) setStop(phone, item.node.querySelector(".react"));
    if (atEnd || item.own) showEnd(phone);
  }
}

// ---- Messages

function onMessage(event) {
  const phone = phones.get(event.phone);
  if (!phone) return;
  const chat = chatOf(phone, event.chat);
  if (chat.byId.has(event.id)) return;
  addItem(phone, chat, { ...event, reactions: new Map(), status: "" });
  look(phone);
  drawChat(phone, chat);
  const said = event.picture ? `a picture${event.text ? `, ${event.text}` : ""}` : event.text;
  announce(`${phone.name}: ${event.own ? "you" : nameOf(event.from)}: ${said}`);
}

function makeMessage(phone, chat, item) {
  const bubble = make("div", { className: "bubble" });
  const author = item.own ? "You" : nameOf(item.from);
  if (!item.own && isGroup(chat.id)) bubble.append(make("p", { className: "author", text: author, "data-app": appOf(item.from) }));
  else bubble.append(make("span", { className: "sr", text: `${author}: ` }));
  if (item.picture) {
    bubble.append(make("img", { src: item.picture, alt: `Picture from ${author}` }));
  }
  if (item.text) bubble.append(make("p", { className: "text", text: item.text, dir: "auto" }));
  item.meta = make("p", { className: "meta" });
  bubble.append(item.meta);
  item.chips = make("p", { className: "chips" });
  const about = item.text ? `“${item.text.slice(0, 40)}”` : "the picture";
  const react = make(
    "button",
    { type: "button", className: "react", tabindex: "-1", "aria-expanded": "false", "aria-label": `React to ${about}, on ${phone.name}` },
    icon("i-smile"),
  );
  react.addEventListener("click", () => toggleTray(phone, chat, item, react));
  const node = make("li", { className: item.own ? "message own" : "message", "data-id": item.id }, bubble, react, item.chips);
  drawMeta(item);
  return node;
}

function drawMeta(item) {
  item.meta.replaceChildren(make("span", { text: clock(item.at_ms) }));
  if (item.own && item.status) item.meta.append(make("span", { className: "status", text: item.status, "data-status": item.status }));
}

function drawChips(item) {
  const counted = new Map();
  for (const [user, emoji] of item.reactions) counted.set(emoji, [...(counted.get(emoji) ?? []), nameOf(user)]);
  const chips = [...counted].map(([emoji, names]) =>
    make(
      "span",
      { className: "chip" },
      make("span", { text: names.length > 1 ? `${emoji} ${names.length}` : emoji, "aria-hidden": "true" }),
      make("span", { className: "sr", text: `${listed(names)} reacted ${emoji}` }),
    ),
  );
  item.chips.replaceChildren(...chips);
}

function onReaction(event) {
  const phone = phones.get(event.phone);
  const item = phone?.chats.get(event.chat)?.byId.get(event.target);
  if (!item) return;
  if (event.emoji) item.reactions.set(event.from, event.emoji);
  else item.reactions.delete(event.from);
  drawChips(item);
  if (event.emoji) announce(`${phone.name}: ${nameOf(event.from)} reacted ${event.emoji}`);
}

function onStatus(event) {
  if (event.status === "read") readMessages.add(event.id);
  const item = phones.get(event.phone)?.chats.get(event.chat)?.byId.get(event.id);
  if (item && item.status !== "read") {
    item.status = event.status;
    drawMeta(item);
  }
  if (event.status === "read") {
    for (const phone of phones.values()) {
      for (const chat of phone.chats.values()) if (chat.byId.has(event.id)) drawChat(phone, chat);
    }
  }
}

function makeNotice(item) {
  const node = make("li", { className: item.alarm ? "notice alarm" : "notice" });
  if (item.alarm) node.append(icon("i-alert"));
  node.append(make("span", { text: item.text }));
  return node;
}

function onNotice(event) {
  const phone = phones.get(event.phone);
  if (!phone) return;
  if (event.chat) {
    addItem(phone, chatOf(phone, event.chat), { text: event.text, alarm: event.alarm });
  } else {
    const banner = phone.node.querySelector(".banner");
    banner.classList.toggle("alarm", event.alarm);
    banner.querySelector("p").textContent = event.text;
    banner.hidden = false;
  }
  announce(`${phone.name}: ${event.text}`, event.alarm);
}

function complain(node, error) {
  node.querySelector(".trouble").textContent = error;
}

async function sendText(phone) {
  const text = phone.input.value.trim();
  const chat = phone.open;
  if (!text || !chat) return;
  phone.input.value = "";
  const answer = await act("send", { phone: phone.id, chat: chat.id, text });
  complain(phone.node, answer.ok ? "" : answer.error);
  if (!answer.ok && phone.open === chat && !phone.input.value) phone.input.value = text;
}

// ---- One stop for the tabulator in a list of messages; arrows go from one to the next

function setStop(phone, button) {
  if (!button) return;
  for (const other of phone.messages.querySelectorAll('.react[tabindex="0"]')) other.tabIndex = -1;
  button.tabIndex = 0;
}

function walkMessages(phone, pressed) {
  if (!pressed.target.classList.contains("react")) return;
  const buttons = [...phone.messages.querySelectorAll(".react")];
  const at = buttons.indexOf(pressed.target);
  const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: buttons.length - 1 }[pressed.key];
  if (to === undefined || !buttons[to]) return;
  pressed.preventDefault();
  setStop(phone, buttons[to]);
  buttons[to].focus();
  buttons[to].closest("li").scrollIntoView({ block: "nearest" });
}

function toggleTray(phone, chat, item, button) {
  if (button.getAttribute("aria-expanded") === "true") return closeTray(phone);
  closeTray(phone);
  setStop(phone, button);
  const mine = item.reactions.get(phone.user);
  const tray = make("div", { className: "tray", role: "group", "aria-label": "Reactions" });
  for (const [emoji, label] of EMOJI) {
    const choice = make("button", { type: "button", text: emoji, "aria-label": label, "aria-pressed": String(emoji === mine) });
    choice.addEventListener("click", async () => {
      closeTray(phone);
      button.focus();
      const fields = { phone: phone.id, chat: chat.id, target: item.id, emoji: emoji === mine ? "" : emoji };
      const answer = await act("react", fields);
      complain(phone.node, answer.ok ? "" : answer.error);
    });
    tray.append(choice);
  }
  tray.addEventListener("keydown", (pressed) => {
    if (pressed.key !== "Escape") return;
    closeTray(phone);
    button.focus();
  });
  tray.addEventListener("focusout", (left) => {
    if (left.relatedTarget && !tray.contains(left.relatedTarget)) closeTray(phone);
  });
  button.setAttribute("aria-expanded", "true");
  button.after(tray);
  tray.firstElementChild.focus();
  tray.scrollIntoView({ block: "nearest" });
}

function closeTray(phone) {
  phone.messages.querySelector('.react[aria-expanded="true"]')?.setAttribute("aria-expanded", "false");
  phone.messages.querySelector(".tray")?.remove();
}

// ---- What is looked at: the open chat of a phone that can be seen

function look(phone) {
  const chat = phone.open;
  if (!chat || document.hidden || phone.node.offsetParent === null) return;
  const fresh = chat.items.filter((item) => item.id && !item.own && !phone.looked.has(item.id));
  if (!fresh.length) return;
  const toTell = fresh.some((item) => !readMessages.has(item.id));
  for (const item of fresh) phone.looked.add(item.id);
  keep(`looked ${phone.id}`, [...phone.looked].slice(-MOST_ITEMS));
  drawChat(phone, chat);
  if (toTell) tellRead(phone, chat);
}

// Of a replay's many messages the server is told once, when those that were read are known.
function tellRead(phone, chat) {
  if (chat.telling) return;
  chat.telling = true;
  setTimeout(async () => {
    chat.telling = false;
    if (chat.items.some((item) => item.id && !item.own && !readMessages.has(item.id))) {
      await act("read", { phone: phone.id, chat: chat.id });
    }
  }, 250);
}

function lookAtAll() {
  for (const phone of phones.values()) look(phone);
  drawDots();
}

function drawDots() {
  const waiting = (ids) => ids.some((id) => [...(phones.get(id)?.chats.values() ?? [])].some((chat) => unread(phones.get(id), chat)));
  for (const button of document.querySelectorAll("[data-screen].of-phone, [data-device]")) {
    const ids = button.dataset.device ? [button.dataset.device] : Object.keys(COLUMNS).filter((id) => COLUMNS[id] === button.dataset.screen);
    button.querySelector(".dot").hidden = !waiting(ids);
  }
}

// ---- Which screen, where there is room for one; and which of Ana's devices

const shownDevice = () => (kept.device === "laptop" ? "laptop" : "ana");

function press(selector, isPressed) {
  for (const button of document.querySelectorAll(selector)) button.setAttribute("aria-pressed", String(isPressed(button)));
}

function showScreen(screen) {
  find("main").dataset.screen = screen;
  press("nav [data-screen]", (button) => button.dataset.screen === screen);
  keep("screen", screen);
  lookAtAll();
}

function showDevice(device) {
  keep("device", device);
  press("[data-device]", (button) => button.dataset.device === device);
  for (const id of ["ana", "laptop"]) if (phones.has(id)) phones.get(id).node.hidden = id !== device;
  lookAtAll();
}

// ---- The back end

const hexOf = (hex) => hex.match(/../g)?.join(" ") ?? "";
let sumBytes = 0;
let linesRead = 0;

function onBlob(event) {
  const known = blobs.get(event.number);
  if (known) {
    known.dataset.step = event.step;
    known.querySelector(".step").textContent = stepOf(event);
    return;
  }
  const node = makeBlob(event);
  blobs.set(event.number, node);
  addToWire(node);
  sumBytes += event.bytes;
  find("sum-blobs").textContent = number(blobs.size);
  find("sum-bytes").textContent = number(sumBytes);
}

// A message waits for who it is for; files, keys and lists are there for whoever asks.
const stepOf = ({ step, to }) => (step === "fetched" ? "fetched" : to.length ? "waiting" : "kept");

function makeBlob(event) {
  const named = ["file", "message of linking"].includes(event.what); // by a number that only those know who are to
  const to = event.to.length ? event.to.join(", ") : named ? "whoever knows its number" : "whoever asks";
  const rest = event.bytes > event.hex.length / 2 ? " …" : "";
  return make(
    "li",
    { className: "blob", "data-number": event.number, "data-step": event.step },
    make("p", { className: "way" }, make("span", { className: "number", text: `#${event.number}` }), make("span", { text: `${event.from || "somebody"} → ${to}` })),
    make(
      "p",
      { className: "kind" },
      make("span", { text: event.what }),
      make("span", { text: `${number(event.bytes)} bytes` }),
      make("span", { className: "step", text: stepOf(event) }),
    ),
    make("code", { className: "hex", text: hexOf(event.hex) + rest }),
  );
}

function addToWire(node) {
  find("wire-empty").hidden = true;
  const list = find("blobs");
  list.prepend(node);
  while (list.childElementCount > MOST_BLOBS) list.lastElementChild.remove();
}

function onRead(event) {
  linesRead += 1;
  find("sum-read").textContent = number(linesRead);
  const sees = find("sees");
  sees.classList.add("alarm");
  sees.replaceChildren(icon("i-eye"), make("span", { text: "Since a first contact it stands between two people, and reads what they write." }));
  addToWire(make("li", { className: "blob read" }, make("p", { className: "way", text: "The back end reads:" }), make("p", { className: "line", text: event.text, dir: "auto" })));
  const entry = [...attacks.values()].findLast(({ name }) => name === "swap_keys");
  entry?.read.append(make("p", { className: "line", text: `It read: “${event.text}”` }));
  announce(`The back end has read: ${event.text}`, true);
}

// ---- Attacks

function drawAttacks() {
  for (const [name, title, what] of ATTACKS) {
    const button = make("button", { type: "button", "data-attack": name, text: title, "aria-describedby": `what-${name}` });
    button.addEventListener("click", () => attack(name));
    find("attack-list").append(make("li", {}, button, make("p", { id: `what-${name}`, text: what })));
  }
}

// Not `disabled`: the button that was pressed would lose the focus.
function setBusy() {
  const busy = asked || running !== null;
  for (const button of document.querySelectorAll("[data-attack]")) button.setAttribute("aria-disabled", String(busy));
}

async function attack(name) {
  if (asked || running) return;
  asked = true;
  setBusy();
  const answer = await act("attack", { name });
  asked = answer.ok && !attacks.has(answer.number);
  setBusy();
  if (!answer.ok) addLog(make("li", { className: "verdict" }, make("p", { text: answer.error })));
  find("log").firstElementChild?.scrollIntoView({ block: "nearest" }); // where the log is further down
}

function addLog(node) {
  const log = find("log");
  log.prepend(node);
  log.tabIndex = 0; // it scrolls
  find("log-empty").hidden = true;
}

function onAttack(event) {
  const entry = attacks.get(event.number) ?? addAttack(event);
  entry.did.textContent = event.did;
  entry.node.dataset.state = event.state;
  if (event.state === "running") {
    running = entry;
    asked = false;
    setBusy();
    return;
  }
  running = null;
  setBusy();
  const [label, symbol] = VERDICTS[event.verdict] ?? [event.verdict, "i-alert"];
  entry.node.dataset.verdict = event.verdict;
  entry.badge.replaceChildren(icon(symbol), make("span", { text: label }));
  entry.came.textContent = event.came;
  if (event.name === "swap_keys") entry.read.append(makeCompareCitra());
  announce(`${entry.title}: ${label}. ${event.came}`, true);
}

function addAttack(event) {
  const title = ATTACKS.find(([name]) => name === event.name)?.[1] ?? event.name;
  const entry = {
    name: event.name,
    title,
    badge: make("span", { className: "badge", text: "Running" }),
    did: make("p", { className: "did" }),
    came: make("p", { className: "came", text: "…" }),
    read: make("div", { className: "extra" }),
  };
  entry.node = make(
    "li",
    { className: "verdict", "data-name": event.name },
    make("div", { className: "line-up" }, make("h3", { text: `${event.number}. ${title}` }), entry.badge),
    entry.did,
    entry.came,
    entry.read,
  );
  attacks.set(event.number, entry);
  addLog(entry.node);
  return entry;
}

function makeCompareCitra() {
  const button = make("button", { type: "button", className: "second", text: "Look at both safety numbers" });
  button.addEventListener("click", () => openNumbers("toko", "instagram:citra"));
  return button;
}

// ---- Dialogs

function prepareDialogs() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (clicked) => {
      if (clicked.target === dialog) dialog.close(); // beside it: the form covers the rest
    });
    dialog.querySelector("form").addEventListener("submit", (submitted) => submitted.preventDefault());
  }
  find("group-dialog").querySelector("form").addEventListener("submit", makeGroup);
  find("picture-demo").addEventListener("click", () => sendPicture({}));
  find("picture-file").addEventListener("change", sendOwnPicture);
  find("compare").addEventListener("click", compare);
}

let acting = null; // the phone that the open dialog is about
let isAsking = false; // for what the open dialog is about: a second press asks for nothing more

async function actOnce(action, fields) {
  if (isAsking) return null;
  isAsking = true;
  try {
    return await act(action, fields);
  } finally {
    isAsking = false;
  }
}

function openGroups(phone) {
  acting = phone;
  const dialog = find("group-dialog");
  dialog.querySelector("form").reset();
  complain(dialog, "");
  find("group-lead").textContent = `Made on ${phone.name}. Who is in it is signed by its members, not decided by the back end.`;
  const others = [...users].filter(([user, known]) => user !== phone.user && phones.has(known.phone));
  find("group-members").replaceChildren(
    ...others.map(([user, known]) => {
      const box = make("input", { type: "checkbox", name: "member", value: user });
      box.checked = true;
      return make("label", { className: "check" }, box, make("span", { text: known.name }));
    }),
  );
  dialog.showModal();
  dialog.querySelector('[name="title"]').focus();
}

async function makeGroup() {
  const dialog = find("group-dialog");
  const title = dialog.querySelector('[name="title"]').value.trim();
  const members = [...dialog.querySelectorAll("[name=member]:checked")].map((box) => box.value);
  if (!title || !members.length) {
    complain(dialog, "A group needs a name and a member.");
    return;
  }
  const phone = acting;
  const answer = await actOnce("group", { phone: phone.id, title, members });
  if (!answer) return;
  if (!answer.ok) {
    complain(dialog, answer.error);
    return;
  }
  dialog.close();
  phone.wanted = answer.chat; // its event may be there already, or come
  keep(`chat ${phone.id}`, answer.chat);
  if (phone.chats.has(answer.chat)) openChat(phone, phone.chats.get(answer.chat));
  phone.input.focus();
}

function openPictures(phone) {
  acting = phone;
  const dialog = find("picture-dialog");
  dialog.querySelector("form").reset();
  complain(dialog, "");
  find("picture-title").textContent = `Send a picture to ${titleOf(phone, phone.open)}`;
  dialog.showModal();
}

async function sendPicture(data) {
  const dialog = find("picture-dialog");
  const phone = acting;
  const answer = await actOnce("picture", { phone: phone.id, chat: phone.open.id, ...data });
  if (!answer) return;
  if (!answer.ok) {
    complain(dialog, answer.error);
    return;
  }
  dialog.close();
  phone.input.focus();
}

async function sendOwnPicture(changed) {
  const [file] = changed.target.files;
  changed.target.value = ""; // the same one may be chosen once more
  if (!file) return;
  if (file.size === 0 || file.size > MOST_PICTURE_BYTES) {
    complain(find("picture-dialog"), file.size ? "That picture has more than 1 MiB." : "That file is empty.");
    return;
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  await sendPicture({ data: btoa(text) });
}

// ---- Safety numbers

let compared = null; // whose number is open: phone and user

async function openNumbers(phoneId, user) {
  const mine = [...users].find(([, known]) => known.phone === phoneId)?.[0] ?? phones.get(phoneId).user;
  const both = [[phoneId, user], [users.get(user)?.phone, mine]].filter(([id]) => id);
  compared = { phone: phoneId, of: user };
  const dialog = find("number-dialog");
  complain(dialog, "");
  setOutcome("");
  find("number-title").textContent = `Safety number of ${nameOf(mine)} and ${nameOf(user)}`;
  find("number-lead").textContent =
    "Equal digits on both phones: nobody stands between them. The code holds the same, each phone's own side first, for the other phone to scan.";
  find("numbers").replaceChildren(make("p", { text: "The phones compute it …" }));
  if (!dialog.open) dialog.showModal();
  const answers = await Promise.all(both.map(([id, of]) => act("safety_number", { phone: id, of })));
  if (compared?.phone !== phoneId || compared?.of !== user) return; // another one was opened meanwhile
  const failed = answers.find((answer) => !answer.ok);
  complain(dialog, failed ? failed.error : "");
  find("numbers").replaceChildren(
    ...both.map(([id, of], at) => (answers[at].ok ? makeNumber(id, of, answers[at]) : "")),
  );
}

function makeNumber(id, of, answer) {
  const device = phones.get(id)?.name ?? `${nameOf([...users].find(([, known]) => known.phone === id)?.[0] ?? id)}'s phone`;
  const digits = make("p", { className: "digits" });
  for (const group of answer.digits.match(/.{5}/g) ?? []) digits.append(make("span", { text: group }), " ");
  return make(
    "section",
    { className: "number", "data-phone": id, "aria-label": `On ${device}` },
    make("h3", { text: device }),
    drawCode(answer.qr, `The QR code that ${device} shows for ${nameOf(of)}`),
    digits,
  );
}

function drawCode(rows, label) {
  const size = rows.length + 8; // with the quiet zone
  let path = "";
  rows.forEach((row, y) => {
    for (const run of row.matchAll(/1+/g)) path += `M${run.index} ${y}h${run[0].length}v1h-${run[0].length}z`;
  });
  return draw(
    "svg",
    { class: "code", role: "img", "aria-label": label, viewBox: `-4 -4 ${size} ${size}`, "shape-rendering": "crispEdges" },
    draw("rect", { x: -4, y: -4, width: size, height: size, fill: "#fff" }),
    draw("path", { d: path, fill: "#000" }),
  );
}

function setOutcome(text, matches) {
  const outcome = find("outcome");
  outcome.textContent = text;
  if (text) outcome.dataset.matches = String(matches);
  else delete outcome.dataset.matches;
}

async function compare() {
  const dialog = find("number-dialog");
  const answer = await actOnce("compare", compared);
  if (!answer) return;
  complain(dialog, answer.ok ? "" : answer.error);
  if (answer.ok) setOutcome(answer.sentence, answer.matches);
}

// ---- Begin

const HANDLERS = {
  phone: onPhone,
  chat: onChat,
  message: onMessage,
  reaction: onReaction,
  status: onStatus,
  notice: onNotice,
  blob: onBlob,
  attack: onAttack,
  read_by_back_end: onRead,
  ready: () => setState("All phones are there", "ready"),
  truncated: () => addToWire(make("li", { className: "blob", text: "What came before is not kept any more." })),
};

function setState(text, state) {
  const node = find("state");
  node.textContent = text;
  node.dataset.state = state;
}

// What there was before comes all at once: it is over when nothing has come for a moment.
let settling;
function settleSoon() {
  clearTimeout(settling);
  settling = setTimeout(() => {
    settled = true;
    document.body.classList.add("settled");
  }, 250);
}

function listen() {
  const source = new EventSource("events");
  let before = ["Starting: the phones draw their keys …", "starting"];
  source.addEventListener("open", () => {
    if (find("state").dataset.state === "broken") setState(...before);
    settleSoon();
  });
  source.addEventListener("message", (received) => {
    const event = JSON.parse(received.data);
    HANDLERS[event.type]?.(event);
    if (!settled) settleSoon();
  });
  source.addEventListener("error", () => {
    const node = find("state");
    if (node.dataset.state !== "broken") before = [node.textContent, node.dataset.state];
    setState("The demo does not answer. It may have ended.", "broken");
  });
}

for (const button of document.querySelectorAll("nav [data-screen]")) {
  if (button.dataset.screen !== "back-end") button.classList.add("of-phone");
  button.addEventListener("click", () => {
    showScreen(button.dataset.screen);
    const stage = document.querySelector(".stage");
    if (stage.getBoundingClientRect().top < 0) stage.scrollIntoView(); // its beginning, and not where one was
  });
}
for (const button of document.querySelectorAll("[data-device]")) {
  button.addEventListener("click", () => showDevice(button.dataset.device));
}
document.addEventListener("visibilitychange", lookAtAll);
window.addEventListener("resize", lookAtAll);
prepareDialogs();
drawAttacks();
showScreen(kept.screen ?? "ana");
showDevice(shownDevice());
listen();
