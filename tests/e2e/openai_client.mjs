// OpenAI's own client for Node, unchanged, against a TokenForge server: what it got, as one JSON object.
// node openai_client.mjs BASE_URL KEY MODEL, in a folder whose node_modules has `openai`.
import { createRequire } from "node:module";

const OpenAI = createRequire(process.cwd() + "/package.json")("openai").OpenAI;
const [baseURL, apiKey, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 60_000 });
const messages = [{ role: "user", content: "Explain KV cache" }];
const sampling = { model, max_tokens: 8, temperature: 0, seed: 1 };

async function failure(call) {
  try {
    await call();
    return "nothing was thrown";
  } catch (error) {
    return { name: error.constructor.name, status: error.status ?? null, code: error.code ?? null };
  }
}

async function joined(stream, piece) {
  const found = { text: "", usage: null, finish: null };
  for await (const event of stream) {
    found.text += event.choices.length ? piece(event.choices[0]) ?? "" : "";
    found.finish = event.choices[0]?.finish_reason ?? found.finish;
    found.usage = event.usage ?? found.usage;
  }
  return found;
}

const options = { stream: true, stream_options: { include_usage: true } };
const whole = await client.chat.completions.create({ ...sampling, messages });
const stream = await joined(
  await client.chat.completions.create({ ...sampling, messages, ...options }), (choice) => choice.delta.content);
const text = await client.completions.create({ ...sampling, prompt: "Explain KV cache" });
const texts = await joined(
  await client.completions.create({ ...sampling, prompt: "Explain KV cache", ...options }), (choice) => choice.text);

const long = await client.chat.completions.create({ ...sampling, messages, stream: true, max_tokens: 900, ignore_eos: true });
let seen = 0;
for await (const _ of long) if (++seen === 3) break; // leaving the loop aborts the stream

const models = [];
for await (const one of client.models.list()) models.push(one.id);
console.log(JSON.stringify({
  models,
  one: (await client.models.retrieve(model)).id,
  whole: whole.choices[0].message.content, finish: whole.choices[0].finish_reason, usage: whole.usage,
  stream, text: text.choices[0].text, texts, seen,
  unknown: await failure(() => client.completions.create({ model: "nothing", prompt: "a" })),
  wrong: await failure(() => client.chat.completions.create({ ...sampling, messages, temperature: 9 })),
  embeddings: await failure(() => client.embeddings.create({ model, input: "a" })),
  responses: await failure(() => client.responses.create({ model, input: "a" })),
  stranger: await failure(() => new OpenAI({ baseURL, apiKey: "tf-0-no", maxRetries: 0 }).models.list()),
}));
