// Whether what is shown is live, and if not, why and for how long.

import { element, setText, show } from "./dom.js";
import { duration } from "./words.js";

export class Standing {
  constructor() {
    this.state = null;
    this.toldMs = 0;
    this.live = null;
    this.refused = "";
    setInterval(() => this.render(), 1000);
  }

  take(state) {
    this.state = state;
    this.toldMs = performance.now();
    this.render();
  }

  /** Nothing more comes, and waiting does not help: `why` is shown until the page is left. */
  refuse(why) {
    this.refused = why;
    this.render();
  }

  render() {
    const { badge, kind, why, seconds } = this.judge();
    setText(element("badge"), badge);
    element("badge").dataset.state = kind;
    document.body.dataset.live = kind === "live";
    setText(element("banner-why"), why);
    setText(element("banner-for"), seconds === null ? "" : `(${duration(seconds)})`);
    show(element("banner"), Boolean(why));
    setText(element("now-title"), kind === "away" ? "Last known" : "Now");
  }

  judge() {
    if (this.refused) return no("not live", this.refused, null);
    const sinceTold = (performance.now() - this.toldMs) / 1000;
    const lost = this.live?.lostSeconds ?? null;
    if (lost !== null) {
      const why = "No connection to the dashboard. The page reconnects by itself; until then, this is what was last known.";
      return no("not live", why, lost);
    }
    if (!this.state) return { badge: "connecting", kind: "asking", why: "", seconds: null };
    const { refused, refuses_writes: refusesWrites, away_seconds: away, begun, known, bot, silent_seconds: silent } = this.state;
    if (refused) return no("not live", "Redis refuses the dashboard. Its log says why.", null);
    if (away !== null) {
      const why = "Redis is away. The dashboard keeps trying; until then, this is what was last known.";
      return no("not live", why, away + sinceTold);
    }
    const lastHeard = begun && known ? silent + sinceTold : null;
    if (refusesWrites) {
      const why = "Redis is full or refuses writes. Until it accepts what the bot sends, this is what was last known.";
      return no("not live", why, lastHeard);
    }
    if (!begun) return { badge: "connecting", kind: "asking", why: "", seconds: null };
    if (!known) return no("no such room", "Redis has no room of this name. As soon as a bot joins it, it is shown here.", null);
    if (bot === null) return no("no bot", "There is no longer a bot in this room. This is what was last known.", lastHeard);
    if (bot === "starting") return { badge: "starting", kind: "asking", why: "", seconds: null };
    return { badge: "live", kind: "live", why: "", seconds: null };
  }
}

const no = (badge, why, seconds) => ({ badge, kind: "away", why, seconds });
