// The list of rooms, fetched now and then.

import { element, isolated, make, setText, show } from "./dom.js";

const EVERY_MS = 3000;
let shown = "";

async function ask() {
  try {
    const response = await fetch("/rooms.json");
    if (response.status === 401) return location.assign("/login");
    if (!response.ok) return say(await response.text());
    render(await response.json());
    return say("");
  } catch {
    return say("The dashboard cannot be reached.");
  }
}

function say(text) {
  setText(element("trouble"), text);
  show(element("trouble"), Boolean(text));
}

function render({ rooms, password }) {
  show(element("logout"), password);
  const now = JSON.stringify(rooms);
  if (now === shown) return;
  shown = now;
  show(element("none"), !rooms.length);
  element("rooms").replaceChildren(...rooms.map(item));
}

function item({ room, shown: name, live }) {
  const node = make("li", "card");
  const link = make("a");
  link.href = `/rooms/${encodeURIComponent(room)}`;
  link.append(isolated(name));
  const badge = make("span", "badge", live ? "live" : "no bot");
  badge.dataset.state = live ? "live" : "away";
  node.append(link, badge);
  return node;
}

ask();
setInterval(() => document.hidden || ask(), EVERY_MS);
