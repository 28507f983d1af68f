// What the AI SDK makes of the `model` of a module: a JSON document of what every client does.

import { createInterface } from "node:readline";
import { generateText, isStepCount, Output, streamText, tool } from "ai";
import { z } from "zod";

let model;

const usage = (told) => ({
  input: told.inputTokens,
  cached: told.inputTokenDetails.cacheReadTokens,
  output: told.outputTokens,
});

async function streamed(prompt) {
  const failures = [];
  const onError = ({ error }) => failures.push(error);
  const run = streamText({ model, prompt, onError, maxRetries: 0 });
  const pieces = [];
  for await (const piece of run.textStream) pieces.push(piece);
  if (failures.length) throw failures[0];
  return { text: pieces.join(""), "in pieces": pieces.length > 1, usage: usage(await run.usage) };
}

async function withATool(call) {
  const results = [];
  const weather = tool({
    description: "Say what the weather is like in a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => {
      results.push(`It rains in ${city}.`);
      return results.at(-1);
    },
  });
  const prompt = "What is the weather in Oslo?";
  const told = await call({ model, prompt, tools: { weather }, stopWhen: isStepCount(3) });
  return { text: await told.text, results };
}

async function structured() {
  const schema = z.object({ name: z.string(), people: z.number().int() });
  const output = Output.object({ schema });
  return (await generateText({ model, prompt: "Describe Oslo.", output })).output;
}

async function error(call) {
  try {
    await call();
  } catch (problem) {
    // What a stream brings is no Error but the event's own members.
    return {
      class: problem.name ?? typeof problem,
      status: problem.statusCode ?? null,
      text: problem instanceof Error ? problem.message : JSON.stringify(problem),
    };
  }
  return null;
}

// The path of a module, a line.
for await (const path of createInterface({ input: process.stdin })) {
  ({ model } = await import(path));
  const plain = await generateText({ model, prompt: "Say hello." });
  const found = {
    plain: { text: plain.text, usage: usage(plain.usage) },
    streamed: await streamed("Say hello."),
    tool: await withATool(generateText),
    "tool, streamed": await withATool(streamText),
    structured: await structured(),
    refused: await error(() => generateText({ model, prompt: "Fail.", maxRetries: 0 })),
    broken: await error(() => streamed("Break.")),
  };
  process.stdout.write(`${JSON.stringify(found)}\n`);
}
