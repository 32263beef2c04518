// A list by pages. The broker searches and sorts; the page asks for what it shows.

import { button, h, notice, show } from "./dom.js";
import { get } from "./api.js";
import { number } from "./words.js";

const PAGE = 50;
const AGAIN = 3000; // ms
const HOLDS = "a, button"; // what can have the focus

/**
 * A table of what `path` lists.
 *
 * `columns` are {title, cell(row), sort, number}; `asked` is what the list is asked with, beside its
 * page and order; `told(answer)` gets each answer, `failed(error)` why there is none. `read` asks in
 * another way than by `path`, and `again` is how often (ms; 0: only when told to). Its `refresh()`
 * asks anew, `ask(changes)` for something else, `end()` stops it.
 */
export function table({
  path, columns, asked = {}, sort = null, empty = "Nothing.", told = () => {}, again = AGAIN,
  read = (what) => get(path, what), failed = (error) => notice(error.message, true),
}) {
  const state = { asked: { ...asked }, offset: 0, sort, descending: false, ended: false, turn: 0 };
  const body = h("tbody", { role: "rowgroup" });
  const head = h("tr", { role: "row" });
  const where = h("span", { class: "quiet" });
  const back = button("‹ Previous", () => go(-PAGE), { "aria-label": "Earlier rows" });
  const on = button("Next ›", () => go(PAGE), { "aria-label": "Later rows" });
  const element = h("div", {},
    h("div", { class: "wide" }, h("table", { role: "table", class: "cards" }, h("thead", { role: "rowgroup" }, head), body)),
    h("div", { class: "bar" }, back, on, where));
  let timer = 0;

  // On a phone a row is a card, in which each cell says what it is (style.css).
  function cell(column, row) {
    const shown = h("td", { class: column.number ? "number" : null, role: "cell", "data-head": column.title }, column.cell(row));
    if (["–", ""].includes(shown.textContent)) shown.setAttribute("data-none", "");
    return shown;
  }

  function heads() {
    show(head, columns.map((column) => {
      const chosen = column.sort && state.sort === column.sort;
      const mark = chosen ? (state.descending ? " ▾" : " ▴") : "";
      const inner = column.sort
        ? h("button", { type: "button", onclick: () => order(column.sort) }, column.title + mark) : column.title;
      return h("th", { scope: "col", role: "columnheader", class: column.number ? "number" : null,
        "aria-sort": chosen ? (state.descending ? "descending" : "ascending") : null }, inner);
    }));
  }

  function order(name) {
    state.descending = state.sort === name ? !state.descending : false;
    state.sort = name;
    state.offset = 0;
    heads();
    return refresh();
  }

  function go(step) {
    state.offset = Math.max(0, state.offset + step);
    return refresh();
  }

  async function refresh() {
    clearTimeout(timer);
    const turn = ++state.turn;
    try {
      const order = state.sort ? { sort: state.sort, descending: state.descending } : {};
      const answer = await read({ ...state.asked, ...order, offset: state.offset, limit: PAGE });
      if (state.ended || turn !== state.turn) return;
      const rows = answer.items.map((row) => h("tr", { role: "row" }, columns.map((column) =>
        cell(column, row))));
      const held = focused();
      show(body, rows.length ? rows : h("tr", {}, h("td", { colspan: columns.length, class: "quiet" }, empty)));
      if (held) hold(held);
      const last = state.offset + answer.items.length;
      where.textContent = answer.total ? `${number(state.offset + 1)} to ${number(last)} of ${number(answer.total)}` : "";
      back.disabled = state.offset === 0;
      on.disabled = last >= answer.total;
      told(answer);
    } catch (error) {
      if (!state.ended && turn === state.turn) failed(error);
    }
    if (!state.ended && again) timer = setTimeout(refreshQuietly, again);
  }

  // Whoever goes by keyboard stays in the row that is there in the place of another.
  function focused() {
    const row = document.activeElement?.closest("tr");
    return row && body.contains(row) ? [[...body.children].indexOf(row), [...row.querySelectorAll(HOLDS)].indexOf(document.activeElement)] : null;
  }

  function hold([row, place]) {
    const there = body.children[Math.min(row, body.children.length - 1)]?.querySelectorAll(HOLDS);
    (there?.[place] ?? (back.disabled ? on : back)).focus();
  }

  // What somebody is pointing at, or has the focus in, does not change under the hand.
  function refreshQuietly() {
    if (document.hidden || body.contains(document.activeElement)) timer = setTimeout(refreshQuietly, again);
    else refresh();
  }

  heads();
  refresh();
  return {
    element,
    refresh,
    ask(changes) { Object.assign(state.asked, changes); state.offset = 0; return refresh(); },
    end() { state.ended = true; clearTimeout(timer); },
  };
}

/** A field to search by: `take` gets what is typed, a moment after it was. */
export function search(label, take, value = "") {
  let timer = 0;
  return h("input", { type: "search", placeholder: label, "aria-label": label, value,
    oninput: (event) => { clearTimeout(timer); timer = setTimeout(() => take(event.target.value), 250); } });
}
