// Users, groups and roles: commands of dynamic security, and what their views share.
//
// The broker never tells a password, and the page keeps none: fields are emptied once they are sent.

import { button, confirmed, h, notice, show } from "../dom.js";
import { Refused, post } from "../api.js";
import { field, question } from "../forms.js";
import { table } from "../table.js";

const OFFERED = 500; // names that are offered where one is to be chosen

/** Have a command done; its data, if it has any. Throws what it is refused with. */
export async function command(name, asked = {}) {
  const { responses: [answer] } = await post("/dynamic-security", { commands: [{ command: name, ...asked }] });
  if (answer.error !== undefined) throw new Refused(0, `${answer.error}.`);
  return answer.data;
}

export const link = (part, name) => h("a", { href: `#/access/${part}/${encodeURIComponent(name)}` }, name);

/** Links to several, with commas between, and the priority that each was given. */
export const links = (part, key, given) =>
  given.flatMap((one, at) => [at ? ", " : "", link(part, one[key]), one.priority === undefined ? "" : ` (${one.priority})`]);

/** A whole number that was typed, or nothing. */
export const priority = (typed) => (typed ? { priority: Number(typed) } : {});

/** A list of all of a kind, by pages, in whose place stands why there is none. */
export function listed(name, items, columns, empty) {
  const place = h("div", {});
  const list = table({
    again: 0, empty, columns, // each look is a command, which the audit log tells
    read: async ({ offset, limit }) => {
      const found = await command(name, { verbose: true, offset, count: limit });
      return { items: found[items], total: found.totalCount };
    },
    failed: (error) => show(place, h("p", { class: "bad", role: "alert" }, error.message)),
  });
  show(place, list.element);
  return { ...list, element: place };
}

/** A field for a name that exists, with those there are to choose from. */
export function named(name, label, list, items) {
  const id = `known-${items}`;
  const known = h("datalist", { id });
  command(list, { count: OFFERED }).then((found) => show(known, found[items].map((one) => h("option", { value: one }))), () => {});
  return [field(name, label, { required: true, list: id, autocomplete: "off" }), known];
}

/**
 * One user, group or role: `look` asks for it, `draw(found, act)` shows it anew after each change.
 *
 * `act(words, change)` does what was asked for, and says so; `sure(question, yes, words, change)`
 * asks first.
 */
export function single(title, look, draw) {
  const body = h("div", {});
  let ended = false;

  async function refresh() {
    try {
      const found = await look();
      if (!ended) show(body, draw(found, { act, sure }));
    } catch (error) {
      if (!ended) show(body, h("p", { class: "bad", role: "alert" }, error.message));
    }
  }

  async function act(words, change) {
    try {
      await change();
      notice(words);
    } catch (error) {
      notice(error.message, true);
      return;
    }
    await refresh();
  }

  async function sure(question_, yes, words, change) {
    if (await confirmed(question_, yes)) await act(words, change);
  }

  refresh();
  return { element: h("div", {}, h("h2", {}, title), body), end() { ended = true; } };
}

/** What somebody has of something: a table with what takes each away, and a form that gives more. */
export function having(title, heads, rows, taken, form) {
  return h("section", { class: "card", "aria-label": title }, h("h2", {}, title),
    rows.length ? h("div", { class: "wide" }, h("table", {}, h("thead", {}, h("tr", {}, [...heads, ""].map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, rows.map(({ cells, name, one }) => h("tr", {}, cells.map((cell) => h("td", {}, cell)),
        h("td", {}, button("Take away", () => taken(one), { class: "danger", "aria-label": `Take away ${name}` }))))))) : h("p", { class: "quiet" }, "None."),
    form);
}

/** Roles that a user or a group has. */
export function rolesOf(found, which, add, remove, { act }) {
  return having("Roles", ["Role", "Priority"], found.roles.map((one) => ({
    one, name: one.rolename, cells: [link("roles", one.rolename), one.priority ?? "–"] })),
  (one) => act(`${one.rolename} was taken away.`, () => command(remove, { ...which, rolename: one.rolename })),
  bare([named("rolename", "Role", "listRoles", "roles"), field("priority", "Priority", { type: "number" })], "Give this role",
    (asked) => act(`${asked.rolename} was given.`, () => command(add, { ...which, rolename: asked.rolename, ...priority(asked.priority) }))));
}

/** A form without a frame, in one that has it. */
export function bare(fields, text, act) {
  return h("form", { class: "inner", onsubmit: (event) => {
    event.preventDefault();
    act(Object.fromEntries(new FormData(event.target)));
  } }, fields, h("button", {}, text));
}

/** What people call it, and what they say of it. */
export function described(found, which, modify, { act }) {
  return h("section", { class: "card", "aria-label": "Description" }, h("h2", {}, "Description"), bare([
    field("textname", "Called", { value: found.textname ?? "" }), field("textdescription", "Description", { value: found.textdescription ?? "" }),
  ], "Change", (asked) => act("Changed.", () => command(modify, { ...which, ...asked }))));
}

/** A form that makes another, and goes there. */
export function making(title, part, key, create, more = []) {
  return question(title, [field(key, "Name", { required: true, autocomplete: "off" }), more], "Make", async (asked, form) => {
    const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== ""));
    form.querySelectorAll("[type=password]").forEach((one) => { one.value = ""; });
    await command(create, given);
    location.hash = `#/access/${part}/${encodeURIComponent(asked[key])}`;
    return [];
  });
}

/** A form that opens one by its name. */
export function opening(part, items, list) {
  return h("form", { class: "bar", onsubmit: (event) => {
    event.preventDefault();
    location.hash = `#/access/${part}/${encodeURIComponent(new FormData(event.target).get("name"))}`;
  } }, named("name", "Open by name ", list, items), h("button", {}, "Open"));
}
