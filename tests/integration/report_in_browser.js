// Measures a page that is shown in the first frame of this one, and writes what it finds into #found.
"use strict";

const TOUCHING = 1.5;  // px by which neighbours may share an edge

function luminance(colour) {
  const channel = (value) => {
    const share = value / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(colour[0]) + 0.7152 * channel(colour[1]) + 0.0722 * channel(colour[2]);
}

function parse(text) {
  const numbers = (text.match(/[\d.]+/g) || []).map(Number);
  return numbers.length < 3 ? [0, 0, 0, 0] : [numbers[0], numbers[1], numbers[2], numbers[3] ?? 1];
}

function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

function background(element, view) {
  for (let node = element; node; node = node.parentElement) {
    const colour = parse(view.getComputedStyle(node).backgroundColor);
    if (colour[3] > 0.99) return colour;
  }
  return [255, 255, 255, 1];
}

function ownText(element) {
  return [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join("").trim();
}

function texts(page, view) {
  return [...page.querySelectorAll("body *")]
    .filter((element) => ownText(element) && element.getBoundingClientRect().width > 0)
    .map((element) => {
      const style = view.getComputedStyle(element);
      const inSvg = element instanceof view.SVGElement;
      const matrix = inSvg ? element.getScreenCTM() : { a: 1, b: 0 };
      return {
        text: ownText(element).slice(0, 40),
        contrast: contrast(parse(inSvg ? style.fill : style.color), background(element, view)),
        size: parseFloat(style.fontSize) * Math.hypot(matrix.a, matrix.b),
        bold: Number(style.fontWeight) >= 600,
      };
    });
}

function describe(element) {
  return `${element.tagName}.${element.className.baseVal ?? element.className}: ${element.textContent.trim().slice(0, 30)}`;
}

function scrolls(element) {
  return element.closest(".scroll") !== null;
}

function overlap(one, other) {
  const width = Math.min(one.right, other.right) - Math.max(one.left, other.left);
  const height = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
  return width > TOUCHING && height > TOUCHING;
}

function overlapsAmong(elements, boxOf) {
  const boxes = elements.map(boxOf);
  const found = [];
  for (let i = 0; i < boxes.length; i++) {
    for (let j = i + 1; j < boxes.length; j++) {
      const nested = elements[i].contains(elements[j]) || elements[j].contains(elements[i]);
      if (!nested && overlap(boxes[i], boxes[j])) found.push(`${describe(elements[i])} | ${describe(elements[j])}`);
    }
  }
  return found;
}

function inkOf(element) {
  const range = element.ownerDocument.createRange();
  range.selectNodeContents(element);
  return range.getBoundingClientRect();
}

function overlaps(page) {
  const box = (element) => element.getBoundingClientRect();
  const blocks = [...page.querySelectorAll("h1, h2, h3, h4, p, figure, table, img, dl, code, li, .tile, .undrawn")]
    .filter((element) => !scrolls(element));
  const inCharts = [...page.querySelectorAll("figure svg")]
    .flatMap((svg) => overlapsAmong([...svg.querySelectorAll("text")], box));
  const inTables = [...page.querySelectorAll("table")]
    .flatMap((table) => overlapsAmong([...table.querySelectorAll("thead th")], inkOf));
  return [...overlapsAmong(blocks, box), ...inCharts, ...inTables];
}

function look(frame) {
  const page = frame.contentDocument;
  const view = frame.contentWindow;
  const images = [...page.images];
  const width = page.documentElement.clientWidth;
  return {
    width,
    height: Math.ceil(page.body.getBoundingClientRect().height),
    dark: view.matchMedia("(prefers-color-scheme: dark)").matches,
    page_luminance: luminance(parse(view.getComputedStyle(page.body).backgroundColor)),
    scroll_width: page.documentElement.scrollWidth,
    outside: [...page.querySelectorAll("body *")]
      .filter((element) => !scrolls(element) && !element.closest("svg")
        && element.getBoundingClientRect().right > width + TOUCHING)
      .map(describe),
    images: images.length,
    charts: page.querySelectorAll("figure svg").length,
    broken: images.filter((image) => !(image.complete && image.naturalWidth > 0)).map((image) => image.alt),
    requests: view.performance.getEntriesByType("resource")
      .map((entry) => entry.name).filter((name) => !name.startsWith("data:")),
    texts: texts(page, view),
    overlaps: overlaps(page),
  };
}

const frame = document.querySelector("iframe");
frame.addEventListener("load", () => {
  document.getElementById("found").textContent = JSON.stringify(look(frame));
});
