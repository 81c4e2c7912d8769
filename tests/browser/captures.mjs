// Gives captures to the sandbox that reads them, as people do, without a network, and prints what it found as JSON.
// node captures.mjs chromium|firefox FOLDER: with sandbox.html, expected.json and the captures that it names; screenshots go there too.
import fs from "node:fs";
import path from "node:path";
import { checks, misfits, reachAll, same, serious } from "./common.mjs";
import { sandboxIn } from "./opened.mjs";

const [which, place] = process.argv.slice(2);
const folder = path.resolve(place);
const expected = JSON.parse(fs.readFileSync(path.join(folder, "expected.json"), "utf8"));
const { found, check } = checks();
const { browser, open, done, trouble } = await sandboxIn(which, folder);

const said = (page) => page.$eval("#progress", (each) => each.textContent);
const told = (page) => page.evaluate(() => {
  const all = (selector) => [...document.querySelectorAll(`#diagnosis ${selector}`)].map((each) => each.textContent);
  return { sentences: all(".sentence"), left_out: all(".left-out") };
});
const bytesOf = (name) => fs.readFileSync(path.join(folder, name)).toString("base64");

// Drops files on the page: `{ name, base64 }`, or `{ name, size }` for one of zeros.
async function drop(page, files) {
  await page.evaluate((given) => {
    delete document.body.dataset.done;
    const dataTransfer = new DataTransfer();
    for (const each of given) {
      const bytes = each.base64 === undefined ? new Uint8Array(each.size) : Uint8Array.from(atob(each.base64), (letter) => letter.charCodeAt(0));
      dataTransfer.items.add(new File([bytes], each.name));
    }
    const event = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
    document.querySelector("#progress").dispatchEvent(event);
    if (!event.defaultPrevented) throw new Error("the browser would open the file");
  }, files);
}
async function choose(page, names) {
  await page.click("#bench .title button[aria-pressed=true]"); // which empties the fields
  const fields = await page.$$("#captures input[type=file]");
  const paths = names.map((each) => path.join(folder, each));
  for (const [at, each] of paths.entries()) await (which === "chromium" ? fields[at].setInputFiles(each) : fields[at].uploadFile(each));
  await page.evaluate(() => delete document.body.dataset.done);
  await page.click("#captures button.main");
}
const both = () => expected.both.files.map((name) => ({ name: `<img src=x onerror=window.PWNED=1>${path.basename(name)}`, base64: bytesOf(name) }));
const words = ({ sentences, left_out }) => ({ sentences, left_out });

const page = await open("#captures=1");
await check("two captures, dropped after another, get the words of siplab diagnose", async () => {
  await drop(page, [{ name: "another.pcap", base64: bytesOf(expected.one.files[0]) }]);
  await drop(page, both());
  await done(page);
  same(await told(page), words(expected.both));
  same(await page.$eval("#diagnosis .verdict", (each) => each.textContent), "ALG found");
  if (which === "chromium") await page.screenshot({ path: path.join(folder, "captures.png") });
});
await check("names of files are text", async () => {
  same(await page.evaluate(() => [window.PWNED === undefined, document.querySelectorAll("img").length]), [true, 0]);
  if (!(await page.$eval("#diagnosis", (each) => each.textContent)).includes("<img")) throw new Error("the name is not shown");
});
await check("one capture, chosen, gets them too", async () => {
  await choose(page, expected.one.files);
  await done(page);
  same(await told(page), words(expected.one));
});
await check("what is no capture is one line", async () => {
  await drop(page, [{ name: "notes.txt", base64: btoa("no capture at all") }]);
  await done(page);
  same(await said(page), expected.fault);
  same(await told(page), { sentences: [], left_out: [] });
});
await check("a capture that is too large, and too many, are one line", async () => {
  await drop(page, [{ name: "large.pcap", size: expected.most + 1 }]);
  if (!/^capture-1 has .* MB/.test(await said(page))) throw new Error(await said(page));
  await drop(page, [1, 2, 3].map((each) => ({ name: `${each}.pcap`, base64: "" })));
  if (!/^One capture, or two/.test(await said(page))) throw new Error(await said(page));
});
await check("the licence is on the page, with its text", async () => {
  const licence = await page.$eval("#licence", (each) => each.innerText);
  if (!licence.includes("SPDX-License-Identifier: GPL-2.0-only")) throw new Error(licence);
  await page.click("#licence summary");
  same((await page.$eval("#licence pre", (each) => each.innerText)).includes("GNU GENERAL PUBLIC LICENSE"), true);
  await page.click("#licence summary");
});
if (which === "firefox") await check("a diagnosis can be stopped, and another asked for", async () => {
  await drop(page, both());
  await page.evaluate(() => [...document.querySelectorAll("#captures button")].find((each) => each.textContent === "Stop").click());
  await page.waitForFunction(() => document.querySelector("#progress").textContent === "Stopped.");
  same(await told(page), { sentences: [], left_out: [] });
  await choose(page, expected.one.files);
  await done(page);
  same(await told(page), words(expected.one));
});
if (which === "chromium") {
  await check("the keyboard alone reaches everything", () => reachAll(page));
  await check("axe finds nothing serious", async () => same(await serious(page), []));
  await check("reads well at 390 px", async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    same(await misfits(page, "#bench button, #bench input"), []);
    await page.screenshot({ path: path.join(folder, "captures-phone.png") });
  });
}
await check("no errors, no requests", () => same(trouble, []));
await browser.close();
console.log(JSON.stringify(found));
