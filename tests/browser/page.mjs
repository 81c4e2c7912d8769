// Opens pages in Chromium without a network, uses them as people do, and prints what it found as JSON.
// node page.mjs FOLDER: with call.html, broken.html, hostile.html, index.html and expected.json; screenshots go there too.
import { chromium } from "playwright-core";
import fs from "node:fs";
import path from "node:path";
import { checks, misfits, reachAll, same, serious } from "./common.mjs";

const folder = path.resolve(process.argv[2]);
const expected = JSON.parse(fs.readFileSync(path.join(folder, "expected.json"), "utf8"));
const { found, check } = checks();
const trouble = []; // console errors, and requests that leave the file
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
});

async function open(name, hash = "", viewport = { width: 1500, height: 900 }, options = {}) {
  const context = await browser.newContext({ viewport, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(8000);
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) trouble.push(`${name}: ${message.text()}`); });
  page.on("pageerror", (error) => trouble.push(`${name}: ${error.message}`));
  page.on("request", (request) => { if (!/^(file|data|blob):/.test(request.url())) trouble.push(`${name} asks for ${request.url()}`); });
  await page.goto(`file://${path.join(folder, name)}${hash}`);
  await page.waitForSelector("body[data-ready]");
  return page;
}
const texts = (page, selector) => page.locator(selector).allTextContents();
const shot = (page, name, options = {}) => page.screenshot({ path: path.join(folder, `${name}.png`), ...options });

const page = await open("call.html");
await check("side by side, row by row", async () => {
  const sizes = await page.evaluate(() => [...document.querySelectorAll(".pane")].map((pane) => [...pane.querySelectorAll("[role=option], .gap")].map((row) => row.getBoundingClientRect().top)));
  same(sizes.length, 2);
  same(sizes[0], sizes[1], "rows do not stand at the same heights");
  if (sizes[0].length < 20) throw new Error("too few rows");
  await shot(page, "report");
});
await check("a changed row shows its lines and marked bytes", async () => {
  await page.locator(`.pane[data-side="0"] .row[data-message="${expected.changed.number}"]`).click();
  same(await texts(page, "#dock .diff pre"), expected.changed.lines);
  same(await texts(page, "#dock .diff mark"), expected.changed.marks);
});
await check("a broken rule stands with its RFC", async () => {
  const broken = await open("broken.html");
  await broken.locator(".row").first().focus();
  await broken.keyboard.press("n");
  const rule = (await texts(broken, "#dock .rule")).join(" ");
  await broken.context().close();
  if (!rule.includes(expected.broken.reference)) throw new Error(`${rule} does not say ${expected.broken.reference}`);
});
await check("show it selects the guilty message", async () => {
  await page.keyboard.press("Escape");
  await page.locator("#dock button.show").first().click();
  same(await page.locator('.pane[data-side="0"] .row.picked').getAttribute("data-message"), String(expected.guilty));
  if (!(await page.locator("#dock .why").first().textContent()).includes("This is why")) throw new Error("no reason beside it");
  await shot(page, "message");
});
await check("the hash brings the same back", async () => {
  await page.reload();
  await page.waitForSelector(".row.picked");
  same(await page.locator(".row.picked").getAttribute("data-message"), String(expected.guilty));
  const all = await page.locator('.pane[data-side="0"] .row').count();
  await page.locator("input[type=search]").fill("bye");
  const rows = await page.locator('.pane[data-side="0"] .row').count();
  if (!(rows > 0 && rows < all)) throw new Error(`${rows} rows of ${all}`);
  await page.reload();
  await page.waitForSelector("body[data-ready]");
  same(await page.locator('.pane[data-side="0"] .row').count(), rows);
  same(await page.locator("input[type=search]").inputValue(), "bye");
  await page.locator("input[type=search]").fill("");
});
await check("keys lead from row to row and from change to change", async () => {
  await page.keyboard.press("Escape");
  await page.locator("input[type=search]").blur();
  await page.locator('.pane[data-side="0"] .row').first().focus();
  await page.keyboard.press("n");
  const picked = () => page.locator(".row.picked").getAttribute("data-message");
  const first = await picked();
  if (!(await page.locator(".row.picked").getAttribute("class")).includes("changed")) throw new Error("n leads to no change");
  await page.keyboard.press("ArrowDown");
  const second = await picked();
  await page.keyboard.press("ArrowUp");
  same(await picked(), first);
  if (first === second) throw new Error("the arrow key moves nothing");
});
await check("sound plays and its time goes on", async () => {
  await page.locator("#tab-sound").click();
  await page.locator(".player button").nth(expected.heard).click();
  const position = () => page.locator(".player output").nth(expected.heard).getAttribute("data-position").then(Number);
  await page.waitForFunction((at) => Number(document.querySelectorAll(".player output")[at].dataset.position) > 0.2, expected.heard);
  if (!((await position()) > 0.2)) throw new Error("time stands still");
  await shot(page, "sound");
  if (!(await page.locator(".silent").first().textContent()).includes("silence: 0.0")) throw new Error("silence is not told");
});
await check("a box of the network leads to its messages", async () => {
  await page.locator("#tab-network").click();
  const before = await page.locator('.pane[data-side="0"] .row').count();
  await page.locator('.box[data-node="router"]').click();
  const after = await page.locator('.pane[data-side="0"] .row').count();
  if (!(after > 0 && after < before)) throw new Error(`${before} rows, then ${after}`);
  await shot(page, "network");
  await page.locator('.box[data-node="router"]').click();
});
await check("the keyboard alone reaches everything", async () => {
  await page.locator("#tab-outcome").click();
  await reachAll(page);
});
for (const [scheme, tab] of [["light", "outcome"], ["dark", "message"], ["light", "sound"], ["light", "network"]]) {
  await check(`axe finds nothing serious: ${scheme}, ${tab}`, async () => {
    await page.emulateMedia({ colorScheme: scheme });
    await page.locator(`#tab-${tab}`).click();
    same(await serious(page), []);
    if (scheme === "dark") await shot(page, "dark");
  });
}
await page.emulateMedia({ colorScheme: "light" });
await check("prints whole", async () => {
  await page.emulateMedia({ media: "print" });
  const seen = await page.evaluate(() => ({
    controls: getComputedStyle(document.querySelector(".controls")).display,
    hidden: document.querySelector("#ladders").scrollHeight - document.querySelector("#ladders").clientHeight,
  }));
  same(seen.controls, "none");
  if (seen.hidden > 4) throw new Error(`${seen.hidden} px of the ladder are cut off`);
  await page.emulateMedia({ media: "screen" });
});
await check("reads well at 390 px", async () => {
  const small = await open("call.html", "", { width: 390, height: 844 });
  same(await misfits(small, "#head button, #head select, #head input, #head h1, #head .verdict"), []);
  await shot(small, "phone", { fullPage: true });
  await small.context().close();
});
await page.context().close();

