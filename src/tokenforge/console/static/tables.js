// Deployments and benchmarks as tables. Text only, never markup: names come from whoever deployed.

import { open } from "./api.js";
import { element } from "./chart.js";

const TONES = {
  ready: "good", succeeded: "good", failed: "bad", lost: "bad", degraded: "mid", starting: "mid", preparing: "mid",
  pending: "mid", running: "mid", queued: "mid",
};

export function deploymentsTable(deployments) {
  if (!deployments.length) return empty("None. tokenforge deploy synthetic:tiny --runtime sim makes one.");
  return table(["name", "model", "runtime", "status", "ready", "why"], deployments, (one) => {
    const ready = one.observed.replicas.filter((replica) => replica.phase === "ready").length;
    return [
      one.name, one.model, one.runtime, tone(one.status), `${ready}/${one.observed.wanted ?? one.desired.replicas}`,
      one.ready ? "" : cause(one.conditions),
    ];
  });
}

export function benchmarksTable(benchmarks, tell) {
  if (!benchmarks.length) return empty("None. POST /benchmarks/run starts one.");
  return table(["asked at", "model", "runs", "status", "what came of it", "report"], benchmarks, (one) => {
    const runs = element("span");
    for (const run of one.runs) runs.append(element("div", `${run.workload} on ${run.runtime}`));
    const done = one.runs.find((run) => ["succeeded", "failed"].includes(run.status));
    const causes = [...new Set(one.runs.map((run) => run.cause).filter(Boolean))].join("; ");
    return [
      new Date(one.created_at).toLocaleString(), one.runs[0]?.model ?? "", runs, tone(one.status),
      one.headline || causes, done ? link("open", () => open(`/runs/${done.id}/report`).catch(tell)) : "",
    ];
  });
}

// What stands in the way, with the last words of the worker that said it.
function cause(conditions) {
  const wrong = conditions.find((one) => one.status === "False" && one.type === "Healthy")
    ?? conditions.find((one) => one.status === "False");
  const cell = element("span", wrong ? `${wrong.reason}: ${wrong.message}` : "");
  if (wrong?.last_words.length) cell.append(element("pre", wrong.last_words.join("\n")));
  return cell;
}

function table(heads, rows, cells) {
  const made = element("table");
  made.createTHead().insertRow().append(...heads.map((head) => element("th", head)));
  const body = made.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const cell of cells(row)) line.insertCell().append(cell);
  }
  const frame = element("div", "", "scroll");
  frame.append(made);
  return frame;
}

function tone(status) {
  return element("span", status, TONES[status] ?? "");
}

function link(words, act) {
  const made = element("button", words, "link");
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

function empty(words) {
  return element("p", words, "note");
}
