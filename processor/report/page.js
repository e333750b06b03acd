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
    for (const row of body.rows) row.hidden = "out" in row.dataset || !row.textContent.toLowerCase().includes(wanted);
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

// The charts of the categories hold their numbers in the titles of their periods: the filter sums the chosen ones.
const grouped = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, ",");
const counted = (number, noun) => `${grouped(number)} ${noun}${number === 1 ? "" : "s"}`;
const percent = (rate) => {
  if (isNaN(rate)) return "no rate";
  const digits = rate >= 0.9995 || !rate ? 0 : rate >= 0.09995 ? 1 : 2;
  return `${grouped((100 * rate).toFixed(digits))} %`;
};
const rateOf = ({ clicks, displays }) => (displays ? clicks / displays : NaN);
const describe = (counts) =>
  `${counted(counts.clicks, "click")} / ${counted(counts.displays, "display")} = ${percent(rateOf(counts))}`;
const interval = ({ clicks, displays }) => {
  if (!displays || clicks > displays) return "–";
  const [rate, spread] = [clicks / displays, 1.959963984540054 ** 2 / displays];
  const middle = (rate + spread / 2) / (1 + spread);
  const half = Math.sqrt(rate * (1 - rate) * spread + spread ** 2 / 4) / (1 + spread);
  const [low, high] = [clicks ? Math.max(0, middle - half) : 0, clicks < displays ? Math.min(1, middle + half) : 1];
  return `${percent(low).slice(0, -2)}–${percent(high)}`;
};
const add = (one, other) => ({ clicks: one.clicks + other.clicks, displays: one.displays + other.displays });

const rates = document.querySelector("#rates");
const panels = [...document.querySelectorAll("#panels > section")].map((section, number) => ({
  section,
  row: rates.tBodies[0].rows[number],
  periods: [...section.querySelector("svg").querySelectorAll(".hit > title")].map((title) => {
    const [, name, clicks, displays] = /^(.*?): ([\d,]+) clicks? \/ ([\d,]+) displays?/.exec(title.textContent);
    return { name, clicks: Number(clicks.replaceAll(",", "")), displays: Number(displays.replaceAll(",", "")) };
  }),
}));
if (panels.length) {
  const form = document.createElement("form");
  form.className = "tools filter soft";
  const choose = (label, options, chosen) => {
    const select = document.createElement("select");
    options.forEach((text, number) => select.add(new Option(text, number, number === chosen, number === chosen)));
    const wrapper = document.createElement("label");
    wrapper.append(label, select);
    if (options.length > 1) form.append(wrapper);
    return select;
  };
  const periods = panels[0].periods.map((period) => period.name);
  const names = panels.map(({ section }) => section.querySelector("h3").textContent);
  const category = choose("Category", names.length > 1 ? ["All", ...names] : names, 0);
  const first = choose("From", periods, 0);
  const last = choose("To", periods, periods.length - 1);
  const result = document.createElement("output");
  const reset = document.createElement("button");
  reset.type = "reset";
  reset.textContent = "Show all";
  form.append(reset, result);

  const show = () => {
    const [from, to] = [Number(first.value), Number(last.value)];
    let all = { clicks: 0, displays: 0 };
    panels.forEach(({ section, row, periods: its }, number) => {
      const isOut = Number(category.value) > 0 && Number(category.value) !== number + 1;
      const total = its.slice(from, to + 1).reduce(add, { clicks: 0, displays: 0 });
      section.hidden = isOut;
      section.querySelector(".total").textContent = describe(total);
      for (const svg of section.querySelectorAll("svg"))
        svg.querySelectorAll(".hit").forEach((hit, at) => hit.classList.toggle("out", at < from || at > to));
      const texts = [grouped(total.clicks), grouped(total.displays), percent(rateOf(total)), interval(total)];
      texts.forEach((text, cell) => (row.cells[cell + 1].textContent = text));
      row.cells[3].dataset.value = rateOf(total);
      if (isOut) row.dataset.out = "";
      else delete row.dataset.out;
      if (!isOut) all = add(all, total);
    });
    rates.previousElementSibling.querySelector("input").dispatchEvent(new Event("input"));
    const span = from === to ? periods[from] : `${periods[from]} to ${periods[to]}`;
    result.textContent = `${names[category.value - 1] ?? "All categories"}, ${span}: ${describe(all)}`;
  };
  category.addEventListener("change", show);
  first.addEventListener("change", () => {
    if (Number(first.value) > Number(last.value)) last.value = first.value;
    show();
  });
  last.addEventListener("change", () => {
    if (Number(last.value) < Number(first.value)) first.value = last.value;
    show();
  });
  form.addEventListener("reset", () => setTimeout(show));
  if (form.childElementCount > 2) document.querySelector("#panels").before(form);
}
document.documentElement.setAttribute("data-ready", "");
