// Topics: a tree of what is retained, that opens, and one topic as its messages come.

import { button, confirmed, h, notice, show } from "./dom.js";
import { follow, get, post, remove } from "./api.js";
import { lately, lookingBack } from "./looking_back.js";
import { bytes, line, numbers, shown, text } from "./payload.js";
import { plot } from "./plot.js";
import { may } from "./roles.js";
import { search } from "./table.js";
import { ago, clock, number, size, time } from "./words.js";

const PAGE = 200; // levels that are asked for at once
const KEPT = 300; // messages of the topic that is shown
const BEFORE = 50; // messages in the list of what was before
const SAME = 1; // s, by which the same message may be elsewhere at another time
const WAYS = 50; // to numbers that are offered
const WHOLE = 65536; // bytes of a payload

export function topics(chosen = "") {
  const tree = h("ul", { class: "tree", role: "tree", "aria-label": "Topics" });
  const aside = h("div", {});
  let current = null, at = chosen;
  let sought = "";

  function pick(topic) {
    current?.end();
    at = topic;
    current = one(topic);
    show(aside, current.element);
    for (const other of tree.querySelectorAll("[aria-current]")) other.removeAttribute("aria-current");
    for (const other of tree.querySelectorAll("button[data-topic]")) {
      if (other.dataset.topic === topic) other.setAttribute("aria-current", "true");
    }
    history.replaceState(null, "", `#/topics/${encodeURIComponent(topic)}`);
  }

  /** The levels below a prefix, in a list; more of them when asked for. */
  async function grow(list, prefix, offset = 0) {
    let answer;
    try {
      answer = await get("/topics", { prefix, search: sought, offset, limit: PAGE });
    } catch (error) {
      notice(error.message, true);
      return;
    }
    const grown = answer.items.map(branch);
    list.append(...grown);
    const left = answer.total - offset - answer.items.length;
    if (left > 0) {
      const more = h("li", {}, button(`${number(left)} more`, async () => {
        more.remove();
        await grow(list, prefix, offset + answer.items.length);
      }, { tabindex: -1, onkeydown: (event) => walk(event) }));
      list.append(more);
    } else if (!answer.total) {
      list.append(h("li", { class: "quiet" }, "Nothing is retained here."));
    }
    if (offset) grown[0]?.querySelector("button").focus(); // in the place of what was pressed
    else reach(tree.querySelector("[tabindex='0']") ?? tree.querySelector("button"));
  }

  function branch(level) {
    const below = h("ul", { role: "group", hidden: true });
    const item = h("li", { role: "treeitem", "aria-expanded": level.below ? "false" : null });
    const name = level.level || '""';
    async function turn(opens) {
      if (!level.below) return;
      if (opens && !below.children.length) await grow(below, `${level.topic}/`);
      below.hidden = !opens;
      item.setAttribute("aria-expanded", String(opens));
      arrow.textContent = opens ? "▾" : "▸";
    }
    const arrow = h("span", { class: "quiet", "aria-hidden": "true" }, level.below ? "▸" : "·");
    const face = h("button", { type: "button", "data-topic": level.topic, tabindex: -1, "aria-current": level.topic === at ? "true" : null, onclick: () => {
      if (level.below) turn(below.hidden);
      if (level.retained || !level.below) pick(level.topic);
    }, onkeydown: (event) => walk(event, turn, below) }, arrow, ` ${name} `,
      level.below ? h("span", { class: "quiet" }, number(level.below)) : "");
    show(item, face, below);
    return item;
  }

  /** One of the tree is reached by Tab: where somebody was last. */
  function reach(face) {
    for (const other of tree.querySelectorAll("[tabindex='0']")) other.setAttribute("tabindex", "-1");
    face?.setAttribute("tabindex", "0");
  }

  /** Arrow keys, as in the trees of other programs. */
  function walk(event, turn = () => {}, below = null) {
    const faces = [...tree.querySelectorAll("button")].filter((face) => face.closest("[hidden]") === null);
    const at = faces.indexOf(event.target);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: faces.length - 1 }[event.key];
    if (to !== undefined) faces[to]?.focus();
    else if (event.key === "ArrowRight") turn(true);
    else if (event.key === "ArrowLeft" && below && !below.hidden) turn(false);
    else if (event.key === "ArrowLeft") event.target.closest("ul")?.closest("li")?.querySelector("button")?.focus();
    else return;
    event.preventDefault();
  }

  async function plant() {
    show(tree);
    await grow(tree, "");
    if (!sought) tree.append(branch({ level: "$SYS", topic: "$SYS", below: 1, retained: false }));
  }

  tree.addEventListener("focusin", (event) => reach(event.target));
  const direct = h("input", { placeholder: "Topic, whether retained or not", "aria-label": "Topic", value: chosen });
  plant();
  if (chosen) pick(chosen);
  return {
    element: h("section", {}, h("h1", {}, "Topics"), h("div", { class: "bar" },
      search("Part of the topic", (typed) => { sought = typed; return plant(); }),
      h("form", { class: "bar", onsubmit: (event) => { event.preventDefault(); if (direct.value) pick(direct.value); } }, direct, h("button", {}, "Watch"))),
    h("div", { class: "two" }, tree, aside)),
    end() { current?.end(); },
  };
}

