// The broker's API: one function for what is asked, one for what changes, one for what goes on.

const ROOT = "api/v1";

/** Something that the API refuses: `status`, and a sentence. */
export class Refused extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

export const session = { user: null, role: null, csrf: null };
let onLost = () => {};

/** What to do when nobody is logged in any more. */
export function whenLost(act) { onLost = act; }

/** Ask by GET. */
export const get = (path, asked = {}) => call("GET", path, asked);

/** Change something by POST, with a body, or by DELETE, with parameters. */
export const post = (path, asked = {}) => call("POST", path, asked);
export const remove = (path, asked = {}) => call("DELETE", path, asked);

/** Whether somebody is logged in, who is then known by `session`. */
export async function knownAlready() {
  try {
    Object.assign(session, await call("GET", "/session", {}, false));
    return true;
  } catch (error) {
    if (error instanceof Refused && error.status === 401) return false;
    throw error;
  }
}

export async function logIn(user, password) {
  Object.assign(session, await call("POST", "/login", { user, password }, false));
}

export async function logOut() {
  await post("/logout");
  Object.assign(session, { user: null, role: null, csrf: null });
}

/**
 * What goes on, one entry after the other, until the function that is returned is called.
 *
 * `began` is called when it has begun; `failed` gets a sentence where it is refused, or was
 * interrupted: the browser then tries again.
 */
export function follow(name, asked, take, failed = () => {}, began = () => {}) {
  const source = new EventSource(`${ROOT}/${name}${query(asked)}`);
  source.addEventListener(name, (event) => take(JSON.parse(event.data)));
  source.addEventListener("missed", (event) => failed(`${JSON.parse(event.data).count} were left out: too fast.`));
  source.onopen = began;
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) failed("The broker does not let this be followed.");
    else get("/session").catch((error) => failed(error.message));
  };
  return () => source.close();
}

async function call(method, path, asked, tells = true) {
  const inBody = method === "POST";
  const headers = { Accept: "application/json" };
  if (method !== "GET" && session.csrf) headers["X-CSRF-Token"] = session.csrf;
  if (inBody) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(`${ROOT}${path}${inBody ? "" : query(asked)}`, {
      method, headers, credentials: "same-origin", body: inBody ? JSON.stringify(asked) : undefined,
    });
  } catch {
    throw new Refused(0, "The broker does not answer. It is asked again while this page is open.");
  }
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  if (response.ok) return answer;
  if (response.status === 401 && tells) onLost();
  throw new Refused(response.status, answer?.detail ?? answer?.title ?? `The broker answers ${response.status}.`);
}

function query(asked) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(asked)) {
    if (value !== null && value !== undefined && value !== "") words.set(name, value);
  }
  const text = words.toString();
  return text ? `?${text}` : "";
}
