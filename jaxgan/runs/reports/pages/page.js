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

function decorate(figure) {
  const [text, line] = [style("--faint"), style("--line")];
  for (const axis of [...figure.xaxes, ...figure.yaxes]) {
    Object.assign(axis, { axis_line_color: line, major_tick_line_color: line });
    Object.assign(axis, { minor_tick_line_color: null, major_label_text_color: text });
  }
  for (const grid of [...figure.xgrids, ...figure.ygrids]) grid.grid_line_color = line;
  Object.assign(figure.toolbar, { logo: null, active_drag: null }); // a finger scrolls the page
}

function legend(items) {
  return new Bokeh.Legend({
    items, orientation: "horizontal", click_policy: "hide", label_text_color: style("--text"),
    background_fill_alpha: 0, border_line_alpha: 0, padding: 0, margin: 4, ncols: "auto",
  });
}

function plot(panel, isLog) {
  const positive = panel.curves.every(curve => curve.values.every(value => value > 0));
  const figure = Bokeh.Plotting.figure({
    height: 280, sizing_mode: "stretch_width", y_axis_type: isLog && positive ? "log" : "linear",
    background_fill_color: null, border_fill_color: null, outline_line_color: null,
    tools: "pan,box_zoom,wheel_zoom,reset", toolbar_location: "right",
  });
  const items = panel.curves.map((curve, i) => {
    const color = palette[i % palette.length];
    const source = new Bokeh.ColumnDataSource({ data: {
      step: curve.steps, value: curve.values, smooth: smoothed(curve.values),
    } });
    const [x, y] = [{ field: "step" }, { field: "smooth" }];
    const options = { source, line_color: color };
    const logged = figure.line(x, { field: "value" }, { ...options, line_alpha: 0.3 });
    const shown = [logged, figure.line(x, y, { ...options, line_width: 2 })];
    if (curve.values.length < 30) shown.push(figure.scatter(x, y, { source, color, size: 6 }));
    const tooltips = [["step", "@step"], [curve.name, "@value"]];
    const attachment = ["left", "right", "above", "below"][i % 4]; // beside each other
    const hover = { mode: "vline", renderers: [shown[1]], tooltips, attachment, visible: false };
    figure.add_tools(new Bokeh.HoverTool(hover));
    return new Bokeh.LegendItem({ label: { value: curve.name }, renderers: shown });
  });
  if (panel.floor !== null) {
    const steps = panel.curves.flatMap(curve => curve.steps);
    const ends = [Math.min(...steps), Math.max(...steps)];
    const options = { line_color: style("--faint"), line_dash: "dashed" };
    const floor = figure.line(ends, [panel.floor, panel.floor], options);
    items.push(new Bokeh.LegendItem({ label: { value: "a perfect generator" }, renderers: [floor] }));
  }
  if (items.length > 1) figure.add_layout(legend(items), "above");
  decorate(figure);
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
  document.body.dataset.drawn = isLog ? "log" : "linear";
}

function show(index) {
  document.getElementById("step").textContent = `step ${data.grids.steps[index].toLocaleString("en")}`;
  document.querySelectorAll("img[data-run]").forEach(image => {
    image.src = data.grids.images[image.dataset.run][index];
  });
}

if (data.grids.steps.length) {
  const slider = document.getElementById("slider");
  slider.addEventListener("input", () => show(slider.valueAsNumber));
  show(slider.valueAsNumber);
  const best = document.getElementById("best");
  if (best) best.src = data.grids.images[0][best.dataset.index];
}
document.getElementById("log")?.addEventListener("change", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();
