// Boxes and views as plain numbers: clip, move, resize, hit, zoom. Knows no page and no pointer.
// A box is {x1, y1, x2, y2}. A view is {k, x, y}: css px a photo px, and where the photo's top left corner is on the screen.

export const clamp = (value, low, high) => Math.max(low, Math.min(value, high));
const tidy = (value) => Math.round(value * 100) / 100; // a hundredth of a photo's pixel: finer says nothing
const tidied = ({ x1, y1, x2, y2 }) => ({ x1: tidy(x1), y1: tidy(y1), x2: tidy(x2), y2: tidy(y2) });

export const toPhoto = (view, at) => ({ x: (at.x - view.x) / view.k, y: (at.y - view.y) / view.k });
export const onScreen = (view, box) => ({
  x1: view.x + box.x1 * view.k, y1: view.y + box.y1 * view.k, x2: view.x + box.x2 * view.k, y2: view.y + box.y2 * view.k,
});

// The part inside the photo of the box between two corners, in whatever order they come.
export function between(a, b, size) {
  const [x1, x2] = [a.x, b.x].map((x) => clamp(x, 0, size.width)).sort((p, q) => p - q);
  const [y1, y2] = [a.y, b.y].map((y) => clamp(y, 0, size.height)).sort((p, q) => p - q);
  return tidied({ x1, y1, x2, y2 });
}

// A box made fit for the photo: inside it, and at least `least` a side.
export function fitted(box, size, least) {
  const inside = between({ x: box.x1, y: box.y1 }, { x: box.x2, y: box.y2 }, size);
  const x1 = clamp(inside.x1, 0, size.width - least);
  const y1 = clamp(inside.y1, 0, size.height - least);
  return tidied({ x1, y1, x2: Math.max(inside.x2, x1 + least), y2: Math.max(inside.y2, y1 + least) });
}

export function moved(box, by, size) {
  const x = clamp(by.x, -box.x1, size.width - box.x2);
  const y = clamp(by.y, -box.y1, size.height - box.y2);
  return tidied({ x1: box.x1 + x, y1: box.y1 + y, x2: box.x2 + x, y2: box.y2 + y });
}

// `handle` says which edges go along: x -1 the left one, 1 the right one, 0 neither; y the same for top and bottom.
export function resized(box, handle, by, size, least) {
  const now = { ...box };
  if (handle.x < 0) now.x1 = clamp(box.x1 + by.x, 0, box.x2 - least);
  if (handle.x > 0) now.x2 = clamp(box.x2 + by.x, box.x1 + least, size.width);
  if (handle.y < 0) now.y1 = clamp(box.y1 + by.y, 0, box.y2 - least);
  if (handle.y > 0) now.y2 = clamp(box.y2 + by.y, box.y1 + least, size.height);
  return tidied(now);
}

const CORNERS = [{ x: -1, y: -1 }, { x: 1, y: -1 }, { x: 1, y: 1 }, { x: -1, y: 1 }];
const EDGES = [{ x: 0, y: -1 }, { x: 1, y: 0 }, { x: 0, y: 1 }, { x: -1, y: 0 }];

// Where a box's handles are on the screen. They stand apart by 1.5 times their `reach` at least, so that a small box still has
// a middle to move it by; edges get handles of their own where there is room between the corners'.
export function handles(rect, reach) {
  const spread = (low, high) => {
    const pad = Math.max(0, (1.5 * reach - (high - low)) / 2);
    return [low - pad, (low + high) / 2, high + pad];
  };
  const xs = spread(rect.x1, rect.x2);
  const ys = spread(rect.y1, rect.y2);
  const room = (h) => (h.y === 0 ? ys[2] - ys[0] : xs[2] - xs[0]) >= 2.5 * reach;
  return [...CORNERS, ...EDGES.filter(room)].map((h) => ({ ...h, at: { x: xs[h.x + 1], y: ys[h.y + 1] } }));
}

export function handleAt(rect, at, reach) {
  const away = (h) => Math.hypot(h.at.x - at.x, h.at.y - at.y);
  const [nearest] = handles(rect, reach).sort((a, b) => away(a) - away(b));
  return away(nearest) <= reach / 2 ? nearest : null;
}

const within = (rect, at, slack) => at.x >= rect.x1 - slack && at.x <= rect.x2 + slack && at.y >= rect.y1 - slack && at.y <= rect.y2 + slack;
const area = (rect) => (rect.x2 - rect.x1) * (rect.y2 - rect.y1);

// The boxes (their numbers) at a place, smallest first.
export const boxesAt = (rects, at, slack) => rects
  .map((rect, index) => ({ rect, index }))
  .filter(({ rect }) => within(rect, at, slack))
  .sort((a, b) => area(a.rect) - area(b.rect))
  .map(({ index }) => index);

// Whether a place is on a box's edge: then a drag means the box, while in its middle it means the photo below.
export const onEdge = (rect, at, slack) => within(rect, at, slack) && !within(rect, at, -slack);

// The whole photo in a window, with a margin in which a finger can begin beside the photo.
export function whole(size, room, margin) {
  const k = Math.max(0.001, Math.min((room.width - 2 * margin) / size.width, (room.height - 2 * margin) / size.height));
  return { k, x: (room.width - size.width * k) / 2, y: (room.height - size.height * k) / 2 };
}

// The view with `k` in which the photo's point that was at `from` is at `to`, kept over the window.
export function zoomed(view, k, from, to, size, room, margin) {
  const point = toPhoto(view, from);
  const place = (at, photo, space) => {
    const extent = photo.extent * k;
    if (extent <= space - 2 * margin) return (space - extent) / 2;
    return clamp(at - photo.point * k, space - margin - extent, margin);
  };
  return {
    k,
    x: place(to.x, { point: point.x, extent: size.width }, room.width),
    y: place(to.y, { point: point.y, extent: size.height }, room.height),
  };
}
