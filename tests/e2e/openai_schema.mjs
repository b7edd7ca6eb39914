// OpenAI's own client for Node and JSON schemas: what it got, as one JSON object.
// node openai_schema.mjs BASE_URL KEY MODEL RUNTIME, in a folder whose node_modules has `openai`.
import { createRequire } from "node:module";

const OpenAI = createRequire(process.cwd() + "/package.json")("openai").OpenAI;
const [baseURL, apiKey, model, runtime] = process.argv.slice(2);
const defaultHeaders = { "x-tokenforge-runtime": runtime };
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 60_000, defaultHeaders });
const messages = [{ role: "user", content: "Is the sky blue?" }];
const schema = {
  type: "object", required: ["color", "sure"], additionalProperties: false,
  properties: { color: { enum: ["red", "blue"] }, sure: { type: "boolean" } },
};
const shaped = (given) => ({
  model, messages, max_tokens: 100,
  response_format: { type: "json_schema", json_schema: { name: "answer", strict: true, schema: given } },
});

const whole = (await client.chat.completions.create(shaped(schema))).choices[0];
let text = "", finish = null;
for await (const event of await client.chat.completions.create({ ...shaped(schema), stream: true })) {
  text += event.choices[0]?.delta.content ?? "";
  finish = event.choices[0]?.finish_reason ?? finish;
}
let refused = null;
try {
  await client.chat.completions.create(shaped({ $ref: "#" }));
} catch (error) {
  refused = { name: error.constructor.name, param: error.param };
}
console.log(JSON.stringify({
  whole: JSON.parse(whole.message.content), stream: JSON.parse(text), finish: [whole.finish_reason, finish], refused,
}));
