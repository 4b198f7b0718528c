// The transition law in the browser, and an interactive page for it. The first part is only arithmetic, with the
// formulas of twostage.oracle.law: t = 0 is the prior, t = 1 the data, lambda the eigenvalues of the data's covariance.
"use strict";

// Mean I(t) and variance V(t), in nats, of the information that x_t carries about x_1.
function channelInformation(eigenvalues, t) {
  if (t >= 1) return [Infinity, eigenvalues.length];
  let mean = 0, variance = 0;
  const square = (t / (1 - t)) ** 2;
  for (const eigenvalue of eigenvalues) {
    const s = eigenvalue * square;
    mean += Math.log1p(s) / 2;
    variance += s / (1 + s);
  }
  return [mean, variance];
}

// The time at which I(t) = log n.
function transitionTime(eigenvalues, n) {
  if (n <= 1) return 0;
  if (!eigenvalues.some(value => value > 0)) return 1;
  const excess = u => channelInformation(eigenvalues, 1 / (1 + Math.exp(-u)))[0] - Math.log(n);
  let low = 0, high = 0;
  while (excess(low) > 0) low -= 2;
  while (excess(high) < 0) high += 2;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (excess(middle) > 0) high = middle; else low = middle;
  }
  return 1 / (1 + Math.exp(-(low + high) / 2));
}

const sigmoid = z => 1 / (1 + Math.exp(-z));

// Expected posterior weight of the true sample: E sigmoid(I - log(n - 1) + sqrt(V) Z), Z standard normal, by the
// trapezoidal rule, whose error falls exponentially once its steps resolve the sigmoid.
function expectedWeight(eigenvalues, n, t) {
  if (n <= 1 || t >= 1) return 1;
  const [mean, variance] = channelInformation(eigenvalues, t);
  const margin = mean - Math.log(n - 1), spread = Math.sqrt(variance), step = Math.min(0.25, 1 / (1 + spread));
  let sum = 0, total = 0;
  for (let z = -8; z <= 8; z += step) {
    const density = Math.exp(-z * z / 2);
    total += density;
    sum += density * sigmoid(margin + spread * z);
  }
  return sum / total;
}

// Weights below which the given share of pairs (x_0, x_1) lies: the same margin, at a quantile z of Z.
function weightAt(eigenvalues, n, t, z) {
  if (n <= 1 || t >= 1) return 1;
  const [mean, variance] = channelInformation(eigenvalues, t);
  return sigmoid(mean - Math.log(n - 1) + Math.sqrt(variance) * z);
}

// First time at which the expected weight reaches a level.
function timeOfWeight(eigenvalues, n, level) {
  let low = 0, high = 1;
  for (let i = 0; i < 40; i++) {
    const middle = (low + high) / 2;
    if (expectedWeight(eigenvalues, n, middle) < level) low = middle; else high = middle;
  }
  return (low + high) / 2;
}

// Eigenvalues k^-decay, k = 1 ... dim, scaled to mean 1 as in latents that are normalised.
function powerLaw(dim, decay) {
  const values = Array.from({ length: dim }, (_, k) => (k + 1) ** -decay);
  const mean = values.reduce((sum, value) => sum + value, 0) / dim;
  return values.map(value => value / mean);
}

// Eigenvalues from text: numbers apart by commas, semicolons or white space, or the column "eigenvalue" of a CSV.
function readSpectrum(text) {
  let lines = text.split(/\r?\n/).map(line => line.trim()).filter(line => line && !line.startsWith("#"));
  const cells = line => line.split(/[,;\t ]+/).filter(cell => cell !== "").map(cell => cell.replace(/^"|"$/g, ""));
  if (!lines.length) throw new Error("the file is empty; expected eigenvalues, one per line");
  const head = cells(lines[0]);
  let column = null;
  if (head.some(cell => isNaN(Number(cell)))) {
    column = head.length === 1 ? 0 : head.findIndex(cell => /^eigenvalues?$|^lambda$/i.test(cell));
    if (column < 0)
      throw new Error(`the columns are ${head.join(", ")}; expected one column, or one named "eigenvalue"`);
    lines = lines.slice(1);
  }
  const words = column === null ? lines.flatMap(cells) : lines.map(line => cells(line)[column] ?? "");
  const values = words.map(Number);
  const wrong = values.findIndex((value, i) => words[i] === "" || !isFinite(value) || value < 0);
  if (wrong >= 0) throw new Error(`value ${wrong + 1} is "${words[wrong]}"; expected a finite number, 0 or above`);
  if (!values.some(value => value > 0)) throw new Error("no eigenvalue is above 0; expected a covariance spectrum");
  return values.sort((a, b) => b - a);
}

// A generator of standard normal numbers that gives the same ones again for the same seed (mulberry32, Box-Muller).
function normals(seed) {
  let state = seed >>> 0, spare = null;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
  return () => {
    if (spare !== null) { const value = spare; spare = null; return value; }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform())), angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}

// One pair (x_0, x_1) among n Gaussian samples: the two numbers per sample that give every log-weight at every t,
// r_i = s a_i - s^2 q_i / 2 with s = t / (1 - t), a_i = <x_0, x_i - x_1>, q_i = |x_i - x_1|^2; the true one is first.
function drawPair(eigenvalues, n, seed) {
  const normal = normals(seed), sd = eigenvalues.map(Math.sqrt), dim = sd.length;
  const x1 = sd.map(scale => scale * normal()), x0 = sd.map(() => normal());
  const a = new Float64Array(n), q = new Float64Array(n);
  for (let i = 1; i < n; i++)
    for (let k = 0; k < dim; k++) {
      const difference = sd[k] * normal() - x1[k];
      a[i] += x0[k] * difference;
      q[i] += difference * difference;
    }
  return { a, q };
}

function posteriorOf({ a, q }, t) {
  const s = t / (1 - t), log = Array.from(a, (value, i) => s * value - s * s * q[i] / 2);
  const highest = Math.max(...log), weights = log.map(value => Math.exp(value - highest));
  const total = weights.reduce((sum, value) => sum + value, 0);
  return weights.map(value => value / total);
}
