// The few things that every part of the page does with elements. Text goes in as text, never as HTML.

export const element = (id) => document.getElementById(id);

export function make(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** Touch the page only where something is different: whatever is set is laid out and drawn again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function show(node, yes) {
  if (node.hidden === yes) node.hidden = !yes;
}

export function sign(emotion) {
  const made = make("span", "sign");
  made.setAttribute("aria-hidden", "true");
  if (emotion) made.dataset.emotion = emotion;
  return made;
}

/** Somebody's own text, which must not change the direction of the text beside it. */
export function isolated(text, className = "") {
  const made = make("bdi", className, text);
  made.dir = "auto";
  return made;
}
