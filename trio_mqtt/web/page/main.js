// The page: who is logged in, which view is open, and how one gets to another.

import { button, h, notice, show } from "./dom.js";
import { knownAlready, logIn, logOut, session, whenLost } from "./api.js";
import { access } from "./access.js";
import { client, clients } from "./clients.js";
import { log } from "./log.js";
import { overview } from "./overview.js";
import { retained } from "./retained.js";
import { subscriptions } from "./subscriptions.js";
import { topics } from "./topics.js";

// Each view makes {element, end} of the words behind its name in the address.
const VIEWS = {
  overview: ["Overview", overview],
  clients: ["Clients", clients],
  topics: ["Topics", topics],
  subscriptions: ["Subscriptions", subscriptions],
  retained: ["Retained", retained],
  access: ["Access", access],
  log: ["Log", log],
};
const HIDDEN = { client };

const main = document.getElementById("main");
let open = null;

/** Where the address says that one is: a view's name, and words behind it. */
function place() {
  const [name, ...words] = location.hash.replace(/^#\/?/, "").split("/").map(decoded);
  return [Object.hasOwn(VIEWS, name) || Object.hasOwn(HIDDEN, name) ? name : "overview", words];
}

function decoded(word) {
  try {
    return decodeURIComponent(word);
  } catch {
    return word; // somebody has typed it
  }
}

function close() {
  open?.end();
  open = null;
}

function enter() {
  close();
  const [name, words] = place();
  const view = Object.hasOwn(HIDDEN, name) ? HIDDEN[name] : VIEWS[name][1];
  // The levels of a topic that somebody has typed are no words of their own.
  open = view(...(name === "topics" && words.length > 1 ? [words.join("/")] : words));
  show(main, open.element);
  document.title = `${VIEWS[name]?.[0] ?? words[0]} – trio-mqtt`;
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.hash === `#/${name === "client" ? "clients" : name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function begin() {
  document.getElementById("head").hidden = false;
  show(document.getElementById("nav"), Object.entries(VIEWS).map(([name, [title]]) => h("a", { href: `#/${name}` }, title)));
  show(document.getElementById("who"), `${session.user} (${session.role}) `, button("Log out", async () => {
    await logOut().catch(() => {});
    askWho();
  }));
  enter();
}

function askWho(why = "") {
  close();
  document.getElementById("head").hidden = true;
  document.title = "Log in – trio-mqtt";
  const user = h("input", { name: "user", autocomplete: "username", required: true, autofocus: true });
  const password = h("input", { name: "password", type: "password", autocomplete: "current-password", required: true });
  const said = h("p", { class: "bad", role: "alert" }, why);
  const send = h("button", {}, "Log in");
  show(main, h("form", { class: "card login", onsubmit: async (event) => {
    event.preventDefault();
    send.disabled = true;
    try {
      await logIn(user.value, password.value);
      begin();
    } catch (error) {
      said.textContent = error.message;
      password.value = "";
      password.focus();
    } finally {
      send.disabled = false;
    }
  } }, h("h1", {}, "trio-mqtt"), h("label", {}, "User", user), h("label", {}, "Password", password), said, send));
  user.focus();
}

async function start() {
  try {
    if (await knownAlready()) begin();
    else askWho();
  } catch (error) {
    notice(error.message, true);
    setTimeout(start, 2000);
  }
}

whenLost(() => askWho("The session is over: log in again."));
addEventListener("hashchange", () => { if (session.user !== null && !document.getElementById("head").hidden) enter(); });
start();
