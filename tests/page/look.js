// SPDX-License-Identifier: MIT
// look.js URL DIRECTORY BROWSER: opens the visitor's page in Chromium or Firefox as tools/test-page says: axe-core's verdict, what a strict Content-Security-Policy
// blocked, the live list, with and without JavaScript, light and dark, wide and narrow. Exit status 1 if anything is wrong.
"use strict";
const puppeteer = require("puppeteer-core");
const axe = require("axe-core");

const [url, out, name] = process.argv.slice(2);
const secure = url.startsWith("https:");
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
  if (name === "chromium") await page.setJavaScriptEnabled(view.script);
  await page.setViewport({ width: view.width, height: 900 });
  if (name === "chromium") await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: view.scheme }]);
  await page.goto(url, { waitUntil: "load" });
  if (view.script) {
    await page.waitForSelector("#rows tr", { timeout: 5000 }).catch(() => wrong.push("the live list stays empty"));
    await page.evaluate(axe.source); // by the debugger: the policy stays as it is
    const { violations, passes } = await page.evaluate(() => axe.run());
    for (const v of violations) wrong.push(`axe: ${v.id} (${v.impact}): ${v.nodes.map((n) => n.html).join(" ")}`);
    console.log(`${view.name}: axe-core ${axe.version}: ${passes.length} rules passed, ${violations.length} violated`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
    if (wide) wrong.push("the page is wider than its window");
    const greeting = await page.$("#hello");
    if ((greeting !== null) !== secure) wrong.push("the greeting of TLS is " + (secure ? "missing" : "there"));
  } else {
    const text = await page.$eval("main", (m) => m.textContent).catch(() => "");
    if (!text.includes("Maximum segment size")) wrong.push("there is no SYN without JavaScript");
    console.log(`${view.name}: ${text.length} characters`);
  }
  await page.screenshot({ path: `${out}/${name === "chromium" ? "" : `${name}-`}${view.name}.png`, fullPage: true });
  await page.close();
  return wrong.map((w) => `${view.name}: ${w}`);
}

(async () => {
  const browser = await puppeteer.launch({
    browser: name === "chromium" ? "chrome" : name,
    executablePath: name === "chromium" ? "/usr/bin/chromium" : "/usr/bin/firefox-esr",
    args: name === "chromium" ? ["--no-sandbox"] : [],
    acceptInsecureCerts: true,
  });
  const wrong = [];
  // Firefox cannot be told to do without scripts, or which colours to prefer.
  for (const view of name === "chromium" ? views : views.filter((v) => v.script && v.scheme === "light"))
    wrong.push(...(await look(browser, view)));
  if (secure) {
    const page = await browser.newPage();
    await page.goto(url, { waitUntil: "load" });
    const said = await page.evaluate(async () => (await fetch("/", { headers: { Accept: "application/json" } })).json());
    console.log(`${name}: ja3 ${said.hello.ja3} ja4 ${said.hello.ja4} steady ${said.hello.steady}; ` +
                `inconsistencies: ${JSON.stringify(said.os.inconsistencies)}; SYN by ${said.capture.source}`);
    for (const hint of said.os.inconsistencies)
      if (hint.startsWith("hello_")) wrong.push(`a browser is doubted: ${hint}`);
  }
  await browser.close();
  for (const w of wrong) console.error(w);
  process.exit(wrong.length === 0 ? 0 : 1);
})();
