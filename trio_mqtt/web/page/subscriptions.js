// Subscriptions of all clients, by filter, or by a topic that they match.

import { h } from "./dom.js";
import { clientLink } from "./clients.js";
import { search, table } from "./table.js";
import { number } from "./words.js";

export function subscriptions() {
  const list = table({ path: "/subscriptions", empty: "No subscription.", columns: [
    { title: "Filter", cell: (one) => one.topic_filter },
    { title: "Client", cell: clientLink },
    { title: "QoS", number: true, cell: (one) => one.qos },
    { title: "Options", cell: (one) => [one.no_local && "no local", one.retain_as_published && "retain as published",
      one.identifier !== null && `identifier ${one.identifier}`].filter(Boolean).join(", ") },
    { title: "Waits", number: true, cell: (one) => number(one.queued) },
  ] });
  return {
    element: h("section", {}, h("h1", {}, "Subscriptions"), h("div", { class: "bar" },
      search("Part of the filter", (text) => list.ask({ search: text })),
      search("Matches this topic", (text) => list.ask({ topic: text })),
      h("label", {}, h("input", { type: "checkbox", onchange: (event) => list.ask({ shared: event.target.checked || null }) }), " shared only")),
    list.element),
    end: list.end,
  };
}
