const plain = (text) => (/^\d{1,3}(,\d{3})+$/.test(text) ? text.replaceAll(",", "") : text);
const textOf = (cell) => cell.dataset.value ?? plain(cell.firstChild?.textContent.trim() ?? "");
const compare = (one, other) => {
  const [a, b] = [parseFloat(one), parseFloat(other)];
  return isNaN(a) || isNaN(b) ? one.localeCompare(other) : a - b;
};
const quote = (text) => `"${(/^[=+\-@\t]/.test(text) ? "'" : "") + text.replaceAll('"', '""')}"`;

for (const table of document.querySelectorAll("table.data")) {
  const [body] = table.tBodies;
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const descends = header.ariaSort ? header.ariaSort === "ascending" : column > 0;
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      header.ariaSort = descends ? "descending" : "ascending";
      const rows = [...body.rows].sort((a, b) => compare(textOf(a.cells[column]), textOf(b.cells[column])));
      body.append(...(descends ? rows.reverse() : rows));
    });
  });

  const filter = document.createElement("input");
  filter.type = "search";
  filter.placeholder = filter.ariaLabel = "Show rows with";
  filter.addEventListener("input", () => {
    const wanted = filter.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  const link = document.createElement("a");
  link.textContent = "CSV";
  link.download = `${table.id}.csv`;
  link.href = "#";
  link.addEventListener("click", () => {
    const rows = [table.tHead.rows[0], ...[...body.rows].filter((row) => !row.hidden)];
    const lines = rows.map((row) => [...row.cells].map((cell) => quote(textOf(cell))).join(","));
    link.href = URL.createObjectURL(new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" }));
  });
  const tools = document.createElement("div");
  tools.className = "tools soft";
  tools.append(filter, link);
  table.before(tools);
}
document.documentElement.setAttribute("data-ready", "");
