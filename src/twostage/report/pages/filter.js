// Statements by paper, verdict and stage: without this script all are shown, and the form is not.
for (const form of document.querySelectorAll("form.filters")) {
  form.hidden = false;
  const choices = [...form.querySelectorAll("select")];
  const show = () => {
    const asked = choices.filter(choice => choice.value);
    const fits = row => asked.every(choice => row.dataset[choice.name] === choice.value);
    for (const row of document.querySelectorAll("tr[data-verdict]")) row.hidden = !fits(row);
    const rows = [...document.querySelectorAll(".group tr[data-verdict]")];
    for (const group of document.querySelectorAll(".group"))
      group.hidden = !group.querySelector("tr[data-verdict]:not([hidden])");
    form.querySelector("output").textContent = `${rows.filter(row => !row.hidden).length} of ${rows.length} statements`;
  };
  form.addEventListener("change", show);
  form.addEventListener("reset", () => setTimeout(show));
  show();
}
