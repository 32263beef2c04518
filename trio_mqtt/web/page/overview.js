// How the broker is: figures, and how they went in the last hour.

import { h, notice, show } from "./dom.js";
import { get } from "./api.js";
import { plot } from "./plot.js";
import { duration, number, rate, size } from "./words.js";

const EVERY = 2000; // ms
const HOUR = 3600; // s

// The last hour, in order: what the broker has kept, and what was seen since.
const past = [];

function keep(now) {
  if (past.length && now.at <= past.at(-1).at) return;
  past.push(now);
  while (past[0].at < now.at - HOUR) past.shift();
}

/** What was while nobody looked. */
async function catch_up() {
  const { at, ...figures } = await get("/overview/series", { since: past.at(-1)?.at });
  at.forEach((time, place) => {
    const then = Object.fromEntries(Object.entries(figures).map(([name, values]) => [name, values[place]]));
    keep({ at: time, ...then, totals: then });
  });
}

/** What a second brought between two readings. */
function per_second(name, now, before) {
  const seconds = now.at - before.at;
  const grown = (now.totals[name] ?? 0) - (before.totals[name] ?? 0);
  return seconds > 0 && grown >= 0 ? grown / seconds : NaN; // a broker that began anew counts anew
}

function points(value) {
  return past.slice(1).map((now, at) => [now.at, value(now, past[at])]);
}

export function overview() {
  const title = h("h1", {}, "Overview");
  const problems = h("div", { role: "alert" });
  const figures = h("div", { class: "figures" });
  const plots = h("div", { class: "plots" });
  let timer = 0, begun = false, ended = false;

  async function look() {
    try {
      if (!begun) await catch_up();
      begun = true;
      const now = await get("/overview");
      if (ended) return;
      keep(now);
      draw(now);
    } catch (error) {
      if (!ended) notice(error.message, true);
    }
    if (!ended) timer = setTimeout(look, EVERY);
  }

  function draw(now) {
    const before = past.at(-2);
    const speed = (name) => (before ? rate(per_second(name, now, before)) : "–");
    show(title, `trio-mqtt ${now.version}`, h("span", { class: "quiet" }, ` up ${duration(now.uptime)} at ${now.listeners.join(", ")}`));
    show(problems, now.problems.map((problem) => h("p", { class: "bad" }, problem)));
    const figure = (name, value, more = "") => h("div", { class: "figure" }, name, h("b", {}, value), h("small", {}, more));
    show(figures,
      figure("Clients", number(now.clients), `${number(now.sessions - now.clients)} away`),
      figure("Subscriptions", number(now.subscriptions)),
      figure("Messages in", speed("messages_received"), `${number(now.totals.messages_received)} so far`),
      figure("Messages out", speed("messages_sent"), `${number(now.totals.messages_sent)} so far`),
      figure("Queued", number(now.queued_messages), size(now.queued_bytes)),
      figure("In flight", number(now.in_flight)),
      figure("Dropped", number(now.totals.messages_dropped), speed("messages_dropped")),
      figure("Retained", number(now.retained), size(now.retained_bytes)),
      figure("Memory", size(now.memory)),
      figure("Late by", `${(now.loop_lag * 1000).toFixed(1)} ms`, "the broker's loop"),
      figure("Bans", number(now.bans)));
    show(plots,
      plot("Messages in", points((one, earlier) => per_second("messages_received", one, earlier)), rate),
      plot("Messages out", points((one, earlier) => per_second("messages_sent", one, earlier)), rate),
      plot("Clients", past.map((one) => [one.at, one.clients]), number),
      plot("Queued", past.map((one) => [one.at, one.queued_bytes]), size),
      plot("Late by", past.map((one) => [one.at, one.loop_lag * 1000]), (value) => `${value.toFixed(1)} ms`),
      plot("Memory", past.map((one) => [one.at, one.memory]), size));
  }

  look();
  return { element: h("section", {}, title, problems, figures, plots), end() { ended = true; clearTimeout(timer); } };
}
