"use strict";
const table = document.querySelector("#table");
const body = table.tBodies[0];

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

function sort(header, column) {
  const down = header.getAttribute("aria-sort") === "ascending";
  table.querySelectorAll("[aria-sort]").forEach((each) => each.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1);
  const rows = [...body.rows].map((row) => [valueOf(row, column), row]);
  rows.sort(([a], [b]) => order(a, b)).forEach(([, row]) => body.append(row));
}

function filter(words) {
  const sought = words.toLowerCase().split(/\s+/);
  const named = [...document.querySelectorAll("#networks [data-name]")];
  for (const each of named) each.hidden = !sought.every((word) => each.dataset.name.includes(word));
  const shown = [...body.rows].filter((row) => !row.hidden).length;
  document.querySelector("#shown").textContent = `${shown} of ${body.rows.length} networks`;
}

for (const button of table.querySelectorAll("[data-sort]"))
  button.addEventListener("click", () => sort(button.parentElement, Number(button.dataset.sort)));
document.querySelector("#filter").addEventListener("input", (event) => filter(event.target.value));
document.querySelector("#networks .controls").hidden = false;
addEventListener("hashchange", unfold);
unfold();
