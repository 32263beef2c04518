// Forms that ask or change something, and say below what came of it.

import { h, show } from "./dom.js";

export const field = (name, label, properties = {}) => h("label", {}, label, h("input", { name, ...properties }));

export const choice = (name, label, values, chosen = values[0]) =>
  h("label", {}, `${label} `, h("select", { name }, values.map((value) => h("option", { selected: value === chosen }, value))));

/** A form; `ask` gets what is in it by name, and gives elements that say what came of it. */
export function question(title, fields, text, ask) {
  const said = h("div", { role: "status" });
  return h("form", { class: "card", onsubmit: async (event) => {
    event.preventDefault();
    try {
      show(said, await ask(Object.fromEntries(new FormData(event.target)), event.target));
    } catch (error) {
      show(said, h("p", { class: "bad" }, error.message));
    }
  } }, h("h2", {}, title), fields, h("button", {}, text), said);
}
