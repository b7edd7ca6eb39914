// The public API as the page asks it: with the key of this tab, within a limit, an error as words.

const KEY = "tokenforge-key";
const LIMIT_MS = 5000;

export class Refused extends Error {}

export function setKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

export async function getJson(path) {
  return (await get(path)).json();
}

export async function getText(path) {
  return (await get(path)).text();
}

// Opens an answer in a tab of its own; a link alone could not carry the key.
export async function open(path) {
  const tab = window.open("", "_blank");
  try {
    const blob = await (await get(path)).blob();
    tab.location = URL.createObjectURL(blob);
  } catch (error) {
    tab.close();
    throw error;
  }
}

async function get(path) {
  const key = sessionStorage.getItem(KEY);
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const answer = await fetch(path, { headers, signal: AbortSignal.timeout(LIMIT_MS) });
  if (answer.status === 401 || answer.status === 403) throw new Refused(await why(answer));
  if (!answer.ok) throw new Error(await why(answer));
  return answer;
}

async function why(answer) {
  try {
    const body = await answer.json();
    return body.detail ?? body.error?.message ?? `HTTP ${answer.status}`;
  } catch {
    return `HTTP ${answer.status}`;
  }
}
