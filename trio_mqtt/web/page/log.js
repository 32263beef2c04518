// What happens at the broker, as it happens.

import { button, h, notice } from "./dom.js";
import { follow } from "./api.js";
import { clock } from "./words.js";

const SHOWN = 1000;

export function log() {
  const rows = h("tbody", {});
  const search = h("input", { type: "search", placeholder: "Only with", "aria-label": "Only with this text", oninput: sift });
  const live = h("small", { class: "good", hidden: true }, "live");
  let held = false;

  function sift() {
    const wanted = search.value.toLowerCase();
    for (const row of rows.children) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  }

  const stop = follow("events", {}, (entry) => {
    if (held) return;
    const { at, kind, ...details } = entry;
    const said = Object.entries(details).filter(([, value]) => value !== null).map(([key, value]) => `${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`).join(", ");
    const row = h("tr", {}, h("td", { class: "quiet" }, clock(at ?? Date.now() / 1000)), h("td", {}, kind), h("td", {}, said));
    row.hidden = !row.textContent.toLowerCase().includes(search.value.toLowerCase());
    rows.prepend(row);
    while (rows.children.length > SHOWN) rows.lastChild.remove();
  }, (sentence) => notice(sentence, true), () => { live.hidden = false; });
  const hold = button("Hold", () => { held = !held; hold.textContent = held ? "Go on" : "Hold"; });
  return {
    element: h("section", {}, h("h1", {}, "Log ", live), h("div", { class: "bar" }, search, hold),
      h("div", { class: "wide" }, h("table", {}, h("thead", {}, h("tr", {}, ["When", "What", ""].map((title) => h("th", { scope: "col" }, title)))), rows))),
    end: stop,
  };
}
