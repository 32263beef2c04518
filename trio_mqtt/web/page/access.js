// Who may do what: the rules as they are, and the users, groups and roles that are changed here.

import { h } from "./dom.js";
import { may } from "./roles.js";
import { groups } from "./access/groups.js";
import { roles } from "./access/roles.js";
import { rules } from "./access/rules.js";
import { users } from "./access/users.js";

const PARTS = { rules: ["Rules and bans", rules], users: ["Users", users], groups: ["Groups", groups], roles: ["Roles", roles] };

/** A part of it, and in that one user, group or role. */
export function access(part = "rules", name = "") {
  const parts = may("administrate") ? PARTS : { rules: PARTS.rules };
  const shown = Object.hasOwn(parts, part) ? part : "rules";
  const open = parts[shown][1](name);
  return {
    element: h("section", {}, h("h1", {}, "Access"),
      Object.keys(parts).length > 1 ? h("nav", { class: "bar", "aria-label": "Parts of access" }, Object.entries(parts).map(([key, [title]]) =>
        h("a", { href: `#/access/${key}`, "aria-current": key === shown ? "page" : null }, title))) : null,
      open.element),
    end: open.end,
  };
}
