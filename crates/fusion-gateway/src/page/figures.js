// Pictures of numbers, as SVG with words for those who do not see them.

const SVG = "http://www.w3.org/2000/svg";

// An element with attributes and children. Text is set as text: names come from strangers.
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function drawing(width, height, words, ...shapes) {
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words });
  svg.append(...shapes);
  return svg;
}

export const percent = (rate) => `${(100 * rate).toFixed(1).replace(/\.0$/, "")}%`;

// A bar that is filled from 0 to `part`.
export function bar(part, words) {
  const full = Math.max(0, Math.min(1, part));
  return drawing(400, 14, words,
    shape("rect", { class: "track", x: 0, y: 1, width: 400, height: 12, rx: 6 }),
    shape("rect", { class: "fill", x: 0, y: 1, width: 400 * full, height: 12, rx: 6 }));
}

// The interval of an accuracy on a line from 0 to 100%.
export function interval({ low, high }, measured, claimed) {
  const at = (rate) => 20 + 360 * rate;
  let words = `Between ${percent(low)} and ${percent(high)}; measured ${percent(measured)}`;
  const shapes = [
    shape("line", { class: "axis", x1: at(0), x2: at(1), y1: 24, y2: 24 }),
    ...[0, 0.25, 0.5, 0.75, 1].flatMap((rate) => [
      shape("line", { class: "axis", x1: at(rate), x2: at(rate), y1: 20, y2: 28 }),
      shape("text", { x: at(rate), y: 46, "text-anchor": "middle" }, percent(rate)),
    ]),
    shape("rect", { class: "fill", x: at(low), y: 17, width: Math.max(2, at(high) - at(low)), height: 14, rx: 3 }),
    shape("circle", { class: "point", cx: at(measured), cy: 24, r: 4 }),
  ];
  if (claimed !== null && claimed !== undefined) {
    words += `; claimed ${percent(claimed)}`;
    shapes.push(shape("path", { class: "claim", d: `M${at(claimed)} 15l-5 -9h10z` }));
  }
  return drawing(400, 52, words, ...shapes);
}

// One bar for each row of a name, a number and its words.
export function bars(rows) {
  const most = Math.max(...rows.map(([, number]) => number), 1e-9);
  const list = element("table", { class: "bars" });
  for (const [name, number, words] of rows) {
    list.append(element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, bar(number / most, words)), element("td", { class: "number" }, words)));
  }
  return list;
}

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 1000 && unit + 1 < units.length) {
    count /= 1000;
    unit += 1;
  }
  return `${count.toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`;
}

export function duration(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
  return `${Math.round(seconds / 86400)} days`;
}
