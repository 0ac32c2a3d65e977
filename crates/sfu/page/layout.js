// Where the tiles go: the number of columns for which the tiles get largest, whatever the window's shape.

/** Tiles may be a little taller than wide (two people on a phone) up to 16:9. */
const ASPECT_MIN = 0.8;
const ASPECT_MAX = 16 / 9;
/** Below this the grid scrolls instead of shrinking further. */
const WIDTH_MIN = 132;

/** `{ columns, width, height }` in pixels for `count` tiles inside `width` × `height`. */
export function arrange(count, width, height, gap) {
  let best = null;
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    let tileWidth = (width - gap * (columns - 1)) / columns;
    let tileHeight = (height - gap * (rows - 1)) / rows;
    if (tileWidth <= 0 || tileHeight <= 0) continue;
    if (tileWidth / tileHeight > ASPECT_MAX) tileWidth = tileHeight * ASPECT_MAX;
    else if (tileWidth / tileHeight < ASPECT_MIN) tileHeight = tileWidth / ASPECT_MIN;
    // Cutting the sides off a camera picture costs: count the part of a 4:3 picture that stays in view.
    const shown = Math.min(tileWidth / tileHeight, 4 / 3) / (4 / 3);
    const score = tileWidth * tileHeight * shown;
    if (!best || score > best.score) best = { columns, width: tileWidth, height: tileHeight, score };
  }
  if (best && best.width >= WIDTH_MIN) return best;
  const columns = Math.max(1, Math.floor((width + gap) / (WIDTH_MIN + gap)));
  const tileWidth = (width - gap * (columns - 1)) / columns;
  return { columns, width: tileWidth, height: (tileWidth * 3) / 4 };
}

/** Keeps `list` arranged as its children come and go and its window changes. */
export function keepArranged(list, stage) {
  const update = () => {
    const style = getComputedStyle(stage);
    const gap = Number.parseFloat(getComputedStyle(list).columnGap) || 0;
    const width =
      stage.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight);
    const height =
      stage.clientHeight - Number.parseFloat(style.paddingTop) - Number.parseFloat(style.paddingBottom);
    if (width <= 0 || height <= 0 || list.children.length === 0) return;
    const tile = arrange(list.children.length, width, height, gap);
    list.style.setProperty("--tile-width", `${Math.floor(tile.width)}px`);
    list.style.setProperty("--tile-height", `${Math.floor(tile.height)}px`);
  };
  new ResizeObserver(update).observe(stage);
  new MutationObserver(update).observe(list, { childList: true });
  update();
}