await check("hostile text stays text", async () => {
  const hostile = await open("hostile.html");
  const tabs = ["outcome", "message", "sound", "network"];
  const scripts = await hostile.evaluate(() => document.scripts.length);
  for (const tab of tabs) {
    await hostile.locator(`#tab-${tab}`).click();
    await hostile.locator(".row").first().focus();
    await hostile.keyboard.press("n");
    for (let press = 0; press < 4; press++) await hostile.keyboard.press("ArrowDown");
  }
  same(await hostile.evaluate(() => [window.PWNED === undefined, document.querySelectorAll("img, iframe, object, embed, a").length, document.scripts.length]), [true, 0, scripts]);
  if (!(await hostile.locator("body").textContent()).includes("<img src=x onerror=")) throw new Error("the hostile text is not to be seen");
  await shot(hostile, "hostile");
  await hostile.context().close();
});
await check("any hash opens the page", async () => {
  const odd = await open("call.html", "#doc=main&v=99&b=-7&m=100000&side=9&tab=%3Cimg%3E&q=&node=nobody&cell=x");
  if (!(await odd.locator("h1").textContent()).includes("sdp-c-only")) throw new Error("no title");
  await odd.context().close();
});
await check("an index leads to trials and back", async () => {
  const index = await open("index.html");
  same(await index.locator("tbody tr").count(), expected.trials);
  same(await index.locator("tbody button").count(), expected.documents);
  await shot(index, "index");
  await index.locator("tbody button").first().click();
  await index.waitForSelector(".row");
  await index.getByText("all trials").click();
  same(await index.locator("tbody tr").count(), expected.trials);
  await index.locator("input[type=search]").fill("no such trial");
  same(await index.locator("tbody tr").count(), 0);
  await index.context().close();
});
await check("the table of compatibility: unknown is grey, a cell leads to its report", async () => {
  const table = await open("matrix.html");
  const colour = (status) => table.evaluate((name) => getComputedStyle(document.querySelector(`.cell.${name}`)).backgroundColor, status);
  const [works, fails, unknown] = [await colour("works"), await colour("fails"), await colour("unknown")];
  if (unknown === works || unknown === fails) throw new Error("unknown looks like something known");
  await table.locator("input[type=search]").fill(expected.router);
  await table.reload();
  await table.waitForSelector("body[data-ready]");
  same(await table.locator("tbody tr").count(), 1);
  await table.locator(".cell.fails button").first().click();
  if (!(await table.locator("#dock").textContent()).includes("Cured by")) throw new Error("no cure is told");
  same(await serious(table), []);
  await table.locator("input[type=search]").fill("");
  await table.locator("input[type=search]").blur();
  await shot(table, "matrix");
  const [download] = await Promise.all([table.waitForEvent("download"), table.getByRole("button", { name: "CSV" }).click()]);
  if (!fs.readFileSync(await download.path(), "utf8").includes("nobody knows")) throw new Error("the CSV lacks a word");
  await table.getByText("Open its report").click();
  await table.waitForSelector(".row");
  await table.getByText("all trials").click();
  await table.waitForSelector(".matrix");
  await table.context().close();
});
await check("no errors, no requests", () => same(trouble, []));
await browser.close();
console.log(JSON.stringify(found));
