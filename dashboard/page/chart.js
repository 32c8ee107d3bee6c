// The last ten minutes as stacked shares, with valence below; times are minutes ago, by the bot's clock.

import { make, setText } from "./dom.js";
import { clock } from "./live.js";
import { EMOTIONS } from "./words.js";

const MINUTES = 10;
const LEAST_LABELLED = 0.08;
const MARGIN = { l: 44, t: 32, b: 30 };
const FAMILY = "system-ui, sans-serif";
const MARK_SIZE = 11;
const MARK_LINES = 2; // on which marks are named; one that fits on neither is a line alone
const MARK_GAP = 6;
const NEVER_CAME = "The chart did not load: reload the page to see it. The table below has all figures.";
const CONFIG = { displayModeBar: false, staticPlot: true, responsive: true };

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export class Chart {
  constructor(node) {
    this.node = node;
    this.history = { at_ms: [], gap_ms: 0, shares: Object.fromEntries(EMOTIONS.map((emotion) => [emotion, []])), valence: [] };
    this.marks = [];
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    document.addEventListener("visibilitychange", () => this.draw());
    this.fetchLibrary();
  }

  /** The library is larger than all the rest together, so nothing waits for it; what came before it is drawn once it is there. */
  fetchLibrary() {
    const library = make("script");
    library.src = "/static/plotly.min.js";
    library.addEventListener("load", () => this.draw());
    library.addEventListener("error", () => setText(this.node.querySelector(".note"), NEVER_CAME));
    document.head.append(library);
  }

  set(history, marks) {
    if (history) this.history = history;
    if (marks) this.marks = marks;
    if (history || marks) this.draw();
  }

  draw() {
    // without the library everything else still works, and the table has the same figures
    if (document.hidden || !window.Plotly) return;
    this.node.querySelector(".note")?.remove();
    window.Plotly.react(this.node, this.traces(), this.layout(), CONFIG);
  }

  minutesAgo(atMs) {
    return (atMs - clock.now()) / 60_000;
  }

  traces() {
    const x = this.history.at_ms.map((atMs) => this.minutesAgo(atMs));
    const areas = EMOTIONS.toReversed().map((emotion) => ({
      x,
      y: this.history.shares[emotion],
      stackgroup: "shares",
      mode: "lines",
      line: { width: 0.8, color: color("paper"), shape: "linear" },
      fillcolor: color(emotion),
      hoverinfo: "skip",
    }));
    const valence = { ...this.unjoined(x, this.history.valence), yaxis: "y2", mode: "lines", line: { width: 2, color: color("ink") }, hoverinfo: "skip" };
    return [...areas, valence];
  }

  /** The line is broken where nothing was heard for long, since nobody knows how it went there. */
  unjoined(x, y) {
    const { at_ms: times, gap_ms: gapMs } = this.history;
    const line = { x: [], y: [] };
    times.forEach((atMs, i) => {
      if (i > 0 && atMs - times[i - 1] > gapMs) {
        line.x.push(x[i]);
        line.y.push(null);
      }
      line.x.push(x[i]);
      line.y.push(y[i]);
    });
    return line;
  }

  margin() {
    return { ...MARGIN, r: this.node.clientWidth < 480 ? 66 : 92 };
  }

  layout() {
    const axis = { color: color("faint"), gridcolor: color("line"), zeroline: false, fixedrange: true, linecolor: color("line") };
    return {
      margin: this.margin(),
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: FAMILY, size: 12, color: color("ink") },
      showlegend: false,
      xaxis: { ...axis, range: [-MINUTES, 0], tickvals: [-10, -7.5, -5, -2.5, 0], ticktext: ["10 min", "7:30", "5 min", "2:30", "now"], anchor: "y2" },
      yaxis: { ...axis, range: [0, 1], domain: [0.36, 1], tickvals: [0, 0.5, 1], ticktext: ["0 %", "50 %", "100 %"] },
      yaxis2: { ...axis, range: [-1, 1], domain: [0, 0.26], tickvals: [-1, 0, 1], ticktext: ["−1", "0", "+1"] },
      shapes: [...this.gaps(), ...this.markLines()],
      annotations: [...this.names(), ...this.markNames(), this.valenceName()],
    };
  }

  /** A share that was withheld is not a share of zero, so the stack is covered there. */
  gaps() {
    const { at_ms: times, gap_ms: gapMs, shares } = this.history;
    const missing = [];
    times.forEach((atMs, i) => {
      const after = times[i + 1] ?? atMs;
      const withheld = shares.happy[i] === null || (i + 1 < times.length && shares.happy[i + 1] === null);
      if (withheld || after - atMs > gapMs) missing.push([this.minutesAgo(atMs), this.minutesAgo(after)]);
    });
    return missing.map(([x0, x1]) => ({
      type: "rect", x0, x1, y0: 0, y1: 1, yref: "y", layer: "above", line: { width: 0 }, fillcolor: color("paper"),
    }));
  }

  markLines() {
    const line = { color: color("marker"), width: 1.5, dash: "dot" };
    return this.shownMarks().map(({ x }) => ({ type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", line }));
  }

  /** The newest mark is named in any case, an older one where there is room beside it or above. */
  markNames() {
    const { l, r } = this.margin();
    const perMinute = (this.node.clientWidth - l - r) / MINUTES;
    const taken = Array(MARK_LINES).fill(Infinity);
    return this.shownMarks().toReversed().flatMap(({ x, text }) => {
      const half = widthOf(text) / 2;
      const line = taken.findIndex((start) => x * perMinute + half + MARK_GAP <= start);
      if (line < 0) return [];
      taken[line] = x * perMinute - half;
      return [{
        x, y: 1, yref: "paper", yanchor: "bottom", yshift: line * (MARK_SIZE + 2), xanchor: "center",
        text: asText(text), showarrow: false, font: { size: MARK_SIZE },
      }];
    });
  }

  shownMarks() {
    return this.recentMarks().slice(-12).map(({ at_ms: atMs, label: text }) => ({ x: this.minutesAgo(atMs), text: short(text) }));
  }

  /** The marks of the minutes that are shown. */
  recentMarks() {
    const isShown = (x) => x >= -MINUTES && x <= 0.5;
    return this.marks.filter(({ at_ms: atMs }) => isShown(this.minutesAgo(atMs)));
  }

  /** Each area is named where it ends, so that nobody has to tell the colours apart. */
  names() {
    const last = this.history.at_ms.length - 1;
    if (last < 0 || clock.now() - this.history.at_ms[last] > this.history.gap_ms) return [];
    let below = 0;
    return EMOTIONS.toReversed().flatMap((emotion) => {
      const share = this.history.shares[emotion][last] ?? 0;
      const y = below + share / 2;
      below += share;
      if (share < LEAST_LABELLED) return [];
      return [{ x: 1, xref: "paper", xanchor: "left", y, yref: "y", showarrow: false, text: ` ${emotion}`, align: "left" }];
    });
  }

  valenceName() {
    return { x: 1, xref: "paper", xanchor: "left", y: 0, yref: "y2", showarrow: false, text: " valence", align: "left" };
  }
}

/** plotly.js interprets some HTML in its texts, but a mark is plain text: the teacher's own words. */
function asText(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function short(text) {
  return text.length > 18 ? `${text.slice(0, 17)}…` : text;
}

function widthOf(text) {
  const pen = make("canvas").getContext("2d");
  pen.font = `${MARK_SIZE}px ${FAMILY}`;
  return pen.measureText(text).width;
}
