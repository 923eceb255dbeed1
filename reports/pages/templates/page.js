"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// Sorting. A number as it is shown: thousands are parted, and something may follow.
const number = (text) =>
  /^[-+]?[\d,.]+(e[-+]?\d+)?( %)?$/.test(text) ? parseFloat(text.replace(/,/g, "")) : NaN;
for (const table of all("details.table table")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    const cells = [...body.rows].map((row) => row.cells[column]);
    const words = cells.some((cell) => cell.textContent !== "-" && isNaN(number(cell.textContent)));
    if (words) [head, ...cells].forEach((cell) => cell.classList.add("text"));
    head.firstElementChild.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[column].textContent;
      const order = (a, b) => {
        if (value(a) === "-" || value(b) === "-") return (value(a) === "-") - (value(b) === "-");
        const difference = words ? value(a).localeCompare(value(b)) : number(value(a)) - number(value(b));
        return down ? -difference : difference;
      };
      body.append(...[...body.rows].sort(order));
    });
  });
}

// Figures that are wider than a column of the page.
for (const figure of all("figure")) {
  const [, , width, height] = figure.querySelector("svg").getAttribute("viewBox").split(" ");
  if (width / height > 2.4 && width > 500) figure.classList.add("wide");
}

// Filters. A model stands with its variant, unless that is stock; a pair has two lanes.
const filters = document.querySelector(".filters");
const wanted = () => Object.fromEntries(filters ? new FormData(filters) : []);
const variantOf = (row, model) => row.variant || (model.includes(" ") ? model.split(" ")[1] : "stock");
function fits(row, chosen) {
  const model = row.model || row.definition || "";
  const lanes = [row.backend, row.pair].filter(Boolean).join(" / ").split(/ \/ | \(| /);
  return (
    (!chosen.model || !model || model.split(" ")[0] === chosen.model) &&
    (!chosen.variant || !model || variantOf(row, model).split(" / ").includes(chosen.variant)) &&
    (!chosen.phase || !row.phase || row.phase.split(" ")[0] === chosen.phase) &&
    (!chosen.lane || !lanes[0] || lanes.includes(chosen.lane))
  );
}
function narrow() {
  const chosen = wanted();
  for (const table of all("details.table table")) {
    const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
    for (const row of table.tBodies[0].rows) {
      const told = Object.fromEntries(names.map((name, n) => [name, row.cells[n].textContent]));
      row.hidden = !fits(told, chosen);
    }
  }
  for (const figure of all("figure[data-model]")) {
    figure.hidden = Boolean(chosen.model && figure.dataset.model && figure.dataset.model !== chosen.model);
  }
}
if (filters) {
  filters.hidden = false;
  filters.addEventListener("change", narrow);
  filters.addEventListener("submit", (event) => event.preventDefault());
}

// Links into what is folded.
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let up = target; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
  if (target) target.scrollIntoView();
}
addEventListener("hashchange", unfold);
unfold();

// Copying and saving.
const csvOf = (table) =>
  [...table.rows]
    .filter((row) => !row.hidden)
    .map((row) => [...row.cells].map((cell) => `"${cell.textContent.replace(/"/g, '""')}"`).join(","))
    .join("\n");
for (const tools of all(".tools")) tools.hidden = false;
for (const button of all("[data-copy]")) {
  button.addEventListener("click", async () => {
    const label = button.textContent;
    const area = document.createElement("textarea");
    area.value = button.dataset.copy;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    button.focus();
    button.textContent = done ? "copied" : button.dataset.copy;
    setTimeout(() => (button.textContent = label), 2000);
  });
}
for (const button of all("[data-save]")) {
  button.addEventListener("click", () => {
    const figure = button.closest("figure");
    const text = figure
      ? figure.querySelector("template.csv").content.textContent
      : csvOf(button.closest("details").querySelector("table"));
    const link = document.createElement("a");
    link.href = `data:text/csv;charset=utf-8,${encodeURIComponent(text)}`;
    link.download = button.dataset.save;
    link.click();
  });
}
