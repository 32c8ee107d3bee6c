// The mood of the class now, its coverage in words, and its past as a table for those who cannot see the chart.

import { Chart } from "./chart.js";
import { element, isolated, make, setText, show, sign } from "./dom.js";
import { clock } from "./live.js";
import { EMOTIONS, percents, signed } from "./words.js";

const ROW_MS = 60_000;
const NOW_MS = 60_000; // a figure older than this is the last one known, not the present
const PASSES_MS = 15_000;

export class Mood {
  constructor() {
    this.chart = new Chart(element("chart"));
    this.bars = new Map(EMOTIONS.map((emotion) => [emotion, bar(emotion)]));
    element("bars").append(...[...this.bars.values()].map(({ node }) => node));
    element("table-head").append(row("th", ["when", ...EMOTIONS, "valence", "seen"]));
    this.shown = "";
    // the past moves on even while no message comes
    setInterval(() => this.pass(), PASSES_MS);
  }

  take({ mood, history, marks, counts, level }) {
    setText(element("coverage"), counts.sentence);
    if (mood !== undefined) this.showNow(mood, level);
    this.chart.set(history, marks);
    if (history || marks) this.showTable();
  }

  pass() {
    this.chart.draw();
    this.showTable();
  }

  showNow(mood, level) {
    const shares = mood?.shares ?? null;
    const figures = shares && percents(shares);
    for (const [emotion, { value, fill }] of this.bars) {
      setText(value, figures ? figures[emotion] : "–");
      fill.style.setProperty("--share", shares ? shares[emotion] : 0);
    }
    const valence = mood?.valence ?? null;
    setText(element("valence-value"), valence === null ? "–" : signed(valence));
    element("needle").style.setProperty("--valence", valence ?? 0);
    show(element("needle"), valence !== null);
    show(element("withheld"), !shares);
    setText(element("withheld"), whyNot(mood, level));
  }

  showTable() {
    const { history } = this.chart;
    const marks = this.chart.recentMarks();
    const marked = marks.map(({ at_ms: atMs, label }) => ({ atMs, label }));
    const rows = [...figureRows(history), ...marked].sort((a, b) => b.atMs - a.atMs);
    const told = rows.map(({ atMs, ...rest }) => ({ when: ago(atMs), ...rest }));
    const now = JSON.stringify(told);
    if (now !== this.shown) {
      this.shown = now;
      element("table-body").replaceChildren(...told.map(({ when, figures, label }) => (figures ? row("td", [when, ...figures]) : markRow(when, label))));
    }
    setText(element("chart-words"), inWords(history, marks));
  }
}

/** The latest figures first, about one row a minute. */
function figureRows(history) {
  const rows = [];
  let next = Infinity;
  for (let i = history.at_ms.length - 1; i >= 0; i -= 1) {
    const atMs = history.at_ms[i];
    if (atMs > next) continue;
    next = atMs - ROW_MS;
    const shares = percentsAt(history, i);
    const percentages = EMOTIONS.map((emotion) => shares?.[emotion] ?? "–");
    const valence = history.valence[i] === null ? "–" : signed(history.valence[i]);
    rows.push({ atMs, figures: [...percentages, valence, `${history.seen[i]} of ${history.participants[i]}`] });
  }
  return rows;
}

function ago(atMs) {
  const minutes = Math.round((clock.now() - atMs) / 60_000);
  return minutes > 0 ? `${minutes} min ago` : "now";
}

function whyNot(mood, level) {
  if (!mood) return "The bot has not published how the class is yet.";
  const rounded = level === "aggregate" ? " Its counts are withheld too." : "";
  return `Shares are withheld: too few people can be read at present to describe a class.${rounded}`;
}

function bar(emotion) {
  const node = make("li", "bar");
  const track = make("span", "track");
  const fill = make("span", "fill");
  const value = make("span", "value", "–");
  fill.dataset.emotion = emotion;
  fill.style.setProperty("--color", `var(--${emotion})`);
  track.setAttribute("aria-hidden", "true");
  track.append(fill);
  node.append(sign(emotion), make("span", "bar-name", emotion), track, value);
  return { node, fill, value };
}

function row(kind, cells) {
  const made = make("tr");
  cells.forEach((text, i) => {
    const cell = make(i ? kind : "th", "", text);
    if (kind === "th") cell.scope = "col";
    else if (!i) cell.scope = "row";
    made.append(cell);
  });
  return made;
}

function markRow(when, label) {
  const made = row("td", [when, "marked: "]);
  const cell = made.lastChild;
  cell.className = "mark";
  cell.colSpan = EMOTIONS.length + 2;
  cell.append(isolated(label));
  return made;
}

/** The shares of one moment of the past, null where they are withheld. */
function percentsAt(history, i) {
  const shares = Object.fromEntries(EMOTIONS.map((emotion) => [emotion, history.shares[emotion].at(i)]));
  return shares.happy === null ? null : percents(shares);
}

function inWords(history, marks) {
  const at = (i) => {
    const shares = percentsAt(history, i);
    if (!shares) return "withheld";
    const emotion = EMOTIONS.toSorted((a, b) => history.shares[b].at(i) - history.shares[a].at(i))[0];
    return `mostly ${emotion}, ${shares[emotion]}`;
  };
  const made = marks.map(({ at_ms: atMs, label }) => `“${label}” ${ago(atMs)}`);
  const marked = made.length ? ` Marked: ${made.join(", ")}.` : "";
  if (!history.at_ms.length) return `No figures yet.${marked}`;
  const present = clock.now() - history.at_ms.at(-1) > NOW_MS ? "last" : "now";
  return `At first ${at(0)}; ${present} ${at(-1)}.${marked} The table below has all figures.`;
}
