// Elements of the page. What comes from clients is text, and only ever becomes text: nothing here
// reads markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with properties (`on…` listens, `class`, `data-…`, `aria-…`) and children. */
export function h(name, properties = {}, ...children) {
  return fill(document.createElement(name), properties, children);
}

/** The same of a picture. */
export function svg(name, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, name), properties, children);
}

/** Put these in the place of what is in an element. */
export function show(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

function fill(element, properties, children) {
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "value") element.value = value;
    else if (key === "checked") element.checked = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  show(element, ...children);
  return element;
}

/** A button that does something, and cannot be pressed again meanwhile. */
export function button(text, act, properties = {}) {
  const element = h("button", { type: "button", ...properties }, text);
  element.addEventListener("click", async () => {
    element.disabled = true;
    try {
      await act();
    } finally {
      element.disabled = false;
    }
  });
  return element;
}

let noticeEnds = 0;

/** Tell the person something, below the head; what went wrong stays longer. */
export function notice(text, bad = false) {
  const element = document.getElementById("notice");
  element.textContent = text;
  element.className = bad ? "bad" : "";
  element.hidden = !text;
  clearTimeout(noticeEnds);
  noticeEnds = setTimeout(() => { element.hidden = true; }, bad ? 15000 : 5000);
}

/** Ask before something that cannot be taken back. Whether the person says yes. */
export function confirmed(question, yes) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-label": question },
      h("form", { method: "dialog" },
        h("p", {}, question),
        h("div", { class: "bar" },
          h("button", { value: "yes", class: "danger" }, yes),
          h("button", { value: "", autofocus: true }, "Cancel"))));
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
