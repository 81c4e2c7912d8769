// Opens the site of the documentation from a disk, without a network, and prints what it found as JSON.
// node site.mjs FOLDER
import { chromium } from "playwright-core";
import path from "node:path";
import { checks } from "./common.mjs";

const folder = path.resolve(process.argv[2]);
const { found, check } = checks();
const trouble = []; // errors, and requests that leave the disk
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
page.setDefaultTimeout(60_000);
page.on("console", (message) => { if (message.type() === "error") trouble.push(message.text()); });
page.on("pageerror", (error) => trouble.push(error.message));
page.on("request", (request) => { if (!/^(file|data|blob):/.test(request.url())) trouble.push(`asks for ${request.url()}`); });
const open = (name) => page.goto(`file://${path.join(folder, name)}`);

await check("the search finds a page", async () => {
  await open("index.html");
  await page.locator("input[name=query]").click();
  await page.locator("input[name=query]").pressSequentially("linphonec"); // it listens for keys
  const first = page.locator(".md-search-result__link").first();
  await first.waitFor();
  const link = await first.getAttribute("href");
  if (!link.includes("real-software.html")) throw new Error(link);
});
await check("a page of the reference has what docstrings say", async () => {
  await open("reference/model.html");
  await page.locator("article").getByText("CloseDialog").first().waitFor();
});
await check("the report stands in its page", async () => {
  await open("try.html");
  await page.locator('iframe[title="The report"]').scrollIntoViewIfNeeded();
  await page.frameLocator('iframe[title="The report"]').locator("body[data-ready] .row").first().waitFor();
});
await check("the sandbox stands in its page, and runs", async () => {
  await page.locator('iframe[title="The laboratory"]').scrollIntoViewIfNeeded();
  await page.frameLocator('iframe[title="The laboratory"]').locator("body[data-done]").waitFor({ timeout: 300_000 });
});
if (trouble.length) found["no errors, no requests"] = trouble;
else found["no errors, no requests"] = true;
await browser.close();
console.log(JSON.stringify(found));
