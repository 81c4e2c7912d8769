// What the tests of all pages share. `page`: one of Playwright's, or of Puppeteer's.
import fs from "node:fs";
import { createRequire } from "node:module";

const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export function same(one, other, what = "") {
  const [a, b] = [JSON.stringify(one), JSON.stringify(other)];
  if (a !== b) throw new Error(`${what}: ${a} is not ${b}`);
}

// Remembers what each check found: true, or the fault.
export function checks() {
  const found = {};
  const check = async (name, work) => {
    try {
      const detail = await work();
      found[name] = detail === true || detail === undefined ? true : detail;
    } catch (error) {
      found[name] = `${error}`.slice(0, 2000);
    }
  };
  return { found, check };
}

// What axe finds that is serious; none is [].
export async function serious(page) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations.filter((each) => ["serious", "critical"].includes(each.impact)).map((each) => `${each.id}: ${each.nodes[0].html.slice(0, 200)}`);
}

// Presses Tab until every control was reached; throws where some never is.
export async function reachAll(page) {
  const all = await page.evaluate(() => {
    document.activeElement.blur();
    const radios = new Set();
    const some = [...document.querySelectorAll("button:not([disabled]), select, input, textarea, summary, [tabindex='0']")].filter((each) => {
      if (each.type === "radio" && (radios.has(each.name) || !radios.add(each.name))) return false; // Tab enters a group once
      return each.getClientRects().length && each.getAttribute("tabindex") !== "-1" && !each.closest("details:not([open]) > :not(summary)");
    });
    some.forEach((each, number) => { each.dataset.stop = number; });
    return some.length;
  });
  const reached = new Set();
  for (let press = 0; press < all * 2 + 10 && reached.size < all; press++) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(() => document.activeElement?.dataset?.stop);
    if (stop !== undefined) reached.add(stop);
  }
  same(reached.size, all, "stops that Tab reaches, of all");
}

// What does not fit on a narrow page: too wide, cut off, or over each other among the controls in `places`.
export const misfits = (page, places) => page.evaluate((selector) => {
  const bad = [];
  if (document.documentElement.scrollWidth > innerWidth) bad.push(`the page is ${document.documentElement.scrollWidth} px wide`);
  for (const label of document.querySelectorAll(".row .label")) {
    const box = label.getBoundingClientRect();
    if (box.left < 0 || box.right > innerWidth) bad.push(`cut off: ${label.textContent}`);
  }
  const blocks = [...document.querySelectorAll(selector)].filter((each) => each.getClientRects().length && (!each.closest("button") || each.tagName === "BUTTON"));
  blocks.forEach((one, number) => blocks.slice(number + 1).forEach((other) => {
    const a = one.getBoundingClientRect(), b = other.getBoundingClientRect();
    if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1) bad.push(`${one.textContent} overlaps ${other.textContent}`);
  }));
  return bad;
}, places);
