// What happens at the broker, as it happens, and a search in what has happened.

import { button, h, notice, show } from "./dom.js";
import { follow } from "./api.js";
import { clock, number } from "./words.js";

const KEPT = 10000; // entries that are searched
const SHOWN = 300; // of those, the newest
const PAUSE = 100; // ms between two times that the list is drawn

export function log() {
  const entries = [];
  const rows = h("tbody", {});
  const told = h("span", { class: "quiet", role: "status" });
  const search = h("input", { type: "search", placeholder: "Only with", "aria-label": "Only with this text", oninput: () => later() });
  const kinds = h("select", { "aria-label": "Which events", onchange: () => later() }, h("option", { value: "" }, "All events"));
  const live = h("small", { class: "good", hidden: true }, "live");
  const known = new Set();
  let held = false, due = 0;

  function take({ at, kind, ...details }) {
    if (held) return;
    const said = Object.entries(details).filter(([, value]) => value !== null).map(([key, value]) => `${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`).join(", ");
    entries.push({ at: at ?? Date.now() / 1000, kind, said, sought: `${kind} ${said}`.toLowerCase() });
    if (entries.length > KEPT + SHOWN) entries.splice(0, SHOWN);
    if (!known.has(kind)) {
      known.add(kind);
      kinds.append(h("option", { value: kind }, kind));
    }
    later();
  }

  // Much that happens at once is drawn once.
  function later() { due ||= setTimeout(draw, PAUSE); }

  function draw() {
    due = 0;
    const words = search.value.toLowerCase().split(/\s+/);
    const found = entries.filter((one) => (!kinds.value || one.kind === kinds.value) && words.every((word) => one.sought.includes(word)));
    show(rows, found.slice(-SHOWN).reverse().map((one) => h("tr", {}, h("td", { class: "quiet" }, clock(one.at)), h("td", {}, one.kind), h("td", {}, one.said))));
    told.textContent = entries.length ? `${number(found.length)} of ${number(entries.length)}${found.length > SHOWN ? `, the last ${SHOWN} shown` : ""}` : "";
  }

  const stop = follow("events", {}, take, (sentence) => notice(sentence, true), () => { live.hidden = false; });
  const hold = button("Hold", () => { held = !held; hold.textContent = held ? "Go on" : "Hold"; });
  return {
    element: h("section", {}, h("h1", {}, "Log ", live), h("div", { class: "bar" }, search, kinds, hold, told),
      h("div", { class: "wide" }, h("table", {}, h("thead", {}, h("tr", {}, ["When", "What", ""].map((title) => h("th", { scope: "col" }, title)))), rows))),
    end() { stop(); clearTimeout(due); },
  };
}
