// Small helpers for building and finding elements. No markup is ever made from text, so nothing that a peer sends
// (a name, an error sentence) can become an element.

/** The element with this id. Ids are fixed in index.html, so a missing one is a bug. */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no element "${id}"`);
  return element;
}

/** Makes an element: `make("button", { class: "round", type: "button" }, "text", child)`. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** One of the icons drawn in index.html. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Shows `text` in `element`, or hides the element when there is none. */
export function showText(element, text) {
  element.textContent = text ?? "";
  element.hidden = !text;
}

/** Turns a round button into an on/off switch with its icon, colour, label and tool tip. */
export function showSwitch(button, { on, iconOn, iconOff, labelOn, labelOff, disabled = false, shortcut }) {
  const label = on ? labelOn : labelOff;
  button.replaceChildren(icon(on ? iconOn : iconOff), make("span", { class: "visually-hidden" }, label));
  button.title = shortcut ? `${label} (${shortcut})` : label;
  button.classList.toggle("off", !on);
  button.disabled = disabled;
}
