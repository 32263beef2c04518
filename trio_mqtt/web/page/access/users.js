// Users of dynamic security: all of them, and one.

import { button, h } from "../dom.js";
import { field } from "../forms.js";
import { bare, command, described, having, link, links, listed, making, named, opening, priority, rolesOf, single } from "./dynamic.js";

const password = (properties = {}) => field("password", "Password", { type: "password", autocomplete: "new-password", ...properties });

export function users(username) {
  if (username) return user(username);
  const list = listed("listClients", "clients", [
    { title: "User", cell: (one) => link("users", one.username) },
    { title: "Called", cell: (one) => one.textname ?? "" },
    { title: "Only as client", cell: (one) => one.clientid ?? "–" },
    { title: "May connect", cell: (one) => (one.disabled ? h("span", { class: "bad" }, "no") : "yes") },
    { title: "Roles", cell: (one) => links("roles", "rolename", one.roles) },
    { title: "Groups", cell: (one) => links("groups", "groupname", one.groups) },
  ], "No user.");
  return {
    element: h("div", {}, opening("users", "clients", "listClients"), list.element, h("div", { class: "plots" },
      making("Make a user", "users", "username", "createClient", [password(), field("clientid", "Only with this client identifier (empty: any)", { autocomplete: "off" })]))),
    end: list.end,
  };
}

function user(username) {
  const which = { username };
  return single(username, async () => (await command("getClient", which)).client, (found, doing) => {
    const { act, sure } = doing;
    return [
      h("div", { class: "bar" }, h("span", { class: found.disabled ? "bad" : "good" }, found.disabled ? "may not connect" : "may connect"),
        found.disabled
          ? button("Enable", () => act(`${username} may connect.`, () => command("enableClient", which)))
          : button("Disable", () => sure(`Disable ${username}, and disconnect it?`, "Disable", `${username} may not connect.`, () => command("disableClient", which)), { class: "danger" }),
        button("Delete", () => sure(`Delete the user ${username}, and disconnect it?`, "Delete", `${username} was deleted.`, async () => {
          await command("deleteClient", which);
          location.hash = "#/access/users";
        }), { class: "danger" })),
      h("div", { class: "plots" },
        rolesOf(found, which, "addClientRole", "removeClientRole", doing),
        having("Groups", ["Group", "Priority"], found.groups.map((one) => ({ one, name: one.groupname, cells: [link("groups", one.groupname), one.priority ?? "–"] })),
          (one) => act(`${username} is in ${one.groupname} no more.`, () => command("removeGroupClient", { ...which, groupname: one.groupname })),
          bare([named("groupname", "Group", "listGroups", "groups"), field("priority", "Priority", { type: "number" })], "Put into this group",
            (asked) => act(`${username} is in ${asked.groupname}.`, () => command("addGroupClient", { ...which, groupname: asked.groupname, ...priority(asked.priority) })))),
        h("section", { class: "card", "aria-label": "How it connects" }, h("h2", {}, "How it connects"),
          bare([password({ required: true })], "Set this password", (asked) => act(`${username} has another password.`, () => command("setClientPassword", { ...which, ...asked }))),
          bare([field("clientid", "Only with this client identifier (empty: any)", { value: found.clientid ?? "", autocomplete: "off" })], "Set it",
            (asked) => act("Set.", () => command("setClientId", { ...which, ...asked })))),
        described(found, which, "modifyClient", doing)),
    ];
  });
}
