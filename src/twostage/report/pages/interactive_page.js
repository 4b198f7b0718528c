// The page: sliders, a file to drop, two pictures. Everything is computed here, nothing is sent or fetched.
"use strict";
const byId = id => document.getElementById(id);
const DRAWABLE = 1.2e7; // numbers a drawn pair may take; beyond it the bars are left out
const PRESETS = JSON.parse(byId("presets").textContent);
let own = null, pair = null, pairKey = "";

const setting = () => {
  const kind = byId("kind").value, n = Math.round(10 ** byId("n").value), dim = Math.round(2 ** byId("dim").value);
  const preset = PRESETS.find(entry => entry.name === kind);
  if (kind === "own") return { kind, n, eigenvalues: own || [1] };
  if (preset) return { kind, n, eigenvalues: preset.eigenvalues };
  return { kind, n, eigenvalues: powerLaw(dim, kind === "power" ? Number(byId("decay").value) : 0) };
};

const svg = (width, height, content, name) =>
  `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${name}">${content}</svg>`;
const line = (points, colour, extra = "") =>
  `<polyline points="${points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ")}" fill="none"
    stroke="${colour}" ${extra}/>`;
const text = (x, y, words, extra = "") => `<text x="${x}" y="${y}" ${extra}>${words}</text>`;

function drawCurve({ n, eigenvalues }, split, t, end) {
  const W = 620, H = 330, left = 52, right = 28, top = 14, bottom = 46;
  const x = time => left + (W - left - right) * time / end, y = value => top + (H - top - bottom) * (1 - value);
  const times = Array.from({ length: 161 }, (_, i) => end * i / 160);
  const mean = times.map(time => [x(time), y(expectedWeight(eigenvalues, n, time))]);
  const edge = z => times.map(time => [x(time), y(weightAt(eigenvalues, n, time, z))]);
  let out = "";
  for (const value of [0, 0.25, 0.5, 0.75, 1])
    out += line([[left, y(value)], [W - right, y(value)]], "#e3e3e3")
      + text(left - 8, y(value) + 5, value, 'text-anchor="end"');
  const places = end <= 0.25 ? 3 : 2;
  for (let i = 0; i <= 5; i++)
    out += text(x(end * i / 5), H - bottom + 20, (end * i / 5).toFixed(places), 'text-anchor="middle"');
  out += `<polygon points="${[...edge(-1.2816), ...edge(1.2816).reverse()].map(p => p.join(",")).join(" ")}"
    fill="#0072b2" opacity="0.18"/>`;
  out += line(mean, "#0072b2", 'stroke-width="3"');
  if (split <= end) {
    out += line([[x(split), top], [x(split), H - bottom]], "#595959", 'stroke-dasharray="3 4" stroke-width="2"');
    const flip = split > 0.6 * end;
    out += text(x(split) + (flip ? -7 : 7), top + 14, `split ${split.toFixed(3)}`, flip ? 'text-anchor="end"' : "");
  }
  if (t <= end) {
    const here = expectedWeight(eigenvalues, n, t);
    out += line([[x(t), top], [x(t), H - bottom]], "#cc3311", 'stroke-width="1.5"');
    out += `<circle cx="${x(t)}" cy="${y(here)}" r="6" fill="#cc3311"/>`;
  }
  out += text((W + left) / 2, H - 6, "t (prior → data)", 'text-anchor="middle"');
  byId("curve").innerHTML = svg(W, H, out, "Expected posterior weight of the true sample by t");
}

