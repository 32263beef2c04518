// Groups of dynamic security: all of them, and one.

import { button, h, show } from "../dom.js";
import { field } from "../forms.js";
import { bare, command, described, having, link, links, listed, making, named, opening, priority, rolesOf, single } from "./dynamic.js";

const SHOWN = 5; // members in the list of all groups

export function groups(groupname) {
  if (groupname) return group(groupname);
  const anonymous = h("p", { class: "quiet" });
  const list = listed("listGroups", "groups", [
    { title: "Group", cell: (one) => link("groups", one.groupname) },
    { title: "Called", cell: (one) => one.textname ?? "" },
    { title: "Users", cell: (one) => [links("users", "username", one.clients.slice(0, SHOWN)), one.clients.length > SHOWN ? `, and ${one.clients.length - SHOWN} more` : ""] },
    { title: "Roles", cell: (one) => links("roles", "rolename", one.roles) },
  ], "No group.");
  command("getAnonymousGroup").then(({ group: { groupname: name } }) => show(anonymous, name ? ["Anonymous clients belong to ", link("groups", name), "."] : "Anonymous clients belong to no group."), () => {});
  return {
    element: h("div", {}, opening("groups", "groups", "listGroups"), list.element, anonymous,
      h("div", { class: "plots" }, making("Make a group", "groups", "groupname", "createGroup"))),
    end: list.end,
  };
}

function group(groupname) {
  const which = { groupname };
  const look = async () => ({ ...(await command("getGroup", which)).group, anonymous: (await command("getAnonymousGroup")).group.groupname === groupname });
  return single(groupname, look, (found, doing) => {
    const { act, sure } = doing;
    return [
      h("div", { class: "bar" }, h("span", {}, found.anonymous ? "Anonymous clients belong to it." : "Anonymous clients do not belong to it."),
        found.anonymous
          ? button("Take them out", () => act("Anonymous clients belong to no group.", () => command("setAnonymousGroup", { groupname: "" })))
          : button("Put them in", () => sure(`Give anonymous clients the roles of ${groupname}?`, "Put them in", `Anonymous clients belong to ${groupname}.`, () => command("setAnonymousGroup", which))),
        button("Delete", () => sure(`Delete the group ${groupname}?`, "Delete", `${groupname} was deleted.`, async () => {
          await command("deleteGroup", which);
          location.hash = "#/access/groups";
        }), { class: "danger" })),
      h("div", { class: "plots" },
        rolesOf(found, which, "addGroupRole", "removeGroupRole", doing),
        having("Users", ["User"], found.clients.map((one) => ({ one, name: one.username, cells: [link("users", one.username)] })),
          (one) => act(`${one.username} is in ${groupname} no more.`, () => command("removeGroupClient", { ...which, username: one.username })),
          bare([named("username", "User", "listClients", "clients"), field("priority", "Priority", { type: "number" })], "Put this user in",
            (asked) => act(`${asked.username} is in ${groupname}.`, () => command("addGroupClient", { ...which, username: asked.username, ...priority(asked.priority) })))),
        described(found, which, "modifyGroup", doing)),
    ];
  });
}
