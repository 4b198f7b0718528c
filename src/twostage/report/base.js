// Click (or Enter) on a heading sorts by it; data-value is what is compared.
for (const head of document.querySelectorAll("th")) {
  head.tabIndex = 0;
  const sort = () => {
    const body = head.closest("table").tBodies[0], column = head.cellIndex;
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = row => { const text = row.cells[column].dataset.value, number = parseFloat(text);
      return isNaN(number) ? text : number; };
    [...body.rows].sort((a, b) => { const x = value(a), y = value(b);
      return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1); }).forEach(row => body.append(row));
  };
  head.addEventListener("click", sort);
  head.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
}
// Inside another page (a report that embeds this one) a file beside it cannot be reached: leave the words only.
if (!["file:", "http:", "https:"].includes(location.protocol))
  for (const link of document.querySelectorAll("a.beside")) link.replaceWith(...link.childNodes);