function drawBars({ n, eigenvalues }, t) {
  const size = n * eigenvalues.length;
  if (size > DRAWABLE) {
    byId("bars").innerHTML = `<p class="quiet">N × D is ${size.toExponential(1)}: too many numbers to draw a pair here;
      the curve above stands.</p>`;
    return null;
  }
  const key = `${n}/${eigenvalues.length}/${eigenvalues[0]}/${byId("seed").value}`;
  if (key !== pairKey) { pair = drawPair(eigenvalues, n, Number(byId("seed").value)); pairKey = key; }
  const weights = posteriorOf(pair, Math.min(t, 0.9999));
  const shown = weights.map((weight, i) => [weight, i]).sort((a, b) => b[0] - a[0]).slice(0, 30);
  const W = 620, H = 210, left = 52, bottom = 40, top = 10, width = (W - left - 10) / 30;
  const y = value => top + (H - top - bottom) * (1 - value);
  let out = "";
  for (const value of [0, 0.5, 1])
    out += line([[left, y(value)], [W - 10, y(value)]], "#e3e3e3")
      + text(left - 8, y(value) + 5, value, 'text-anchor="end"');
  shown.forEach(([weight, i], k) => {
    out += `<rect x="${left + k * width + 1}" y="${y(weight)}" width="${width - 2}" height="${H - bottom - y(weight)}"
      fill="${i === 0 ? "#cc3311" : "#0072b2"}"/>`;
  });
  out += text((W + left) / 2, H - 10, `the ${shown.length} largest of ${n.toLocaleString("en")} weights`,
    'text-anchor="middle"');
  byId("bars").innerHTML = svg(W, H, out, "Posterior weights of one drawn pair");
  const entropy = weights.reduce((sum, w) => sum - (w > 0 ? w * Math.log(w) : 0), 0);
  return { self: weights[0], effective: Math.exp(entropy) };
}

function update() {
  const chosen = setting(), { kind, n, eigenvalues } = chosen, dim = eigenvalues.length;
  byId("dim-row").hidden = !["unit", "power"].includes(kind);
  byId("decay-row").hidden = kind !== "power";
  byId("n-value").textContent = n.toLocaleString("en");
  byId("dim-value").textContent = dim.toLocaleString("en");
  byId("decay-value").textContent = Number(byId("decay").value).toFixed(2);
  const split = transitionTime(eigenvalues, n);
  const saturated = timeOfWeight(eigenvalues, n, 0.95);
  const end = Math.min(1, Math.ceil(20 * Math.min(1, 1.35 * saturated)) / 20);
  const t = Number(byId("time").value) * end;
  byId("time-value").textContent = t.toFixed(3);
  drawCurve(chosen, split, t, end);
  const drawn = drawBars(chosen, t);
  const [information] = channelInformation(eigenvalues, t);
  const rows = [
    ["predicted split (information = log N)", split.toFixed(3)],
    ["expected weight 5% to 95%", `t = ${timeOfWeight(eigenvalues, n, 0.05).toFixed(3)} to ${saturated.toFixed(3)}`],
    ["log N", `${Math.log(n).toFixed(2)} nats`],
    [`information at t = ${t.toFixed(3)}`, isFinite(information) ? `${information.toFixed(2)} nats` : "without end"],
    ["expected weight of the true sample there", expectedWeight(eigenvalues, n, t).toFixed(3)],
    ["in the pair drawn: its weight", drawn ? drawn.self.toFixed(3) : "not drawn"],
    ["in the pair drawn: effective number of samples", drawn ? drawn.effective.toFixed(1) : "not drawn"],
    ["dimension D", dim.toLocaleString("en")],
  ];
  byId("numbers").innerHTML = rows.map(([name, value]) => `<tr><td>${name}</td><td class="number">${value}</td></tr>`)
    .join("");
}

async function take(file) {
  try {
    own = readSpectrum(await file.text());
    byId("kind").value = "own";
    pairKey = "";
    byId("file-note").textContent = `${file.name}: ${own.length} eigenvalues, largest ${own[0].toPrecision(3)}`;
    byId("file-note").className = "";
  } catch (error) {
    byId("file-note").textContent = `${file.name}: ${error.message}`;
    byId("file-note").className = "error";
  }
  update();
}

for (const preset of PRESETS) {
  const option = new Option(preset.title, preset.name);
  byId("kind").insertBefore(option, byId("kind").lastElementChild);
}
byId("kind").addEventListener("change", event => {
  const preset = PRESETS.find(entry => entry.name === event.target.value);
  if (preset) byId("n").value = Math.log10(preset.n);
  update();
  if (event.target.value === "own" && !own) byId("file").click();
});
byId("again").addEventListener("click", () => { byId("seed").value = Number(byId("seed").value) + 1; update(); });
byId("file").addEventListener("change", event => { if (event.target.files[0]) take(event.target.files[0]); });
const area = byId("drop");
for (const name of ["dragover", "drop"]) area.addEventListener(name, event => event.preventDefault());
area.addEventListener("drop", event => { if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]); });
for (const control of document.querySelectorAll("input[type=range], select")) control.addEventListener("input", update);
update();
