// Pictures and files: from the report around this page where there is one, else from beside this page.
const report = (() => { try { return window.parent !== window && window.parent.results; } catch { return null; } })();
const found = name => report && report[document.body.dataset.folder + "/" + name];
for (const image of document.querySelectorAll("img[data-file]")) {
  const item = found(image.dataset.file);
  image.src = item ? item.data_uri : image.dataset.file;
}
for (const link of document.querySelectorAll("a[data-file]")) {
  const item = found(link.dataset.file);
  if (!report) { link.href = link.dataset.file; continue; }
  if (!item) { link.replaceWith(...link.childNodes); continue; }
  link.href = item.data_uri;
  link.download = link.dataset.file;
  if (item.mime_type === "text/html") {
    link.removeAttribute("download");
    link.addEventListener("click", event => {
      event.preventDefault();
      window.parent.eval("app").setView({ content: "html", contentPath: item.data_uri });
    });
  }
}
if (report) {
  document.documentElement.style.overflowY = "hidden"; // the report around scrolls
  const fit = () => { window.frameElement.style.height = document.documentElement.scrollHeight + 8 + "px"; };
  new ResizeObserver(fit).observe(document.body);
  for (const link of document.querySelectorAll('a[href^="#"]')) link.addEventListener("click", event => {
    event.preventDefault();
    const target = document.getElementById(decodeURIComponent(link.hash.slice(1)));
    if (!target) return;
    for (let box = target.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    target.scrollIntoView();
  });
} else for (const link of document.querySelectorAll('a[href^="#made-"]')) link.addEventListener("click", () => {
  document.getElementById("made").open = true;
});
