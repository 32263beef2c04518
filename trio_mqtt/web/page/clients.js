// Clients, and one of them.

import { button, confirmed, h, notice, show } from "./dom.js";
import { follow, get, post, remove } from "./api.js";
import { bytes, line } from "./payload.js";
import { may } from "./roles.js";
import { search, table } from "./table.js";
import { ago, clock, duration, number, rate, size, time } from "./words.js";

const FOR_EVER = 4294967295;
const SHOWN = 500; // packets of a trace

export const clientLink = (one) =>
  h("a", { href: `#/client/${encodeURIComponent(one.client_id)}/${encodeURIComponent(one.mount_point ?? "")}` }, one.client_id || '""');

const COLUMNS = [
  { title: "Client", sort: "client_id", cell: clientLink },
  { title: "User", sort: "username", cell: (one) => one.username ?? "–" },
  { title: "Address", cell: (one) => one.address ?? "–" },
  { title: "MQTT", cell: (one) => one.protocol ?? "–" },
  { title: "State", sort: "since", cell: (one) => h("span", { class: one.connected ? "good" : "quiet" }, `${one.connected ? "connected" : "away"} ${ago(one.since)}`) },
  { title: "Subscriptions", sort: "subscriptions", number: true, cell: (one) => number(one.subscriptions) },
  { title: "Queued", sort: "queued_messages", number: true, cell: (one) => number(one.queued_messages) },
  { title: "In flight", sort: "in_flight", number: true, cell: (one) => number(one.in_flight) },
  { title: "Dropped", sort: "dropped", number: true, cell: (one) => number(one.dropped) },
  { title: "In", number: true, cell: (one) => rate(one.rates?.messages_in) },
  { title: "Out", number: true, cell: (one) => rate(one.rates?.messages_out) },
];

export function clients() {
  const list = table({ path: "/clients", columns: COLUMNS, asked: { rates: true }, sort: "client_id", empty: "No client." });
  const which = h("select", { "aria-label": "Which clients", onchange: (event) => list.ask({
    connected: { connected: true, away: false }[event.target.value] ?? null, slow: event.target.value === "slow" || null }) },
    [["", "All"], ["connected", "Connected"], ["away", "Away"], ["slow", "Slow readers"]].map(([value, text]) => h("option", { value }, text)));
  return {
    element: h("section", {}, h("h1", {}, "Clients"),
      h("div", { class: "bar" }, search("Identifier, user, address", (text) => list.ask({ search: text })), which), list.element),
    end: list.end,
  };
}

export function client(client_id = "", mount_point = "") {
  const name = { client_id, mount_point };
  const facts = h("dl", {});
  const acts = h("div", { class: "bar" });
  const live = h("pre", { class: "live mono" });
  const traced = h("span", { class: "quiet" });
  let stop = null, timer = 0, ended = false;
  // That it is not there just now, its state tells.
  const failed = (error) => { if (error.status !== 404) notice(error.message, true); };
  const lists = [
    table({ path: "/subscriptions", asked: name, failed, empty: "No subscription.", columns: [
      { title: "Filter", cell: (one) => one.topic_filter },
      { title: "QoS", number: true, cell: (one) => one.qos },
      { title: "Waits", number: true, cell: (one) => number(one.queued) },
    ] }),
    table({ path: "/session/queue", asked: name, failed, empty: "Nothing is on its way.", columns: [
      { title: "Topic", cell: (one) => one.topic },
      { title: "State", cell: (one) => one.state },
      { title: "QoS", number: true, cell: (one) => one.qos },
      { title: "Size", number: true, cell: (one) => size(one.size) },
      { title: "Came", cell: (one) => ago(one.received_at) },
      { title: "Payload", cell: (one) => h("code", {}, line(bytes(one.payload))) },
    ] }),
  ];

  async function look() {
    try {
      const one = await get("/client", name);
      if (!ended) describe(one);
    } catch (error) {
      if (!ended) show(facts, h("dt", {}, "State"), h("dd", {}, error.message));
    }
    if (!ended) timer = setTimeout(look, 3000);
  }

  function describe(one) {
    const row = (label, value) => (value === null || value === undefined || value === "" ? [] : [h("dt", {}, label), h("dd", {}, String(value))]);
    const expiry = one.expiry_interval === FOR_EVER ? "for ever" : duration(one.expiry_interval);
    show(facts,
      row("State", `${one.connected ? "connected" : "away"} since ${time(one.since)}`),
      row("User", one.username), row("Address", one.address), row("Listener", one.listener), row("MQTT", one.protocol),
      row("Mount point", one.mount_point), row("Keep alive", one.keep_alive === null ? null : duration(one.keep_alive)),
      row("Session is kept", expiry), row("Ends", one.expires_at === null ? null : time(one.expires_at)),
      row("Will", one.will && `${one.will.topic}, ${size(one.will.size)}, QoS ${one.will.qos}${one.will.retain ? ", retained" : ""}, after ${duration(one.will.delay)}`),
      row("Subscriptions", number(one.subscriptions)), row("Queued", `${number(one.queued_messages)} messages, ${size(one.queued_bytes)}`),
      row("In flight", number(one.in_flight)), row("Dropped", number(one.dropped)));
  }

  async function act(question, yes, change) {
    if (!(await confirmed(question, yes))) return;
    try {
      await change();
      notice("Done.");
    } catch (error) {
      notice(error.message, true);
    }
    lists.forEach((list) => list.refresh());
  }

  if (may("operate")) {
    acts.append(
      button("Disconnect", () => act(`Disconnect ${client_id}?`, "Disconnect", () => post("/client/disconnect", name))),
      button("End session", () => act(`End the session of ${client_id}, with all that waits in it?`, "End it", () => remove("/session", name)), { class: "danger" }));
  }
  if (may("administrate")) {
    acts.append(button("Ban", () => act(`Ban the client identifier ${client_id} until it is lifted?`, "Ban",
      () => post("/bans", { kind: "client", value: client_id })), { class: "danger" }));
  }
  const watch = button("Watch its packets", () => {
    if (stop) {
      stop();
      stop = null;
      watch.textContent = "Watch its packets";
      return;
    }
    let count = 0;
    const rows = [];
    stop = follow("trace", name, (entry) => {
      count += 1;
      const details = Object.entries(entry.details).map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`).join(" ");
      const said = entry.payload === null ? "" : `  ${line(bytes(entry.payload))}`;
      rows.push(`${clock(entry.at)} ${entry.direction === "in" ? "→" : "←"} ${entry.kind} ${details}${said}`);
      if (rows.length > SHOWN) rows.shift();
      live.textContent = rows.join("\n");
      live.scrollTop = live.scrollHeight;
      traced.textContent = `${number(count)} packets${count > SHOWN ? `, the last ${SHOWN} shown` : ""}`;
    }, (sentence) => { traced.textContent = sentence; }, () => { traced.textContent = "Nothing yet."; });
    watch.textContent = "Stop";
  });
  look();
  return {
    element: h("section", {}, h("h1", {}, client_id || '""'), acts, facts,
      h("h2", {}, "Subscriptions"), lists[0].element, h("h2", {}, "On their way"), lists[1].element,
      h("h2", {}, "Packets"), h("div", { class: "bar" }, watch, traced), live),
    end() { ended = true; clearTimeout(timer); lists.forEach((list) => list.end()); stop?.(); },
  };
}
