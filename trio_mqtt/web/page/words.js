// Figures, times and sizes as people read them.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export const number = (value) => (value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en"));

export function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  let at = 0;
  while (bytes >= 1024 && at < UNITS.length - 1) { bytes /= 1024; at += 1; }
  return `${at === 0 || bytes >= 100 ? Math.round(bytes) : bytes.toFixed(1)} ${UNITS[at]}`;
}

export function rate(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return `${value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(value >= 10 ? 1 : 2)}/s`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 172800) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** A time since 1970 in seconds, by the clock of who looks. */
export function time(at) {
  return at === null || at === undefined ? "–" : new Date(at * 1000).toLocaleString();
}

export function clock(at) {
  return new Date(at * 1000).toLocaleTimeString();
}

/** A time of today by its clock, another with its day. */
export function moment(at) {
  const then = new Date(at * 1000);
  return then.toDateString() === new Date().toDateString() ? then.toLocaleTimeString() : then.toLocaleString();
}

export function ago(at) {
  return at === null || at === undefined ? "–" : `${duration(Date.now() / 1000 - at)} ago`;
}
