// Clocks, keys, and a page that is fetched again when something is new. Without it every page works just the same.
"use strict";

const clocks = () => {
  for (const clock of document.querySelectorAll("[data-until]")) {
    const left = Math.round((Date.parse(clock.dataset.until) - Date.now()) / 1000);
    if (Number.isNaN(left)) continue;
    const day = Math.floor(left / 86400), hour = Math.floor(left / 3600) % 24, minute = Math.floor(left / 60) % 60;
    clock.textContent = left <= 0 ? "(over)" : day ? `(${day} d ${hour} h left)` : hour ? `(${hour} h ${minute} min left)` : `(${minute} min ${left % 60} s left)`;
  }
};
clocks();
setInterval(clocks, 1000);

// What somebody is writing, or has opened, is never replaced under their hands.
const busy = () => {
  const main = document.getElementById("main"), at = document.activeElement;
  return main.querySelector("form[data-still], details[open]") || (at && main.contains(at) && at !== main)
    || [...main.querySelectorAll("textarea")].some((text) => text.value !== text.defaultValue);
};

let waiting = false;
const refresh = async () => {
  if (busy()) { waiting = true; return; }
  waiting = false;
  const answer = await fetch(location.href, { credentials: "same-origin", redirect: "manual" });
  if (!answer.ok || busy()) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("main"), said = document.querySelector(".said");
  if (said) fresh.prepend(said);
  const on = chosen();
  document.getElementById("main").replaceWith(fresh);
  document.title = page.title;
  clocks();
  if (on >= 0) choose(on, false);
};
document.addEventListener("focusout", () => setTimeout(() => { if (waiting) refresh(); }, 0));

const shown = document.body.dataset;
if (shown.live) {
  new EventSource(shown.live).addEventListener("message", (event) => {
    if (event.data === shown.state) return;
    shown.state = event.data;
    refresh();
  });
}

const rows = () => [...document.querySelectorAll(".row")];
const chosen = () => rows().findIndex((row) => row.classList.contains("on"));
const choose = (index, scroll = true) => {
  const all = rows(), row = all[Math.max(0, Math.min(index, all.length - 1))];
  for (const other of all) other.classList.remove("on");
  if (!row) return;
  row.classList.add("on");
  if (scroll) row.scrollIntoView({ block: "nearest" });
};
let going = false;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || /^(?:INPUT|TEXTAREA|SELECT|BUTTON|A)$/.test(event.target.tagName)) return;
  const link = going && document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
  going = event.key === "g";
  if (link) location.assign(link.href);
  else if (event.key === "j") choose(chosen() + 1);
  else if (event.key === "k") choose(chosen() - 1);
  else if (event.key === "Enter") rows()[chosen()]?.querySelector("a")?.click();
  else if (event.key === "e" && document.getElementById("reason")) { event.preventDefault(); document.getElementById("reason").focus(); }
});
