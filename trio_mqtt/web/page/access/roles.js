// Roles of dynamic security: all of them, one with its rules, and what holds where no rule speaks.

import { button, h } from "../dom.js";
import { choice, field } from "../forms.js";
import { number } from "../words.js";
import { bare, command, described, having, link, listed, making, opening, priority, single } from "./dynamic.js";

const KINDS = ["publishClientSend", "publishClientReceive", "subscribeLiteral", "subscribePattern", "unsubscribeLiteral", "unsubscribePattern"];
const said = (allow) => h("span", { class: allow ? "good" : "bad" }, allow ? "allow" : "deny");

export function roles(rolename) {
  if (rolename) return role(rolename);
  const list = listed("listRoles", "roles", [
    { title: "Role", cell: (one) => link("roles", one.rolename) },
    { title: "Called", cell: (one) => one.textname ?? "" },
    { title: "Rules", number: true, cell: (one) => number(one.acls.length) },
  ], "No role.");
  const defaults = single("Where no rule speaks", async () => (await command("getDefaultACLAccess")).acls, (acls, { sure }) =>
    h("table", {}, h("tbody", {}, acls.map(({ acltype, allow }) => h("tr", {}, h("td", {}, acltype), h("td", {}, said(allow)),
      h("td", {}, button(allow ? "Deny" : "Allow", () => sure(`${allow ? "Deny" : "Allow"} ${acltype} where no rule speaks of it?`, allow ? "Deny" : "Allow", "Changed.",
        () => command("setDefaultACLAccess", { acls: [{ acltype, allow: !allow }] })), { "aria-label": `${allow ? "Deny" : "Allow"} ${acltype}` })))))));
  return {
    element: h("div", {}, opening("roles", "roles", "listRoles"), list.element,
      h("div", { class: "plots" }, making("Make a role", "roles", "rolename", "createRole"), h("div", { class: "card" }, defaults.element))),
    end() { list.end(); defaults.end(); },
  };
}

function role(rolename) {
  const which = { rolename };
  return single(rolename, async () => (await command("getRole", which)).role, (found, doing) => {
    const { act, sure } = doing;
    return [
      h("div", { class: "bar" }, button("Delete", () => sure(`Delete the role ${rolename}, and take it from all who have it?`, "Delete", `${rolename} was deleted.`, async () => {
        await command("deleteRole", which);
        location.hash = "#/access/roles";
      }), { class: "danger" })),
      h("div", { class: "plots" },
        having("Rules", ["What", "Topic filter", "Priority", ""], found.acls.map((one) => ({
          one, name: `${one.acltype} ${one.topic}`, cells: [one.acltype, one.topic, one.priority, said(one.allow)] })),
        ({ acltype, topic }) => act("The rule was taken away.", () => command("removeRoleACL", { ...which, acltype, topic })),
        bare([choice("acltype", "What", KINDS), field("topic", "Topic filter", { required: true, autocomplete: "off" }),
          field("priority", "Priority", { type: "number" }), choice("allow", "Which is", ["allow", "deny"])], "Add this rule",
        (asked) => act("The rule was added.", () => command("addRoleACL", { ...which, acltype: asked.acltype, topic: asked.topic, allow: asked.allow === "allow", ...priority(asked.priority) })))),
        described(found, which, "modifyRole", doing)),
    ];
  });
}
