"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const element = id => document.getElementById(id);
const directions = [...document.querySelectorAll(".direction")];
const canvas = element("image"), context = canvas.getContext("2d");

/** Content that was compressed for the page. */
async function unpacked(id) {
  const packed = Uint8Array.from(atob(element(id).textContent), letter => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** A standard normal number, by the transform of Box and Muller. */
function normal() {
  const radius = Math.sqrt(-2 * Math.log(1 - Math.random()));
  return radius * Math.cos(2 * Math.PI * Math.random());
}

/** The first of a coordinate's draws within the bound; they go on until there is one. */
function within(draws, bound) {
  let i = 0;
  while (Math.abs(draws[i]) > bound) if (++i === draws.length) draws.push(normal());
  return draws[i];
}

// Draws of each coordinate, so that a sample stays itself while the truncation changes.
let sample = data.latents[0].map(value => [value]);
function newSample() {
  const row = data.latents[Math.floor(Math.random() * data.latents.length)];
  sample = row.map(value => [data.normal ? normal() : value]);
}

/** The sample, moved along the directions. */
function latent() {
  const truncation = element("truncation");
  const isBound = truncation && truncation.value !== truncation.max;
  const bound = isBound ? truncation.valueAsNumber : Infinity;
  return Float32Array.from(sample, (draws, i) => directions.reduce(
    (sum, slider, k) => sum + slider.valueAsNumber * data.directions[k][i], within(draws, bound)));
}

function inputs(z) {
  const found = { latents: new ort.Tensor("float32", z, [1, z.length]) };
  const label = Int32Array.of(element("label")?.selectedIndex);
  if (data.classes) found.label = new ort.Tensor("int32", label, [1]);
  return found;
}

/** Draws an image in [-1, 1] of one or three channels. */
function draw(values) {
  const [height, width, channels] = data.shape;
  const pixels = context.createImageData(width, height); // whose bytes are rounded and clipped
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 4; c++) {
      const value = values[channels * i + Math.min(c, channels - 1)];
      pixels.data[4 * i + c] = c === 3 ? 255 : (value + 1) * 127.5;
    }
  }
  context.putImageData(pixels, 0, 0);
}

function showValue(slider) {
  const isFree = slider.id === "truncation" && slider.value === slider.max;
  slider.parentElement.querySelector("output").textContent = isFree ? "none" : slider.value;
}

let session, shown, isRunning = false, isOutdated = false;
/** Shows the image of what is chosen; of choices made meanwhile, that of the last. */
async function render() {
  document.querySelectorAll("input").forEach(showValue);
  isOutdated = true;
  if (isRunning || !session) return;
  isRunning = true;
  while (isOutdated) {
    isOutdated = false;
    const z = latent();
    const { images } = await session.run(inputs(z));
    draw(images.data);
    shown = { latent: z, image: images.data };
  }
  isRunning = false;
  document.body.dataset.rendered = Number(document.body.dataset.rendered ?? 0) + 1;
}

async function start() {
  const module = new Blob([await unpacked("module")], { type: "text/javascript" });
  ort.env.wasm.numThreads = 1; // more need headers of a server
  ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(module) };
  ort.env.wasm.wasmBinary = await unpacked("wasm");
  session = await ort.InferenceSession.create(await unpacked("model"));
  element("status").textContent = "";
  await render();
}

const fail = error => { element("status").textContent = `This browser cannot run it: ${error.message}`; };
const update = () => render().catch(fail);
element("sample").addEventListener("click", () => { newSample(); update(); });
document.querySelector("form").addEventListener("input", update);
document.querySelector("form").addEventListener("reset", () => setTimeout(update)); // after it
start().catch(fail);
