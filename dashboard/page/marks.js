// The teacher's marks in the lesson: by one key, by button, or in their own words.

import { element, isolated, make, setText, show } from "./dom.js";

const SAID_MS = 6000;
const REMEMBERED = "classmood.mark-by-key";

// a browser that blocks all cookies throws at the mere mention of its storage
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
    // it holds until the page is closed
  }
}

export class Marks {
  constructor(path) {
    this.path = path;
    this.labels = [];
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

  async own(event) {
    event.preventDefault();
    const field = element("mark-label");
    if (await this.mark(field.value.trim())) {
      field.value = "";
      field.blur();
    }
  }

  async mark(label) {
    try {
      const body = JSON.stringify({ label });
      const response = await fetch(`${this.path}/markers`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
      if (response.ok) return this.say(`Marked “${label}”.`, true);
      return this.say(`Not marked: ${await response.text()}`, false);
    } catch {
      return this.say("Not marked: the dashboard cannot be reached.", false);
    }
  }

  say(text, good) {
    const said = element("mark-said");
    setText(said, text);
    said.dataset.kind = good ? "news" : "trouble";
    clearTimeout(this.timer);
    this.timer = setTimeout(() => setText(said, ""), SAID_MS);
    return good;
  }
}
