// The grid of participants: one card each, in which only what changes is touched.

import { element, isolated, make, setText, show, sign } from "./dom.js";
import { clock } from "./live.js";
import { EMOTIONS, coverage, duration, percent } from "./words.js";

const FRESH_SECONDS = 4;

export class People {
  constructor() {
    this.cards = new Map();
    this.grid = element("grid");
    this.tally = new Map([...EMOTIONS, "unknown"].map((emotion) => [emotion, chip(emotion)]));
    element("tally").append(...[...this.tally.values()].map(({ node }) => node));
    setInterval(() => this.age(), 1000);
  }

  take({ people, counts, attention, level, state }) {
    if (people.all) this.clear();
    people.gone.forEach((id) => this.remove(id));
    people.changed.forEach((person) => this.put(person));
    this.flag(new Set(attention.people.map(({ id }) => id)));
    for (const [emotion, { node, count }] of this.tally) {
      setText(count, String(counts.emotions[emotion]));
      show(node, level !== "aggregate");
    }
    this.note(level, counts, state);
    this.age();
  }

  note(level, counts, state) {
    const left = counts.left ? ` ${counts.left} left.` : "";
    let text = left.trim();
    if (level === "aggregate") text = "This class publishes only its summary: nobody is shown individually.";
    else if (!counts.present && state.begun) text = `Nobody is in the room.${left}`;
    setText(element("people-note"), text);
    show(element("people-note"), Boolean(text));
  }

  put(person) {
    let card = this.cards.get(person.id);
    if (!card) {
      card = makeCard(person.id);
      this.cards.set(person.id, card);
      card.sortKey = null;
    }
    fill(card, person);
    if (card.sortKey !== person.name) this.place(card, person.name);
  }

  /** By name: an order by emotion would be a ranking, and would jump. */
  place(card, name) {
    card.sortKey = name;
    const before = (other) => other !== card && collator.compare(other.sortKey, name) > 0;
    const next = [...this.cards.values()].filter(before).sort((a, b) => collator.compare(a.sortKey, b.sortKey))[0];
    this.grid.insertBefore(card.node, next?.node ?? null);
  }

  remove(id) {
    this.cards.get(id)?.node.remove();
    this.cards.delete(id);
  }

  clear() {
    this.cards.clear();
    this.grid.replaceChildren();
  }

  flag(ids) {
    for (const [id, card] of this.cards) show(card.flag, ids.has(id));
  }

  age() {
    if (document.hidden) return;
    for (const card of this.cards.values()) {
      const seconds = card.lookedMs === null ? null : (clock.now() - card.lookedMs) / 1000;
      setText(card.age, seconds === null ? "" : seconds < FRESH_SECONDS ? "now" : `${duration(seconds)} ago`);
    }
  }
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

function makeCard(id) {
  const node = make("li", "person");
  const name = isolated("", "name");
  const shown = sign();
  const what = make("span", "what");
  const sure = make("span", "sure");
  const age = make("span", "age");
  const flag = make("span", "flag", "may need help");
  flag.hidden = true;
  node.dataset.id = id;
  node.append(name, shown, what, sure, age, flag);
  return { node, name, shown, what, sure, age, flag, lookedMs: null };
}

function fill(card, { name, coverage: state, emotion, confidence, looked_ms: lookedMs }) {
  const seen = state === "ok";
  setText(card.name, name);
  if (card.name.title !== name) card.name.title = name;
  setText(card.what, seen ? (emotion ?? "unknown") : coverage(state));
  setText(card.sure, seen && confidence !== null && emotion !== "unknown" ? percent(confidence) : "");
  const drawn = seen ? (emotion ?? "unknown") : "";
  if (card.shown.dataset.emotion !== drawn) card.shown.dataset.emotion = drawn;
  if (card.node.dataset.coverage !== state) card.node.dataset.coverage = state;
  if (card.node.dataset.emotion !== drawn) card.node.dataset.emotion = drawn;
  card.lookedMs = lookedMs;
}

function chip(emotion) {
  const node = make("li", "chip");
  const count = make("b", "", "0");
  node.append(sign(emotion), make("span", "", emotion), count);
  node.dataset.emotion = emotion;
  return { node, count };
}
