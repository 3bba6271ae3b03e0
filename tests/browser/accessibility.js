// SPDX-License-Identifier: Apache-2.0
// Which texts of the page that can be seen have too little contrast with what is behind them
// (WCAG 2, 1.4.3: 4.5, of large ones 3).

const parse = (color) => {
  const [red, green, blue, alpha = 1] = color.match(/[\d.]+/g).map(Number);
  return { rgb: [red, green, blue], alpha };
};
const over = (top, bottom) => top.rgb.map((part, at) => part * top.alpha + bottom[at] * (1 - top.alpha));

function ground(node) {
  const layers = [];
  for (let at = node; at; at = at.parentElement) {
    const color = parse(getComputedStyle(at).backgroundColor);
    layers.push(color);
    if (color.alpha === 1) break;
  }
  return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
}

function luminance(rgb) {
  const [red, green, blue] = rgb.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const [light, dark] = [luminance(one), luminance(other)].sort((left, right) => right - left);
  return (light + 0.05) / (dark + 0.05);
}

const poor = [];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const node = texts.currentNode.parentElement;
  const isText = texts.currentNode.textContent.trim() && !node.closest(".sr, template, option");
  if (!isText || !node.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
  const style = getComputedStyle(node);
  const size = parseFloat(style.fontSize);
  const enough = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
  const behind = ground(node);
  const found = contrast(over(parse(style.color), behind), behind);
  if (found < enough) poor.push(`${found.toFixed(2)}: ${texts.currentNode.textContent.trim().slice(0, 40)} (${node.className || node.tagName})`);
}
return poor;
