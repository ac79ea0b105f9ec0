// SPDX-License-Identifier: MIT
// The style sheet and the script of the visitor's page.
#pragma once

#include <string_view>

namespace visitor {

inline constexpr std::string_view style_sheet = R"(:root {
  color-scheme: light dark;
  --paper: #fcfcfa; --ink: #1b1b1a; --soft: #55554f; --line: #c9c9c2; --cell: #f1f1ec; --option: #e6eef7;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #161615; --ink: #ececea; --soft: #b3b3ad; --line: #484843; --cell: #22221f; --option: #1e2b3a; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { margin: 1rem 0 0; font-size: 1.8rem; }
h2 { margin: 2rem 0 .5rem; font-size: 1.25rem; }
header p, footer p, li span, td span, caption { color: var(--soft); }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .4rem 1rem; margin: 0; }
dt { font-weight: 600; }
dd { margin: 0; }
dd ul { margin: 0; padding-left: 1.2rem; }
.scroll { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .35rem .5rem; border: 1px solid var(--line); text-align: left; vertical-align: top; }
.facts td code { white-space: nowrap; }
.facts.long td code { white-space: normal; }
.facts.long td:nth-child(2) { width: 50%; }
.bits { min-width: 38rem; table-layout: fixed; }
.bits caption { text-align: left; padding: .25rem 0; }
.bits th { font-weight: 400; font-size: .75rem; text-align: center; }
.bits td { background: var(--cell); text-align: center; font-size: .8rem; overflow-wrap: anywhere; padding: .3rem .15rem; }
.bits td span { display: block; font-size: .7rem; }
.bits td.option { background: var(--option); }
.bits b { font-family: ui-monospace, monospace; font-weight: 600; }
ol { padding-left: 1.5rem; }
:focus-visible { outline: 2px solid var(--ink); outline-offset: 2px; }
@media (max-width: 34rem) {
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .6rem; }
}
)";

/// Fills the list from /events. It writes text only, so nothing in it is ever taken for markup.
inline constexpr std::string_view script = R"("use strict";
const rows = document.getElementById("rows");
const live = document.getElementById("live");
const most = 32;
live.textContent = "Waiting for the next one.";
const source = new EventSource("/events");
source.addEventListener("handshake", (e) => {
  const seen = JSON.parse(e.data);
  const row = document.createElement("tr");
  for (const value of [seen.address, seen.os ?? "unknown", seen.p0f ?? "not captured"]) {
    const cell = document.createElement("td");
    const code = document.createElement("code");
    code.textContent = value;
    cell.append(code);
    row.append(cell);
  }
  rows.prepend(row);
  while (rows.children.length > most) rows.lastElementChild.remove();
  live.textContent = "The newest is on top.";
});
source.addEventListener("error", () => { live.textContent = "The server is away; trying again."; });
)";

}  // namespace visitor
