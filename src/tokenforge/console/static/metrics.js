// Prometheus' text format read in a browser, and the three readings that the charts need: rates, quantiles, gauges.
// A quantile is Prometheus' histogram_quantile: the increase of the buckets over a window, linear within a bucket.

const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

// A page as a list of {name, labels, value}; comments and what cannot be read are left out.
export function parse(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const found = line.startsWith("#") ? null : LINE.exec(line);
    if (!found) continue;
    const labels = {};
    for (const [, name, value] of (found[2] ?? "").matchAll(LABEL)) {
      labels[name] = value.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
    }
    samples.push({ name: found[1], labels, value: number(found[3]) });
  }
  return samples;
}

// The increase of a counter between two looks at one process; a counter that fell began anew at 0.
export function increase(before, now) {
  return now >= before ? now - before : now;
}

// A counter's growth between two pages of one process, by a label's value ("" without a label).
export function growth(before, now, name, label = null) {
  const old = sums(before, name, label);
  const grown = new Map();
  for (const [key, value] of sums(now, name, label)) grown.set(key, increase(old.get(key) ?? 0, value));
  return grown;
}

// The increase of a histogram's buckets between two pages: [[upper bound, increase], ...], cumulative, by bound.
export function bucketGrowth(before, now, name) {
  const grown = growth(before, now, `${name}_bucket`, "le");
  return [...grown].map(([bound, value]) => [number(bound), value]).sort((a, b) => a[0] - b[0]);
}

// Buckets of several processes as one.
export function addBuckets(all) {
  const sum = new Map();
  for (const buckets of all) for (const [bound, value] of buckets) sum.set(bound, (sum.get(bound) ?? 0) + value);
  return [...sum].sort((a, b) => a[0] - b[0]);
}

// The quantile q of cumulative buckets; null when nothing was counted.
export function quantile(q, buckets) {
  const total = buckets.length ? buckets[buckets.length - 1][1] : 0;
  if (!(total > 0)) return null;
  const rank = q * total;
  const at = buckets.findIndex(([, value]) => value >= rank);
  const [upper, value] = buckets[at];
  if (upper === Infinity) return at > 0 ? buckets[at - 1][0] : null;
  const [lower, below] = at > 0 ? buckets[at - 1] : [0, 0];
  return value > below ? lower + ((upper - lower) * (rank - below)) / (value - below) : upper;
}

// The sum of a gauge over a page; null where nobody tells it.
export function gauge(page, name) {
  const told = page.filter((sample) => sample.name === name);
  return told.length ? told.reduce((sum, sample) => sum + sample.value, 0) : null;
}

function sums(page, name, label) {
  const sum = new Map();
  for (const sample of page) {
    if (sample.name !== name) continue;
    const key = label === null ? "" : (sample.labels[label] ?? "");
    sum.set(key, (sum.get(key) ?? 0) + sample.value);
  }
  return sum;
}

function number(text) {
  return text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text);
}
