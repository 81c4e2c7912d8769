// How much CPU trials in the sandbox cost, of all processes of the browser: prints JSON.
// node bench.mjs SANDBOX.html RUNS
import { chromium } from "playwright-core";
import path from "node:path";

const [file, runs] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
const session = await browser.newBrowserCDPSession();
const spent = async () => (await session.send("SystemInfo.getProcessInfo")).processInfo.reduce((sum, each) => sum + each.cpuTime, 0);
const page = await browser.newPage();
page.setDefaultTimeout(300_000);

const rows = [];
async function measured(work) {
  const before = await spent();
  await work();
  rows.push((await spent()) - before);
}
await measured(async () => {
  await page.goto(`file://${path.resolve(file)}#model=semicolon-loss&scenario=outgoing-call`);
  await page.waitForSelector("body[data-done]");
});
for (let run = 0; run < Number(runs); run++) await measured(async () => {
  const asked = { model: "correct", scenario: "outgoing-call", seed: run + 2 };
  const found = await page.evaluate((trial) => window.siplab.ask({ ask: "run", asked: trial }).then((each) => each.error || ""), asked);
  if (found) throw new Error(found);
});
await browser.close();
console.log(JSON.stringify({ first: rows[0], further: rows.slice(1) }));
