// Keeps a page fresh: its <main> is fetched again every few seconds, unless that would take something from the person
// who looks at it. Without this script every page works as well.
"use strict";

const SECONDS = 5;
const SLOWEST_SECONDS = 60;

const main = document.querySelector("main[data-live]");
const pause = document.getElementById("pause");
let wait = SECONDS;
let isPaused = false;
let timer = 0;

function isBusy() {
  const at = document.activeElement;
  if (at && at.matches("input, select, textarea") && main.contains(at)) return true;
  if (main.querySelector("details[open], input:checked")) return true;
  if ([...main.querySelectorAll("input:not([type=hidden], [type=checkbox]), textarea")].some((one) => one.value !== one.defaultValue)) return true;
  const selection = document.getSelection();
  return selection !== null && !selection.isCollapsed && main.contains(selection.anchorNode);
}

function sameIn(root, element) {
  if (element.id) return root.querySelector("#" + CSS.escape(element.id));
  const alike = (one) => one.tagName === element.tagName && one.textContent === element.textContent;
  return [...root.querySelectorAll(element.tagName)].find(
    (one) => alike(one) && one.getAttribute("href") === element.getAttribute("href"));
}

function put(fresh) {
  document.title = fresh.title;
  for (const id of ["attention", "as-of"]) {
    const [old, now] = [document.getElementById(id), fresh.getElementById(id)];
    if (!old || !now) continue;
    // The region stays and only its text changes, so that a screen reader says it, and says it once.
    if (old.innerHTML !== now.innerHTML) old.innerHTML = now.innerHTML;
    old.className = now.className;
  }
  const next = fresh.querySelector("main");
  if (!next || next.innerHTML === main.innerHTML) return;
  const focused = main.contains(document.activeElement) && document.activeElement !== main ? document.activeElement : null;
  const again = focused ? sameIn(next, focused) : null;
  if (focused && !again) return;
  const [note, sameNote] = [main.querySelector("#note"), next.querySelector("#note")];
  if (note && sameNote && note.textContent === sameNote.textContent) sameNote.replaceWith(note);
  main.replaceChildren(...next.childNodes);
  if (again) again.focus({ preventScroll: true });
  addSelectAll();
}

async function refresh() {
  if (!document.hidden && !isPaused && !isBusy()) {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
      if (!answer.ok) throw new Error(answer.status);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!isBusy() && !isPaused) put(fresh);
      wait = SECONDS;
    } catch {
      wait = Math.min(wait * 2, SLOWEST_SECONDS);
    }
  }
  plan();
}

function plan() {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(refresh, wait * 1000);
}

function addSelectAll() {
  for (const place of document.querySelectorAll("th.pick[data-select-all]")) {
    const box = document.createElement("input");
    box.type = "checkbox";
    box.setAttribute("aria-label", place.dataset.selectAll);
    box.addEventListener("change", () => {
      for (const one of place.closest("table").querySelectorAll("td.pick input")) one.checked = box.checked;
    });
    place.replaceChildren(box);
  }
}

addSelectAll();
if (main) {
  document.getElementById("live").hidden = false;
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.textContent = isPaused ? "Go on updating" : "Stop updating";
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
  plan();
}
