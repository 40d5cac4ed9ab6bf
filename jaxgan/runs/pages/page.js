"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const palette = ["#2f8fd0", "#e6872b", "#2ba36b", "#d1495b", "#b07cc6", "#8c8c3e", "#4bb5c1", "#94705d"];
const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Mean of each value and those before it, over a fiftieth of the curve. */
function smoothed(values) {
  const width = Math.max(1, Math.floor(values.length / 50));
  let sum = 0;
  return values.map((value, i) => {
    sum += value - (i < width ? 0 : values[i - width]);
    return sum / Math.min(i + 1, width);
  });
}

function decorate(plot) {
  const [text, line] = [style("--faint"), style("--line")];
  for (const axis of [...plot.xaxes, ...plot.yaxes]) {
    Object.assign(axis, { axis_line_color: line, major_tick_line_color: line });
    Object.assign(axis, { minor_tick_line_color: null, major_label_text_color: text });
  }
  for (const grid of [...plot.xgrids, ...plot.ygrids]) grid.grid_line_color = line;
  Object.assign(plot.legend, { background_fill_alpha: 0, border_line_alpha: 0, padding: 0 });
  Object.assign(plot.legend, { orientation: "horizontal", click_policy: "hide" });
  Object.assign(plot.legend, { label_text_color: text });
}

function plot(panel, isLog) {
  const positive = panel.curves.some(curve => curve.values.some(value => value > 0));
  const figure = Bokeh.Plotting.figure({
    height: 280, sizing_mode: "stretch_width", y_axis_type: isLog && positive ? "log" : "linear",
    background_fill_color: null, border_fill_color: null, outline_line_color: null,
    tools: "pan,box_zoom,wheel_zoom,reset,save", toolbar_location: "below",
  });
  const legend = new Bokeh.Legend();
  panel.curves.forEach((curve, i) => {
    const color = palette[i % palette.length];
    const source = new Bokeh.ColumnDataSource({ data: {
      step: curve.steps, value: curve.values, smooth: smoothed(curve.values),
    } });
    const [x, y] = [{ field: "step" }, { field: "smooth" }];
    const options = { source, line_color: color };
    figure.line(x, { field: "value" }, { ...options, line_alpha: 0.3 });
    const shown = figure.line(x, y, { ...options, line_width: 2, legend_label: curve.name });
    if (curve.values.length < 30) figure.scatter(x, y, { source, color, size: 6 });
    const tooltips = [["step", "@step"], [curve.name, "@value"]];
    figure.add_tools(new Bokeh.HoverTool({ mode: "vline", renderers: [shown], tooltips }));
  });
  if (panel.floor !== null) {
    const line_color = style("--faint");
    figure.add_layout(new Bokeh.Span({
      location: panel.floor, dimension: "width", line_color, line_dash: "dashed",
    }));
  }
  decorate(figure);
  figure.toolbar.active_drag = null; // a finger on a curve scrolls the page
  return figure;
}

let views = [];
async function draw() {
  for (const view of views) view.remove();
  const isLog = document.getElementById("log")?.checked;
  views = [];
  for (const [i, panel] of data.panels.entries()) {
    const element = document.getElementById(`panel-${i}`);
    element.replaceChildren();
    views.push(await Bokeh.Plotting.show(plot(panel, isLog), element));
  }
}

function show(index) {
  document.getElementById("step").textContent = `step ${data.sheets.steps[index].toLocaleString("en")}`;
  document.querySelectorAll("img[data-run]").forEach(image => {
    image.src = data.sheets.images[image.dataset.run][index];
  });
}

if (data.sheets.steps.length) {
  const slider = document.getElementById("slider");
  slider.addEventListener("input", () => show(slider.valueAsNumber));
  show(slider.valueAsNumber);
  document.querySelectorAll("img[data-index]").forEach(image => {
    image.src = data.sheets.images[0][image.dataset.index];
  });
}
document.getElementById("log")?.addEventListener("change", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();
