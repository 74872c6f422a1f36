// What scripts add to pages that work without them: selection of rows, confirmations, filters that
// apply themselves, live progress. No page depends on this file.
"use strict";

const all = (selector, within = document) => [...within.querySelectorAll(selector)];

/* Rows with checkboxes: pick a page at once, count, then "all that match". */
function selection(form) {
  const rows = all('tbody input[type="checkbox"][name="id"]', form);
  const head = form.querySelector('[data-pick="page"]');
  const count = form.querySelector("[data-count]");
  const whole = form.querySelector("[data-whole]");
  const matching = form.querySelector('input[name="matching"]');
  const pickAll = form.querySelector('[data-pick="matching"]');
  const submit = form.querySelector('[data-needs="selection"]');
  const why = form.querySelector("[data-why]");
  if (!head || !count || !submit) return;
  const free = () => rows.filter((box) => !box.disabled);
  const show = () => {
    const picked = rows.filter((box) => box.checked);
    const every = matching && matching.value === "1";
    for (const box of rows) box.closest("tr").classList.toggle("selected", box.checked);
    head.checked = picked.length > 0 && picked.length === free().length;
    head.indeterminate = picked.length > 0 && !head.checked;
    count.textContent = every ? whole.dataset.whole : picked.length === 1 ? "1 selected" : `${picked.length} selected`;
    if (pickAll) pickAll.hidden = every || !head.checked;
    submit.disabled = !every && picked.length === 0;
    if (why) why.hidden = !submit.disabled;
  };
  const alone = () => { if (matching) matching.value = ""; };
  let last = null;
  head.addEventListener("change", () => {
    alone();
    for (const box of free()) box.checked = head.checked;
    show();
  });
  rows.forEach((box, at) => box.addEventListener("click", (event) => {
    alone();
    if (event.shiftKey && last !== null) {
      const [from, to] = last < at ? [last, at] : [at, last];
      for (const other of rows.slice(from, to + 1)) if (!other.disabled) other.checked = box.checked;
    }
    last = at;
    show();
  }));
  if (pickAll) pickAll.addEventListener("click", () => { matching.value = "1"; show(); submit.focus(); });
  for (const part of all("[data-scripted]", form)) part.hidden = false;
  for (const part of all("[data-plain]", form)) part.hidden = true;
  show();
  addEventListener("pageshow", show);
}

/* Filters apply themselves when they change; the button stays for those who want it. */
function filters(form) {
  const go = () => form.requestSubmit();
  form.addEventListener("change", (event) => { if (event.target.type !== "search") go(); });
}

/* A form that asks first: its <dialog> stands beside it. */
function confirmation(form) {
  const dialog = document.getElementById(form.dataset.confirm);
  if (!dialog || !dialog.showModal) return;
  form.addEventListener("submit", (event) => {
    if (form.dataset.sure) return;
    event.preventDefault();
    dialog.returnValue = "";
    dialog.showModal();
  });
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "yes") return;
    form.dataset.sure = "1";
    form.requestSubmit();
  });
}

/* A second click on a button that was sent is not a second send. */
function once(form) {
  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    addEventListener("pageshow", () => { delete form.dataset.sent; delete form.dataset.sure; }, { once: true });
  });
}

/* A job's progress: the server sends fragments of the page it would write anew. */
function live(part) {
  const source = new EventSource(part.dataset.live);
  const bar = part.querySelector("progress");
  const spoken = part.querySelector("[data-spoken]");
  const take = (data) => {
    for (const [name, text] of Object.entries(data.texts)) {
      for (const place of all(`[data-text="${name}"]`, part)) if (place.textContent !== text) place.textContent = text;
    }
    if (bar) { bar.max = Math.max(1, data.total); bar.value = data.done; }
    for (const item of data.items || []) {
      const row = document.getElementById(`item-${item.position}`);
      const badge = row && row.querySelector(".badge");
      if (!badge || badge.lastChild.textContent === item.text) continue;
      badge.className = `badge ${item.tone}`;
      badge.querySelector("use").setAttribute("href", `/assets/icons.svg#${item.icon}`);
      badge.lastChild.textContent = item.text;
    }
  };
  source.addEventListener("progress", (event) => take(JSON.parse(event.data)));
  source.addEventListener("done", (event) => {
    take(JSON.parse(event.data));
    source.close();
    if (spoken) spoken.textContent = "The job is over.";
    location.replace(location.href);
  });
}

/* Fields that only matter when another says so; those that do not are not sent. */
function depending(part) {
  const [name, ...values] = part.dataset.when.split(" ");
  const form = part.closest("form");
  const show = () => {
    const data = new FormData(form);
    part.hidden = !data.getAll(name).some((value) => values.includes(value));
    for (const control of part.querySelectorAll("input, select, textarea")) control.disabled = part.hidden;
  };
  form.addEventListener("change", show);
  show();
}

/* Narrow screens show rows as cards: each cell learns its column's name, and what it is to readers
   of screens, which the style would make them forget. */
function cards(table) {
  const names = all(":scope > thead th", table).map((head) => head.querySelector(".unseen") ? "" : head.textContent.trim());
  if (names.length < 2) return;
  table.classList.add("stacks");
  table.setAttribute("role", "table");
  for (const part of all(":scope > thead, :scope > tbody", table)) part.setAttribute("role", "rowgroup");
  for (const head of all(":scope > thead th", table)) head.setAttribute("role", "columnheader");
  for (const row of all(":scope > thead > tr, :scope > tbody > tr", table)) row.setAttribute("role", "row");
  for (const row of all(":scope > tbody > tr", table)) {
    [...row.cells].forEach((cell, at) => {
      cell.setAttribute("role", cell.tagName === "TH" ? "rowheader" : "cell");
      if (cell.tagName === "TD" && names[at]) cell.dataset.label = names[at];
    });
  }
}

/* What was done is told once: an address that is read again does not say it again. */
function told() {
  const address = new URL(location.href);
  if (!address.searchParams.has("done")) return;
  address.searchParams.delete("done");
  history.replaceState(history.state, "", address);
}

/* The first field that is wrong. */
function firstError() {
  const wrong = document.querySelector('[aria-invalid="true"]');
  if (wrong) wrong.focus();
}

all("form[data-selection]").forEach(selection);
all("form[data-filters]").forEach(filters);
all("form[data-confirm]").forEach(confirmation);
all('form[method="post"]').forEach(once);
all("[data-live]").forEach(live);
all("[data-when]").forEach(depending);
all(".scroll > table").forEach(cards);
told();
firstError();
