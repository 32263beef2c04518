// A line of numbers over time.

import { h, svg } from "./dom.js";
import { moment } from "./words.js";

const WIDTH = 300;
const HEIGHT = 80;

/** A plot of [time, value] pairs: the last, the least and the greatest beside its name, times below. */
export function plot(name, points, written = (value) => String(value)) {
  const known = points.filter(([, value]) => Number.isFinite(value));
  const values = known.map(([, value]) => value);
  const low = Math.min(...values), high = Math.max(...values);
  const [begin, end] = known.length ? [known[0][0], known.at(-1)[0]] : [0, 1];
  const line = known.map(([at, value]) => {
    const x = end > begin ? ((at - begin) / (end - begin)) * WIDTH : WIDTH;
    const y = high > low ? HEIGHT - 2 - ((value - low) / (high - low)) * (HEIGHT - 4) : HEIGHT / 2;
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  }).join(" ");
  const said = known.length ? `${written(values.at(-1))} now, ${written(low)} to ${written(high)}` : "nothing yet";
  return h("figure", { class: "figure" },
    h("figcaption", {}, `${name} `, h("span", { class: "quiet" }, said)),
    svg("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${name}: ${said}` },
      svg("polyline", { points: line })),
    known.length > 1 ? h("small", { class: "span" }, h("span", {}, moment(begin)), h("span", {}, moment(end))) : null);
}
