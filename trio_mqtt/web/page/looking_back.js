// What a number of a topic was: drawn from the history of the broker, where it keeps one.

import { get } from "./api.js";
import { h, show } from "./dom.js";
import { bytes } from "./payload.js";
import { plot } from "./plot.js";

const SPANS = [["3600", "the last hour"], ["21600", "the last 6 hours"], ["86400", "the last day"], ["604800", "the last week"], ["2592000", "the last 30 days"]];
const SUMMARIES = ["mean", "min", "max", "last", "count"];
const POINTS = 300;
const PAGES = 5; // of a history; a page may be a small one, where there was much to look through
const OFTEN = 10; // s, at most

/** The last messages of a topic that were kept, oldest first; none where there is no history. */
export async function lately(topic, last) {
  const { messages } = await asked({ topic_filter: topic, last });
  return messages.map((one) => ({ at: one.at, payload: bytes(one.payload), size: bytes(one.payload).length, qos: one.qos, retained: false, from: null }));
}

async function asked(query) {
  try {
    return await get("/history", query);
  } catch (error) {
    if (error.status === 404) return { messages: [], points: null, next: "" };
    throw error;
  }
}

/** A plot of the number at the way that `path()` gives; `refresh()` draws another, `end()` stops. */
export function lookingBack(topic, path) {
  const drawn = h("div", { role: "status" });
  const span = h("select", { "aria-label": "How far back", onchange: look }, SPANS.map(([value, text]) => h("option", { value }, text)));
  const summary = h("select", { "aria-label": "Which of the numbers", onchange: look }, SUMMARIES.map((name) => h("option", {}, name)));
  const element = h("section", { hidden: true, "aria-label": "History" }, h("h2", {}, "History"), h("div", { class: "bar" }, span, summary), drawn);
  let timer = 0, turn = 0;

  async function look() {
    clearTimeout(timer);
    const mine = ++turn;
    const back = Number(span.value), every = back / POINTS;
    try {
      const points = await pages({ topic_filter: topic, since: Date.now() / 1000 - back, every, summary: summary.value, path: path(), limit: 2 * POINTS });
      if (mine !== turn) return;
      element.hidden = points === null;
      if (points === null) return;
      show(drawn, points.length ? plot(`${path() || "Value"}, ${summary.value}`, points.map((one) => [one.at, one.value]), (amount) => amount.toLocaleString("en"))
        : h("p", { class: "quiet" }, "No number was kept in this time."));
    } catch (error) {
      if (mine !== turn) return;
      show(drawn, h("p", { class: "bad" }, error.message));
    }
    timer = setTimeout(look, 1000 * Math.max(OFTEN, every));
  }

  async function pages(query) {
    const points = [];
    for (let page = 0, after = ""; page < PAGES; page += 1) {
      const answer = await asked({ ...query, after });
      if (answer.points === null) return null;
      points.push(...answer.points);
      after = answer.next;
      if (!after) break;
    }
    return points;
  }

  look();
  return { element, refresh: look, end() { turn += 1; clearTimeout(timer); } };
}
