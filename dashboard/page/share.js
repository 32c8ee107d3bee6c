// The read-only link.

import { element, setText, show } from "./dom.js";

export function offerLink(path, may) {
  const [button, dialog, field, copy] = ["share", "link-dialog", "link", "copy"].map(element);
  show(button, may);
  button.onclick = async () => {
    const response = await fetch(`${path}/link`);
    if (!response.ok) return;
    const { path: link } = await response.json();
    field.value = new URL(link, location.origin).href;
    setText(copy, "Copy");
    dialog.showModal();
    field.select();
  };
  copy.onclick = async () => {
    field.select();
    // browsers offer the clipboard only on https and localhost
    await navigator.clipboard?.writeText(field.value);
    setText(copy, navigator.clipboard ? "Copied" : "Selected: copy it with Ctrl-C");
  };
}
