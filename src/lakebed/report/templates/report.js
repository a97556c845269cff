const told = JSON.parse(document.getElementById("charts").textContent);
const views = [];
const whole = [0, told.seconds];
let shown = [...whole];

function theme(dark) {
  const ink = dark ? "#c3ccd8" : "#3c4653", line = dark ? "#2d3642" : "#e1e6ec";
  return {
    background: "transparent",
    font: "sans-serif",
    view: { stroke: line },
    axis: { labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 12 },
    legend: { labelColor: ink, titleColor: ink, labelFontSize: 12, symbolType: "square" },
  };
}

async function draw() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  while (views.length) views.pop().finalize();
  for (const [id, spec] of Object.entries(told.specs)) {
    const place = document.getElementById(id);
    const compiled = vegaLite.compile({ ...spec, config: theme(dark) }, { logger: vega.logger(vega.Error) }).spec;
    // Expressions are interpreted: the page's policy lets no text become code.
    const view = new vega.View(vega.parse(compiled, null, { ast: true }), {
      expr: expression, renderer: "svg", container: place, hover: true, logLevel: vega.Error,
    });
    await view.runAsync();
    views.push(view);
  }
  document.documentElement.dataset.drawn = "yes";
}

async function show(from, to) {
  const least = Math.min(0.05, whole[1]);
  from = Math.max(whole[0], Math.min(from, whole[1] - least));
  to = Math.min(whole[1], Math.max(to, from + least));
  shown = [from, to];
  document.getElementById("shown").textContent = `seconds ${from.toFixed(2)} to ${to.toFixed(2)}`;
  for (const view of views) await view.signal("from_second", from).signal("to_second", to).runAsync();
}

const moves = {
  "+": () => scale(0.5), "-": () => scale(2), "0": () => show(...whole),
  ArrowLeft: () => slide(-0.25), ArrowRight: () => slide(0.25),
};
function scale(factor) {
  const middle = (shown[0] + shown[1]) / 2, half = ((shown[1] - shown[0]) * factor) / 2;
  return show(middle - half, middle + half);
}
function slide(part) {
  const width = shown[1] - shown[0];
  const from = Math.max(whole[0], Math.min(shown[0] + part * width, whole[1] - width));
  return show(from, from + width);
}
for (const button of document.querySelectorAll("button[data-move]"))
  button.addEventListener("click", () => moves[button.dataset.move]());
document.getElementById("timeline-charts").addEventListener("keydown", (event) => {
  if (moves[event.key] && !event.ctrlKey && !event.metaKey) { event.preventDefault(); moves[event.key](); }
});

const search = document.getElementById("search"), bad = document.getElementById("only-bad");
function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const test of document.querySelectorAll("details.test")) {
    const name = test.dataset.node.toLowerCase();
    const fits = words.every((word) => name.includes(word)) && (!bad.checked || "bad" in test.dataset);
    test.hidden = !fits;
    count += fits ? 1 : 0;
  }
  document.getElementById("count").textContent = `${count} shown`;
}
search.addEventListener("input", filter);
bad.addEventListener("change", filter);

function open() {
  const test = location.hash.startsWith("#test-") && document.getElementById(location.hash.slice(1));
  if (test) { test.hidden = false; test.open = true; test.scrollIntoView({ block: "start" }); test.querySelector("summary").focus(); }
}
addEventListener("hashchange", open);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw().then(() => show(...shown)));
draw().then(open);
