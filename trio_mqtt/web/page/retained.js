// Retained messages, and what to tidy up among them: what is old, and what its author does not say any more.

import { button, confirmed, h, notice } from "./dom.js";
import { remove } from "./api.js";
import { may } from "./roles.js";
import { search, table } from "./table.js";
import { ago, number, size, time } from "./words.js";

const AGES = [["0", "Any age"], ["3600", "Older than an hour"], ["86400", "Older than a day"], ["604800", "Older than a week"], ["2592000", "Older than 30 days"]];
const OLD = 2592000; // s, from which on it is marked
const ORPHANED = { gone: "author gone", silent: "not said again" };
const WHY = { gone: "Its author is not connected.", silent: "Its author has connected since, and not published it again." };

export function retained() {
  const chosen = { topic_filter: "#", search: "", author: "", older_than: 0, orphaned: "" };
  let total = 0;
  const list = table({ path: "/retained", asked: chosen, sort: "stored_at", empty: "Nothing is retained.",
    told: (answer) => { total = answer.total; }, columns: [
      { title: "Topic", sort: "topic", cell: (one) => h("a", { href: `#/topics/${encodeURIComponent(one.topic)}` }, one.topic) },
      { title: "Since", sort: "stored_at", cell: (one) => h("span", { class: Date.now() / 1000 - one.stored_at > OLD ? "bad" : null, title: time(one.stored_at) }, ago(one.stored_at)) },
      { title: "Size", sort: "size", number: true, cell: (one) => size(one.size) },
      { title: "QoS", number: true, cell: (one) => one.qos },
      { title: "Author", cell: (one) => one.author ?? "–" },
      { title: "Orphaned", cell: (one) => (one.orphaned ? h("span", { class: "bad", title: WHY[one.orphaned] }, ORPHANED[one.orphaned]) : "") },
      { title: "User", cell: (one) => one.username ?? "–" },
      { title: "Expires", cell: (one) => (one.expires_at === null ? "–" : time(one.expires_at)) },
      { title: "", cell: (one) => (may("operate") ? button("Delete", () => away({ topic_filter: one.topic }, 1, one.topic), { class: "danger", "aria-label": `Delete ${one.topic}` }) : "") },
    ] });
  const ask = (changes) => { Object.assign(chosen, changes); return list.ask(changes); };

  async function away(which, count, words) {
    if (!(await confirmed(`Remove ${count === 1 ? `the retained message of ${words}` : `${number(count)} retained messages (${words})`}?`, "Remove"))) return;
    try {
      const removed = await remove("/retained", which);
      notice(`Removed ${number(removed.count)}.`);
    } catch (error) {
      notice(error.message, true);
    }
    list.refresh();
  }

  const filter = h("input", { value: "#", "aria-label": "Topic filter", onchange: (event) => ask({ topic_filter: event.target.value || "#" }) });
  const age = h("select", { "aria-label": "Age", onchange: (event) => ask({ older_than: Number(event.target.value) }) },
    AGES.map(([value, text]) => h("option", { value }, text)));
  const orphaned = h("select", { "aria-label": "Orphaned", onchange: (event) => ask({ orphaned: event.target.value }) },
    [["", "Orphaned or not"], ["gone", "Author gone"], ["silent", "Not said again by its author"]].map(([value, text]) => h("option", { value }, text)));
  return {
    element: h("section", {}, h("h1", {}, "Retained messages"), h("div", { class: "bar" }, filter,
      search("Part of the topic", (text) => ask({ search: text })), search("Author", (text) => ask({ author: text })), age, orphaned,
      may("operate") ? button("Remove all of these", () => away({ ...chosen, older_than: chosen.older_than || null }, total, chosen.topic_filter), { class: "danger" }) : null),
    list.element),
    end: list.end,
  };
}
