// Opens the live page of a lab that is up and uses it; prints what it found as JSON.
// node live.mjs ADDRESS FOLDER: a screenshot goes to the folder.
import { chromium } from "playwright-core";
import path from "node:path";

const [address, folder] = process.argv.slice(2);
const found = {};
const trouble = []; // console errors, and requests that go elsewhere
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await (await browser.newContext()).newPage();
page.setDefaultTimeout(20000);
page.on("console", (message) => { if (["error", "warning"].includes(message.type())) trouble.push(message.text()); });
page.on("pageerror", (error) => trouble.push(error.message));
page.on("request", (request) => { if (!request.url().startsWith(address)) trouble.push(`asks for ${request.url()}`); });

async function check(name, work) {
  try {
    await work();
    found[name] = true;
  } catch (error) {
    found[name] = `${error}`.slice(0, 1000);
  }
}
const seen = (selector, text) => page.locator(selector, { hasText: text }).first().waitFor();

await page.goto(address);
await check("messages come by themselves", async () => {
  await seen("#messages .same summary", "OPTIONS sip:198.51.100.10");
  await seen("#messages .changed summary", "OPTIONS sip:198.51.100.10");
});
await check("a changed one shows both texts", async () => {
  const row = page.locator("#messages .changed").first();
  await row.locator("summary").click();
  const texts = await row.locator("pre").allTextContents();
  if (!texts[0].includes("192.168.1.102:5080") || !texts[1].includes("203.0.113.7")) throw new Error(texts.join("|"));
});
await check("hostile text stays text", async () => {
  await page.waitForFunction(() => document.body.textContent.includes("<script>window.PWNED=2"));
  if (await page.evaluate(() => window.PWNED !== undefined || document.querySelector("#messages img, #messages script"))) throw new Error("it ran");
});
await check("another model is put in", async () => {
  await page.locator("input[name=model]").fill("semicolon-loss");
  await page.getByRole("button", { name: "Put it in" }).click();
  await seen("#said", "router has semicolon-loss");
  await seen("#status td", "semicolon-loss");
});
await page.screenshot({ path: path.join(folder, "live.png") });
await check("a wrong model is told", async () => {
  await page.locator("input[name=model]").fill("<b>nonsense</b>");
  await page.getByRole("button", { name: "Put it in" }).click();
  await seen("#said [role=alert]", "unknown model");
});
await check("bindings age", async () => {
  await seen("#status td", "192.168.1.102:5080");
  await page.locator("input[name=seconds]").fill("3600");
  await page.getByRole("button", { name: "Age" }).click();
  await seen("#said", "3600 s older");
  await page.locator("#status td", { hasText: "192.168.1.102:5080" }).first().waitFor({ state: "detached" });
});
found["no errors, no requests"] = trouble.length ? trouble : true;
await browser.close();
console.log(JSON.stringify(found));
