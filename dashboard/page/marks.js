// The teacher's marks in the lesson: by one key, by button, or in their own words.

import { element, isolated, make, setText, show } from "./dom.js";
import { clock } from "./live.js";

const SAID_MS = 6000;
const ANSWER_MS = 8000;
const SAME_MS = 60_000; // a press repeated within this time, while it is not known to be marked, is the same press sent again
const REMEMBERED = "classmood.mark-by-key";

// a browser that blocks all cookies throws at any access to its storage
function remembered() {
  try {
    return localStorage.getItem(REMEMBERED);
  } catch {
    return null;
  }
}

function remember(choice) {
  try {
    localStorage.setItem(REMEMBERED, choice);
  } catch {
    // then the choice holds until the page is closed
  }
}

export class Marks {
  constructor(path) {
    this.path = path;
    this.labels = [];
    this.state = null;
    this.presses = new Map(); // those that are not known to be marked, by label
    element("mark-form").addEventListener("submit", (event) => this.own(event));
    document.addEventListener("keydown", (event) => this.key(event));
    this.byKey = element("mark-by-key");
    this.byKey.checked = remembered() !== "no";
    this.byKey.addEventListener("change", () => remember(this.byKey.checked ? "yes" : "no"));
  }

  /** `labels` is null for those who may only look. */
  offer(labels) {
    show(element("marks"), labels !== null);
    this.labels = labels ?? [];
    const buttons = this.labels.map((label, i) => {
      const button = make("button");
      button.type = "button";
      const key = make("kbd", "", String(i + 1));
      button.append(key, isolated(label));
      button.addEventListener("click", () => this.mark(label));
      return button;
    });
    element("mark-keys").replaceChildren(...buttons);
  }

  key(event) {
    const writing = event.target.closest("input:not([type=checkbox]), textarea, select, dialog");
    if (writing || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
    if (!this.byKey.checked || element("marks").hidden) return;
    const label = this.labels[Number(event.key) - 1];
    if (label) this.mark(label);
    else if (event.key.toLowerCase() === "m") {
      event.preventDefault();
      element("mark-label").focus();
    }
  }

  own(event) {
    event.preventDefault();
    this.mark(element("mark-label").value.trim());
  }

  async mark(label) {
    const press = this.press(label);
    if (press.sent) return;
    press.sent = true;
    this.say(`Marking “${label}” …`, "news", SAME_MS);
    const trouble = await this.send(press);
    press.sent = false;
    if (!trouble) this.marked(press);
    else if (this.waits(press)) this.say(trouble, "trouble", SAME_MS);
  }

  press(label) {
    const last = this.presses.get(label);
    if (last && (last.sent || performance.now() - last.pressedMs < SAME_MS)) return last;
    const press = { label, id: newId(), atMs: Math.round(clock.now()), pressedMs: performance.now(), sent: false };
    this.presses.set(label, press);
    return press;
  }

  /** Why the press is not marked, or perhaps not; empty if it is. */
  async send({ label, id, atMs }) {
    try {
      const body = JSON.stringify({ label, id, at_ms: atMs });
      const signal = AbortSignal.timeout(ANSWER_MS);
      const response = await fetch(`${this.path}/markers`, { method: "POST", headers: { "Content-Type": "application/json" }, body, signal });
      return response.ok ? "" : `Not marked: ${await response.text()}`;
    } catch {
      return `No answer from the dashboard: “${label}” may not be marked. Press again; it is marked only once.`;
    }
  }

  /** The room's stream may show a mark whose answer is late or lost. */
  take({ marks, state }) {
    this.state = state;
    const made = new Set(marks?.map(({ id }) => id));
    for (const press of this.presses.values()) if (made.has(press.id)) this.marked(press);
  }

  waits(press) {
    return this.presses.get(press.label) === press;
  }

  marked(press) {
    if (!this.waits(press)) return;
    this.presses.delete(press.label);
    const field = element("mark-label");
    if (field.value.trim() === press.label) {
      field.value = "";
      field.blur();
    }
    const { begun, known } = this.state ?? {};
    const unknown = begun && !known ? " This room has no events yet." : "";
    this.say(`Marked “${press.label}”.${unknown}`, "news", SAID_MS);
  }

  say(text, kind, forMs) {
    const said = element("mark-said");
    setText(said, text);
    said.dataset.kind = kind;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => setText(said, ""), forMs);
  }
}

/** Browsers offer crypto.randomUUID only on https and localhost, so it is not used. */
function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
