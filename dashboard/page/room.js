// One room: hands the stream's messages to the parts of the page.

import { element, setText, show } from "./dom.js";
import { Help } from "./help.js";
import { Live } from "./live.js";
import { Marks } from "./marks.js";
import { Mood } from "./mood.js";
import { People } from "./people.js";
import { offerLink } from "./share.js";
import { Standing } from "./standing.js";

const path = location.pathname;
const marks = new Marks(path);
const standing = new Standing();
const parts = [new Mood(), new People(), new Help(), marks];

function introduce({ room, marks: labels, password }) {
  setText(element("room"), room);
  document.title = `${room} – classmood`;
  marks.offer(labels);
  offerLink(path, labels !== null);
  show(element("logout"), password);
  if (labels === null) element("home").removeAttribute("href");
}

function heard(view) {
  if (view.about) introduce(view.about);
  for (const part of parts) part.take(view);
  standing.take(view.state);
}

function refused(status) {
  if (status === 401) location.assign(`/login?next=${encodeURIComponent(path)}`);
  else standing.refuse("This link is no longer valid. Ask for a new one.");
}

standing.live = new Live(path, { heard, lost: () => standing.render(), refused });
