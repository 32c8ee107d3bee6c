// Who may need help: names, reasons and for how long, in the order in which it began.

import { element, isolated, make, setText } from "./dom.js";
import { clock } from "./live.js";
import { duration, reason } from "./words.js";

export class Help {
  constructor() {
    this.times = [];
    this.shown = "";
    setInterval(() => this.age(), 1000);
  }

  take({ attention, level }) {
    // rebuilt only when the list changes, so that a screen reader announces nothing else
    const now = JSON.stringify(attention.people);
    if (now !== this.shown) {
      this.shown = now;
      this.times = [];
      element("needing").replaceChildren(...attention.people.map((person) => this.line(person)));
    }
    setText(element("help-note"), note(attention, level));
    this.age();
  }

  line({ name, reason: why, since_ms: sinceMs }) {
    const node = make("li");
    const time = make("span", "for");
    time.setAttribute("aria-live", "off");
    node.append(isolated(name, "name"), make("span", "why", ` ${reason(why)} `), time);
    if (sinceMs !== null) this.times.push([time, sinceMs]);
    return node;
  }

  age() {
    for (const [node, sinceMs] of this.times) setText(node, `for ${duration((clock.now() - sinceMs) / 1000)}`);
  }
}

function note({ on, people, more }, level) {
  if (level === "aggregate") return "Not shown: this class publishes only its summary.";
  if (people.length) return more ? `and ${more} more` : "";
  if (on === true) return "Nobody at present.";
  const how = "The bot names people here only if it runs with CLASSMOOD_ATTENTION=true.";
  return on === false ? `This is off. ${how}` : `Nobody at present. ${how}`;
}
