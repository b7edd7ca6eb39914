// A line chart as SVG: series over the last minutes, the newest values in words. Gaps stay gaps.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 480, HEIGHT = 150, LEFT = 52, RIGHT = 8, TOP = 8, BOTTOM = 18;

export function makeChart({ title, unit, note }) {
  const figure = element("figure");
  const caption = figure.appendChild(element("figcaption"));
  caption.append(element("strong", title), element("span", note, "note"));
  const picture = figure.appendChild(svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title }));
  const legend = figure.appendChild(element("p", "", "legend"));
  // series: {name: [[t in s, value or null], ...]}; range: [from, to] in s
  const draw = (series, [from, to]) => {
    const names = Object.keys(series);
    const values = names.flatMap((name) => series[name].map(([, value]) => value)).filter((value) => value !== null);
    const top = niceTop(Math.max(0, ...values));
    const x = (t) => LEFT + ((t - from) / (to - from)) * (WIDTH - LEFT - RIGHT);
    const y = (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
    picture.replaceChildren(...axes(top, unit, x, y, from, to));
    legend.replaceChildren();
    names.forEach((name, number) => {
      for (const part of parts(series[name])) {
        const points = part.map(([t, value]) => `${x(t).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
        picture.append(svg("polyline", { points, class: `line s${number % 6}` }));
      }
      const last = series[name].length ? series[name][series[name].length - 1][1] : null;
      legend.append(element("span", `${name} ${last === null ? "–" : shown(last, unit)}`, `key s${number % 6}`));
    });
    if (!values.length) picture.append(text("nothing yet", (LEFT + WIDTH) / 2, HEIGHT / 2, "middle"));
  };
  return { figure, draw };
}

// A number with its unit, three digits that matter.
export function shown(value, unit) {
  if (unit === "s") return value < 1 ? `${digits(value * 1000)} ms` : `${digits(value)} s`;
  return unit ? `${digits(value)} ${unit}` : digits(value);
}

// The end of an axis that holds `most`: 1, 2 or 5 times a power of ten.
export function niceTop(most) {
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return power * ([1, 2, 5, 10].find((factor) => factor * power >= most) ?? 10);
}

export function element(tag, words = "", kind = "") {
  const made = document.createElement(tag);
  if (words) made.textContent = words;
  if (kind) made.className = kind;
  return made;
}

// The stretches between gaps.
function parts(points) {
  const found = [[]];
  for (const point of points) {
    if (point[1] === null) found.push([]);
    else found[found.length - 1].push(point);
  }
  return found.filter((part) => part.length);
}

function axes(top, unit, x, y, from, to) {
  const lines = [];
  for (const share of [0, 0.5, 1]) {
    const at = y(top * share);
    lines.push(svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: at, y2: at, class: "grid" }));
    lines.push(text(shown(top * share, unit), LEFT - 4, at + 4, "end"));
  }
  lines.push(text(`${Math.round((to - from) / 60)} min ago`, x(from), HEIGHT - 4, "start"));
  lines.push(text("now", x(to), HEIGHT - 4, "end"));
  return lines;
}

function digits(value) {
  return value === 0 ? "0" : value >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}

function text(words, x, y, anchor) {
  const made = svg("text", { x, y, "text-anchor": anchor });
  made.textContent = words;
  return made;
}

function svg(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
