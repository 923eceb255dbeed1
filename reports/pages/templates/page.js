"use strict";
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  // A number as it is shown: thousands are parted, and something may follow.
  const number = (text) =>
    /^[-+]?[\d,.]+(e[-+]?\d+)?( %)?$/.test(text) ? parseFloat(text.replace(/,/g, "")) : NaN;
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
