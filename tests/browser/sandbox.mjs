// Uses the sandbox as people do, without a network, and prints what it found as JSON.
// node sandbox.mjs chromium|firefox FOLDER: with sandbox.html and expected.json; screenshots go there too.
import fs from "node:fs";
import path from "node:path";
import { checks, misfits, reachAll, same, serious } from "./common.mjs";
import { sandboxIn } from "./opened.mjs";

const [which, place] = process.argv.slice(2);
const folder = path.resolve(place);
const expected = JSON.parse(fs.readFileSync(path.join(folder, "expected.json"), "utf8"));
const { found, check } = checks();
const { browser, open, done, trouble } = await sandboxIn(which, folder);
const text = (page, selector) => page.$eval(selector, (each) => each.textContent);
const shot = (page, name) => page.screenshot({ path: path.join(folder, `${name}.png`) });
const fill = (page, values) => page.evaluate((given) => {
  for (const [name, value] of Object.entries(given)) {
    const field = document.querySelector(`#trial [name=${name}]`);
    field.value = value;
    if (field.value !== value) throw new Error(`${name} has no ${value}`);
    field.dispatchEvent(new Event("change"));
  }
}, values);
async function run(page, values) {
  await fill(page, values);
  await page.evaluate(() => delete document.body.dataset.done);
  await page.click("#trial button.main");
  await done(page);
}

const page = await open(expected.link);
await check("a link runs its trial", async () => {
  same(await text(page, "#head h1"), expected.title);
  same(await page.$$eval("#dock .check.failed strong", (all) => all.length > 0), true);
  if (which === "chromium") await shot(page, "sandbox");
});
await check("results and traces are those of native Python", async () => {
  for (const [asked, digest] of expected.digests) {
    const answer = await page.evaluate((trial) => window.siplab.ask({ ask: "digest", asked: trial }), asked);
    same(answer, { digest }, JSON.stringify(asked));
  }
});
await check("another trial is chosen and run", async () => {
  await run(page, { model: "none", scenario: "register", seed: "7" });
  same(await text(page, "#head h1"), "register through none");
  same(await page.evaluate(() => new URLSearchParams(location.hash.slice(1)).get("seed")), "7");
});
await check("what needs cryptography is grey, and says so", async () => {
  const [disabled, says] = await page.$eval("#trial option[value=srtp-call]", (each) => [each.disabled, each.textContent]);
  if (!disabled || !says.includes("cryptography")) throw new Error(says);
});
await check("a model of one's own is run, and its faults are one line", async () => {
  await run(page, { model: "own", scenario: "register" });
  same(await text(page, "#head h1"), "register through my-model");
  same(await page.$$eval("#dock .check.failed strong", (all) => all.length > 0), true);
  await page.evaluate(() => { document.querySelector("#source").value = "<b>not Python"; });
  await run(page, {});
  const said = await text(page, "#progress");
  if (!said.includes("SyntaxError") || said.includes("\n")) throw new Error(said);
});
const answer = () => page.evaluate(() => ({ said: [...document.querySelectorAll("#said p")].map((each) => each.className), title: document.querySelector("#head h1").textContent }));
async function openExercise(seed) {
  await page.evaluate(() => delete document.body.dataset.done);
  await page.evaluate((hash) => { location.hash = hash; }, `exercise=${expected.exercise.id}&seed=${seed}`);
  await done(page);
  await page.waitForSelector("#answer");
}
const asked = () => page.evaluate(() => [...document.querySelectorAll("#answer label, #ladders .label")].map((each) => each.textContent));
async function send(cause, remedies) {
  const before = (await answer()).said.length;
  await page.evaluate(({ cause, remedies }) => {
    for (const label of document.querySelectorAll("#answer label")) {
      const input = label.querySelector("input");
      input.checked = input.type === "radio" ? label.textContent === cause : remedies.includes(input.value);
    }
  }, { cause, remedies });
  await page.click("#answer button.main");
  await page.waitForSelector(`#said p:nth-of-type(${before + 1})`);
}
await check("an exercise names no router before the answer", async () => {
  await openExercise(7);
  const told = await page.evaluate(() => document.documentElement.outerHTML);
  same(told.includes(expected.exercise.model), false);
  same(await text(page, "#head h1"), `${expected.exercise.scenario} through a router`);
});
await check("the same address is the same exercise, another seed another", async () => {
  const first = await asked();
  await openExercise(8);
  const other = await asked();
  await openExercise(7);
  same(await asked(), first);
  if (JSON.stringify(first) === JSON.stringify(other)) throw new Error("the seed changes nothing");
});
await check("hints, a wrong answer, the right one, and its tick", async () => {
  const { right, wrong, cure, model } = expected.exercise;
  await page.evaluate(() => [...document.querySelectorAll("#answer button")].find((each) => each.textContent === "A hint").click());
  await page.waitForSelector("#said p");
  await send(wrong, cure);
  await send(right, cure.slice(1));
  same((await answer()).said, ["said ", "said wrong", "said wrong"]);
  if (which === "chromium") {
    same(await serious(page), []);
    await shot(page, "exercise");
  }
  await send(right, cure);
  await page.waitForSelector("#said p.right");
  same((await answer()).title, `${expected.exercise.scenario} through ${model}`);
  same(await page.$eval("select[name=exercise] option:checked", (each) => each.textContent.startsWith("✓")), true);
  await page.evaluate(() => { delete document.body.dataset.done; [...document.querySelectorAll("#bench button")].find((each) => each.textContent === "Routers").click(); });
  await done(page);
});
if (which === "chromium") {
  await check("what never ends can be stopped", async () => {
    await page.evaluate(() => { document.querySelector("#source").value = "while True: pass"; delete document.body.dataset.done; });
    await page.click("#trial button.main");
    await page.getByRole("button", { name: "Stop" }).click();
    await page.waitForFunction(() => document.querySelector("#progress").textContent === "Stopped.");
    await run(page, { model: "none" });
    same(await text(page, "#head h1"), "register through none");
  });
  await check("a hostile link is text", async () => {
    await page.evaluate(() => { delete document.body.dataset.done; location.hash = "model=%3Cimg%20src%3Dx%20onerror%3Dwindow.PWNED%3D1%3E"; });
    await done(page);
    same(await page.evaluate(() => [window.PWNED === undefined, document.querySelectorAll("img").length]), [true, 0]);
    if (!(await text(page, "#progress")).includes("<img")) throw new Error("the fault is not told");
  });
  await check("the keyboard alone reaches everything", async () => {
    await run(page, { model: "semicolon-loss" });
    await reachAll(page);
  });
  for (const scheme of ["light", "dark"]) await check(`axe finds nothing serious: ${scheme}`, async () => {
    await page.emulateMedia({ colorScheme: scheme });
    same(await serious(page), []);
  });
  await check("reads well at 390 px", async () => {
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 390, height: 844 });
    await run(page, {});
    same(await misfits(page, "#bench button, #bench select, #bench input, #head button, #head select, #head h1"), []);
    await shot(page, "sandbox-phone");
  });
}
await check("no errors, no requests", () => same(trouble, []));
await browser.close();
console.log(JSON.stringify(found));