/** One topic: what it says, what it said, and what one can do. */
function one(topic) {
  const messages = [];
  const ways = new Set(); // to numbers in them
  const live = h("small", { class: "good", hidden: true }, "live");
  const value = h("div", {}), facts = h("p", { class: "quiet" }), drawn = h("div", {}), before = h("tbody", {});
  const view = h("select", { "aria-label": "How the payload is shown", onchange: draw }, ["auto", "text", "bytes"].map((name) => h("option", {}, name)));
  const path = h("select", { "aria-label": "Which number is drawn", hidden: true, onchange: () => { draw(); back.refresh(); } });
  const back = lookingBack(topic, () => path.value);
  let due = 0;

  function take(message) {
    messages.push(message);
    if (messages.length > KEPT) messages.shift();
    due ||= setTimeout(() => { due = 0; draw(); }, 150);
  }

  function draw() {
    const last = messages.at(-1);
    if (!last) return;
    show(value, shown(last.payload, messages.at(-2)?.payload ?? null, view.value));
    facts.textContent = `${size(last.size)}, QoS ${last.qos}, ${last.retained ? `retained since ${time(last.at)}` : ago(last.at)}${last.from ? `, from ${last.from}` : ""}`;
    const known = ways.size, chosen = path.value;
    for (const message of messages) message.numbers ??= numbers(message.payload);
    for (const way of last.numbers.keys()) if (ways.size < WAYS) ways.add(way);
    if (ways.size > known) {
      show(path, [...ways].map((way) => h("option", { value: way }, way || "the number")));
      if (ways.has(chosen)) path.value = chosen;
      else back.refresh();
    }
    path.hidden = ways.size < 2;
    const points = messages.map((message) => [message.at, message.numbers.get(path.value) ?? NaN]);
    show(drawn, ways.size && points.length > 1 ? plot(path.value || "Value", points, (amount) => amount.toLocaleString("en")) : null);
    show(before, messages.slice(0, -1).reverse().slice(0, BEFORE).map((message) => h("tr", {},
      h("td", { class: "quiet" }, clock(message.at)), h("td", {}, h("code", {}, line(message.payload))))));
  }

  async function look() {
    try {
      const earlier = await lately(topic, BEFORE);
      const first = messages[0]?.at ?? Infinity;
      messages.unshift(...earlier.filter((one) => one.at < first));
    } catch (error) {
      notice(error.message, true);
    }
    if (messages.length) draw();
    try {
      const kept = await get("/retained/message", { topic });
      const last = messages.at(-1);
      if (last && kept.stored_at < last.at + SAME) {
        Object.assign(last, { retained: last.retained || Math.abs(last.at - kept.stored_at) < SAME, from: last.from ?? kept.author });
        draw();
      } else take({ at: kept.stored_at, payload: bytes(kept.payload), size: kept.size, qos: kept.qos, retained: true, from: kept.author });
    } catch (error) {
      if (error.status !== 404) notice(error.message, true);
      else if (messages.length) return;
      else facts.textContent = "Nothing is retained here; what comes is shown.";
    }
  }

  async function act(change, done) {
    try {
      await change();
      notice(done);
    } catch (error) {
      notice(error.message, true);
    }
  }

  const payload = h("textarea", { "aria-label": "Payload" });
  const qos = h("select", { "aria-label": "QoS" }, [0, 1, 2].map((level) => h("option", {}, level)));
  const retain = h("input", { type: "checkbox" });
  const form = h("form", { class: "card", onsubmit: (event) => {
    event.preventDefault();
    act(() => post("/messages", { topic, text: payload.value, qos: Number(qos.value), retain: retain.checked }), `Published to ${topic}.`);
  } }, h("h2", {}, "Publish"), payload, h("div", { class: "bar" }, "QoS ", qos, h("label", {}, retain, " retain"),
    button("Take the last value", async () => { payload.value = messages.length ? text(messages.at(-1).payload) ?? "" : ""; }), h("button", {}, "Publish")));

  look();
  const stop = follow("trace", { topic_filter: topic, payload: WHOLE }, (entry) => {
    if (entry.kind !== "PUBLISH") return;
    take({ at: entry.at, payload: bytes(entry.payload) ?? new Uint8Array(), size: entry.size ?? 0, qos: entry.details.qos ?? 0, retained: false, from: entry.client_id });
  }, (sentence) => notice(sentence, true), () => { live.hidden = false; });
  return {
    element: h("article", {}, h("h1", { class: "mono" }, topic, " ", live), facts, h("div", { class: "bar" }, view, path,
      may("operate") ? button("Delete what is retained", async () => {
        if (await confirmed(`Remove the retained message of ${topic}?`, "Remove")) await act(() => remove("/retained", { topic_filter: topic }), "Removed.");
      }, { class: "danger" }) : null),
    value, drawn, back.element, may("operate") ? form : null, h("h2", {}, "Before"), h("table", {}, before)),
    end() { stop(); back.end(); clearTimeout(due); },
  };
}
