// SPDX-License-Identifier: MIT
// Opens the visitor's page in Chromium as tools/test-page says: axe-core's verdict, what a strict Content-Security-Policy
// blocked, the live list, with and without JavaScript, light and dark, wide and narrow. Exit status 1 if anything is wrong.
"use strict";
const puppeteer = require("puppeteer-core");
const axe = require("axe-core");

const [url, out] = process.argv.slice(2);
const views = [
  { name: "wide-light", width: 1000, scheme: "light", script: true },
  { name: "wide-dark", width: 1000, scheme: "dark", script: true },
  { name: "phone-light", width: 390, scheme: "light", script: true },
  { name: "phone-dark-without-script", width: 390, scheme: "dark", script: false },
];

async function look(browser, view) {
  const wrong = [];
  const page = await browser.newPage();
  page.on("console", (m) => { if (m.type() === "error") wrong.push(`console: ${m.text()}`); });
  page.on("request", (r) => {
    if (!r.url().startsWith(url) && !r.url().startsWith("data:")) wrong.push(`foreign request: ${r.url()}`);
  });
  await page.setJavaScriptEnabled(view.script);
  await page.setViewport({ width: view.width, height: 900 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: view.scheme }]);
  await page.goto(url, { waitUntil: "load" });
  if (view.script) {
    await page.waitForSelector("#rows tr", { timeout: 5000 }).catch(() => wrong.push("the live list stays empty"));
    await page.evaluate(axe.source); // by the debugger: the policy stays as it is
    const { violations, passes } = await page.evaluate(() => axe.run());
    for (const v of violations) wrong.push(`axe: ${v.id} (${v.impact}): ${v.nodes.map((n) => n.html).join(" ")}`);
    console.log(`${view.name}: axe-core ${axe.version}: ${passes.length} rules passed, ${violations.length} violated`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
    if (wide) wrong.push("the page is wider than its window");
  } else {
    const text = await page.$eval("main", (m) => m.textContent).catch(() => "");
    if (!text.includes("Maximum segment size")) wrong.push("there is no SYN without JavaScript");
    console.log(`${view.name}: ${text.length} characters`);
  }
  await page.screenshot({ path: `${out}/${view.name}.png`, fullPage: true });
  await page.close();
  return wrong.map((w) => `${view.name}: ${w}`);
}

(async () => {
  const browser = await puppeteer.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  const wrong = [];
  for (const view of views) wrong.push(...(await look(browser, view)));
  await browser.close();
  for (const w of wrong) console.error(w);
  process.exit(wrong.length === 0 ? 0 : 1);
})();
