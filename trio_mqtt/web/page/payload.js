// Payloads: from the API's base64 to bytes, and shown as JSON, as text, or byte by byte.

import { h } from "./dom.js";

const LONGEST = 65536;

/** The bytes that the API gives as base64, or null. */
export function bytes(base64) {
  if (base64 === null || base64 === undefined) return null;
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

/** The text that the bytes are, or null. */
export function text(data) {
  try {
    const found = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
    return /[\0-\x08\x0e-\x1f]/.test(found) ? null : found;
  } catch {
    return null;
  }
}

/** The JSON that the bytes are, or undefined. */
export function json(data) {
  const found = text(data);
  if (found === null || found.length > LONGEST || !/^\s*[[{]/.test(found)) return undefined;
  try {
    return JSON.parse(found);
  } catch {
    return undefined;
  }
}

/** The numbers in a payload: by the way to each, "" where the payload is one. */
export function numbers(data) {
  const alone = text(data);
  if (alone !== null && alone.trim() !== "" && Number.isFinite(Number(alone))) return new Map([["", Number(alone)]]);
  const found = new Map();
  const look = (value, path) => {
    if (found.size >= 50) return;
    if (typeof value === "number") found.set(path, value);
    else if (value && typeof value === "object") {
      for (const [key, inner] of Object.entries(value)) look(inner, `${path}${Array.isArray(value) ? `[${key}]` : step(key)}`);
    }
  };
  const parsed = json(data);
  if (parsed !== undefined) look(parsed, "");
  return found;
}

/** A step to a field, as the history takes it. */
const step = (name) => `.${/^[^.[\]"]+$/.test(name) ? name : JSON.stringify(name)}`;

/** In a line, for lists. */
export function line(data, most = 120) {
  if (data === null) return "";
  if (data.length === 0) return "(empty)";
  const found = text(data.subarray(0, 4 * most)) ?? [...data.subarray(0, 24)].map(hex).join(" ");
  return found.length > most ? `${found.slice(0, most)}…` : found;
}

/** As an element: by `view` "auto", "text" or "bytes"; what is new since `before` is marked. */
export function shown(data, before, view) {
  if (data.length === 0) return h("pre", { class: "value" }, "(empty)");
  const parsed = view === "auto" ? json(data) : undefined;
  if (parsed !== undefined) {
    const earlier = before === null ? undefined : json(before);
    const now = JSON.stringify(parsed, null, 2).split("\n");
    const known = new Set(earlier === undefined ? now : JSON.stringify(earlier, null, 2).split("\n").map(bare));
    return h("pre", { class: "value" }, now.flatMap((row, at) => [
      at ? "\n" : "", earlier === undefined || known.has(bare(row)) ? row : h("mark", {}, row)]));
  }
  const written = view === "bytes" ? null : text(data);
  return h("pre", { class: "value" }, (written ?? dump(data)).slice(0, LONGEST));
}

const bare = (row) => row.replace(/,$/, "");
const hex = (byte) => byte.toString(16).padStart(2, "0");

function dump(data) {
  const rows = [];
  for (let at = 0; at < Math.min(data.length, 4096); at += 16) {
    const piece = [...data.subarray(at, at + 16)];
    const seen = piece.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    rows.push(`${at.toString(16).padStart(8, "0")}  ${piece.map(hex).join(" ").padEnd(48)} |${seen}|`);
  }
  if (data.length > 4096) rows.push(`… ${data.length - 4096} more bytes`);
  return rows.join("\n");
}
