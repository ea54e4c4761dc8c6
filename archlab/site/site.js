"use strict";

function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.tagName === "DETAILS") target.open = true;
  target.scrollIntoView();
}

function valueOf(row, column) {
  const text = row.cells[column].textContent;
  const number = Number(text.replace(/,/g, "").split("×").reduce((product, part) => product * part, 1));
  return Number.isNaN(number) ? text : number;
}

function order(a, b) {
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

function sort(header, column) {
  const table = header.closest("table");
  const down = header.getAttribute("aria-sort") === "ascending";
  table.querySelectorAll("[aria-sort]").forEach((each) => each.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row, column), row]);
  rows.sort(([a], [b]) => order(a, b) * (down ? -1 : 1)).forEach(([, row]) => table.tBodies[0].append(row));
}

function filter(words) {
  const sought = words.toLowerCase().split(/\s+/);
  const named = [...document.querySelectorAll("[data-name]")];
  for (const each of named) each.hidden = !sought.every((word) => each.dataset.name.toLowerCase().includes(word));
  const rows = named.filter((each) => each.tagName === "TR");
  document.querySelector("#shown").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
}

for (const button of document.querySelectorAll("[data-sort]"))
  button.addEventListener("click", () => sort(button.parentElement, Number(button.dataset.sort)));
document.querySelector("#filter").addEventListener("input", (event) => filter(event.target.value));
document.querySelector("#filter").closest(".controls").hidden = false;
addEventListener("hashchange", unfold);
unfold();
