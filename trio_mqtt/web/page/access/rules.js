// The rules: what they say of a client, whom a message would reach, and bans.

import { button, confirmed, h, notice } from "../dom.js";
import { get, post, remove } from "../api.js";
import { clientLink } from "../clients.js";
import { choice, field, question } from "../forms.js";
import { may } from "../roles.js";
import { table } from "../table.js";
import { time } from "../words.js";

export function rules() {
  const asked = question("May this client do that?", [
    field("client_id", "Client identifier", { required: true }), field("username", "User (where no such client is there now)"),
    choice("action", "What", ["publish", "subscribe", "receive"]),
    field("topic", "Topic, or filter", { required: true }),
  ], "Ask the rules", async (what) => {
    const answer = await get("/may", what);
    return [h("p", { class: answer.allowed ? "good" : "bad" }, answer.allowed ? "Yes." : "No."), h("p", {}, answer.rule),
      answer.hooks ? h("p", { class: "quiet" }, "The program's hooks are asked as well, and may refuse.") : null];
  });
  const who = question("Who would get this message?", [
    field("topic", "Topic", { required: true }), field("client_id", "Published by (empty: the broker itself)"),
  ], "Look", async (asked) => {
    const answer = await get("/who", asked);
    return [answer.published ? null : h("p", { class: "bad" }, answer.why_not),
      h("p", {}, `${answer.total} subscriptions match${answer.elsewhere ? `, and ${answer.elsewhere} other nodes` : ""}.`),
      h("ul", {}, answer.items.map((one) => h("li", {}, clientLink(one), ` by ${one.topic_filter}, QoS ${one.qos}${one.connected ? "" : ", away"}${one.gets_it ? "" : `: not sent, ${one.why_not}`}`)))];
  });
  const bans = table({ path: "/bans", empty: "Nobody is banned.", columns: [
    { title: "By", cell: (one) => one.kind },
    { title: "Who", cell: (one) => one.value },
    { title: "Until", cell: (one) => (one.until === null || one.until === undefined ? "lifted" : time(one.until)) },
    { title: "Why", cell: (one) => one.reason },
    { title: "", cell: (one) => (may("administrate") ? button("Lift", () => change(`Lift the ban of ${one.value}?`, "Lift", () => remove("/bans", { kind: one.kind, value: one.value })), { "aria-label": `Lift the ban of ${one.value}` }) : "") },
  ] });

  async function change(sentence, yes, act) {
    if (!(await confirmed(sentence, yes))) return;
    try {
      await act();
    } catch (error) {
      notice(error.message, true);
    }
    bans.refresh();
  }

  const ban = question("Ban", [
    choice("kind", "By", ["client", "user", "address"]), field("value", "Who", { required: true }), field("seconds", "For how many seconds (empty: until it is lifted)", { inputmode: "numeric" }), field("reason", "Why"),
  ], "Ban", async (asked) => {
    const answer = await post("/bans", { ...asked, seconds: asked.seconds ? Number(asked.seconds) : null });
    bans.refresh();
    return h("p", {}, `Banned; ${answer.disconnected} disconnected.`);
  });
  return {
    element: h("div", {}, h("div", { class: "plots" }, asked, who, may("administrate") ? ban : null), h("h2", {}, "Bans"), bans.element),
    end: bans.end,
  };
}
