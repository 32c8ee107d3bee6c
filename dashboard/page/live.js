// The room's stream of messages, kept up whatever happens to the connection.

const SILENCE_MS = 12_000; // the server says something every five seconds
const AGAIN_MS = 3_000;
const ANSWER_MS = 5_000;

/** The bot's clock, as the server reports it; this browser's own may be minutes off and is not used. */
export const clock = {
  toldMs: 0,
  atMs: 0,
  set(nowMs) {
    this.toldMs = nowMs;
    this.atMs = performance.now();
  },
  now() {
    return this.toldMs + performance.now() - this.atMs;
  },
};

/** Follow the room; `heard` is given each message, `lost` is called while there is no connection. */
export class Live {
  constructor(path, { heard, lost, refused }) {
    Object.assign(this, { path, heard, lost, refused, lostMs: null, lastMs: performance.now() });
    this.open();
    setInterval(() => this.check(), 1000);
  }

  get lostSeconds() {
    return this.lostMs === null ? null : (performance.now() - this.lostMs) / 1000;
  }

  open() {
    this.source?.close();
    this.lastMs = performance.now();
    this.source = new EventSource(`${this.path}/live`);
    this.source.addEventListener("message", (event) => this.take(JSON.parse(event.data)));
    this.source.addEventListener("error", () => this.trouble());
  }

  take(view) {
    this.lastMs = performance.now();
    this.lostMs = null;
    clock.set(view.now_ms);
    this.heard(view);
  }

  trouble() {
    this.lose();
    // a browser does not retry a stream that was refused
    if (this.source.readyState === EventSource.CLOSED) this.askWhy();
  }

  async askWhy() {
    let status = 0;
    try {
      const signal = AbortSignal.timeout(ANSWER_MS);
      ({ status } = await fetch(this.path, { method: "HEAD", headers: { Accept: "application/json" }, signal }));
    } catch {
      // the server is away, or its answer is lost
    }
    if (status === 401 || status === 404) this.refused(status);
    else setTimeout(() => this.open(), AGAIN_MS);
  }

  check() {
    // a laptop that slept, or a network that swallows everything, raises no error
    if (performance.now() - this.lastMs > SILENCE_MS) {
      this.lose();
      if (this.source.readyState !== EventSource.CLOSED) this.open();
    }
  }

  lose() {
    this.lostMs ??= this.lastMs;
    this.lost();
  }
}
