// A browser that does what it is told on standard input: one JSON command a line, one JSON answer a line.
//
// Arguments: package.json beside whose node_modules playwright-core lies; Chromium's path; its arguments.
// A command is {code, value}: `code` is the body of an async function of `$` (the browser, and whatever earlier commands
// put there) and `value`.
import { createRequire } from "node:module";
import process from "node:process";
import readline from "node:readline";

const [packageFile, executablePath, ...args] = process.argv.slice(2);
const require = createRequire(packageFile);
const { chromium } = require("playwright-core");
const AsyncFunction = (async () => {}).constructor;
const browser = await chromium.launch({ executablePath, args, headless: true, timeout: 180_000 });
const $ = { browser, require, said: [] };

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { code, value } = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await new AsyncFunction("$", "value", code)($, value)) ?? null };
  } catch (error) {
    answer = { error: String(error?.message ?? error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await browser.close();
