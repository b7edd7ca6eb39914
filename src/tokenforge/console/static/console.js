// The page: asks the API every two seconds while it is seen, and shows what it says. It changes nothing.

import { Refused, getJson, getText, setKey } from "./api.js";
import { Live } from "./live.js";
import { benchmarksTable, deploymentsTable } from "./tables.js";

const EVERY_MS = 2000;
const MOST_BENCHMARKS = 20;

const place = (id) => document.getElementById(id);
const live = new Live(place("charts"));
const drawn = new Map();

function say(words, isBad = false) {
  place("state").textContent = words;
  place("state").className = isBad ? "bad" : "";
}

// Redrawn only when it says something new, so that a selection or a scroll position stays.
function put(id, data, draw) {
  const text = JSON.stringify(data);
  if (drawn.get(id) === text) return;
  drawn.set(id, text);
  place(id).replaceChildren(draw(data));
}

async function pagesOf(deployments) {
  const wanted = [["gateway", "/metrics"]];
  for (const one of deployments) {
    for (const replica of one.observed.replicas) {
      if (replica.phase === "ready") wanted.push([replica.id, `/deployments/${one.id}/replicas/${replica.id}/metrics`]);
    }
  }
  const told = await Promise.allSettled(wanted.map(([, path]) => getText(path)));
  return Object.fromEntries(wanted.flatMap(([name], at) => (told[at].status === "fulfilled" ? [[name, told[at].value]] : [])));
}

async function look() {
  const { deployments } = await getJson("/deployments");
  put("deployments", deployments, deploymentsTable);
  const { benchmarks } = await getJson("/benchmarks");
  put("benchmarks", benchmarks.slice(0, MOST_BENCHMARKS), (some) => benchmarksTable(some, (error) => say(error.message, true)));
  live.take(await pagesOf(deployments), Date.now() / 1000);
  say(`as of ${new Date().toLocaleTimeString()}`);
  place("key-form").hidden = true;
}

async function run() {
  if (!document.hidden) {
    try {
      await look();
    } catch (error) {
      if (error instanceof Refused) place("key-form").hidden = false;
      say(error.message, true);
    }
  }
  setTimeout(run, EVERY_MS);
}

place("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey(place("key").value.trim());
  place("key").value = "";
});

run();
