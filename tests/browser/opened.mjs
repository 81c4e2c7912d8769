// A browser with the sandbox in it: Playwright's Chromium, or Puppeteer's Firefox.
import { chromium } from "playwright-core";
import puppeteer from "puppeteer-core";
import path from "node:path";

const PATIENCE = 300_000; // ms for what takes a few seconds on an idle machine

// `open` gives a page of FOLDER/sandbox.html, which is done; `trouble` gathers console errors, and requests that leave the file.
export async function sandboxIn(which, folder) {
  const trouble = [];
  const browser = which === "chromium"
    ? await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"], timeout: PATIENCE })
    : await puppeteer.launch({ browser: "firefox", executablePath: process.env.FIREFOX || "/usr/bin/firefox-esr", headless: true, timeout: PATIENCE, protocolTimeout: PATIENCE });
  const done = (page) => page.waitForSelector("body[data-done], body[data-failed]");

  async function open(hash = "", size = { width: 1500, height: 900 }) {
    const page = which === "chromium" ? await browser.newPage({ viewport: size }) : await browser.newPage();
    if (which === "firefox") await page.setViewport(size);
    page.setDefaultTimeout(PATIENCE);
    page.on("console", (message) => { if (["error", "warning", "warn"].includes(message.type())) trouble.push(message.text()); });
    page.on("pageerror", (error) => trouble.push(error.message));
    page.on("request", (request) => { if (!/^(file|data|blob):/.test(request.url())) trouble.push(`asks for ${request.url()}`); });
    await page.goto(`file://${path.join(folder, "sandbox.html")}${hash}`, { timeout: PATIENCE });
    await done(page);
    return page;
  }
  return { browser, open, done, trouble };
}
