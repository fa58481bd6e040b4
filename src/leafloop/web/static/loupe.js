// A loupe: what is under the finger, larger, beside it. Knows no boxes but the one that it is told to draw.

const ACROSS = 132; // css px: a thumb covers about 60
const LARGER = 2.5; // times as large as on the screen

export function loupe(host, photo, size) {
  const canvas = document.createElement("canvas");
  canvas.className = "be-loupe";
  canvas.hidden = true;
  canvas.setAttribute("aria-hidden", "true");
  const sharp = Math.min(window.devicePixelRatio || 1, 2);
  canvas.width = canvas.height = ACROSS * sharp;
  host.append(canvas);
  const pen = canvas.getContext("2d");

  // point: where in the photo; at: where on the screen; k: css px a photo px; box and colour: what is being drawn.
  function show(point, at, k, box, colour) {
    canvas.hidden = false;
    const left = at.x < ACROSS ? at.x + 40 : at.x - ACROSS - 16; // beside the finger where there is no room above it
    const above = at.y > ACROSS + 40;
    const x = above ? Math.min(Math.max(at.x - ACROSS / 2, 4), host.clientWidth - ACROSS - 4) : left;
    canvas.style.transform = `translate(${Math.round(x)}px, ${Math.round(above ? at.y - ACROSS - 36 : 4)}px)`;
    const scale = k * LARGER * sharp;
    const middle = canvas.width / 2;
    const drawn = photo.naturalWidth / size.width; // the picture may be a smaller copy of the photo
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.fillStyle = "#101512";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.setTransform(scale / drawn, 0, 0, scale / drawn, middle - point.x * scale, middle - point.y * scale);
    const reach = middle / scale;
    const [x1, y1] = [Math.max(0, (point.x - reach) * drawn), Math.max(0, (point.y - reach) * drawn)];
    const [w, h] = [Math.min(photo.naturalWidth - x1, 2 * reach * drawn), Math.min(photo.naturalHeight - y1, 2 * reach * drawn)];
    if (photo.complete && w > 0 && h > 0) pen.drawImage(photo, x1, y1, w, h, x1, y1, w, h);
    pen.setTransform(1, 0, 0, 1, 0, 0);
    const put = (v, p) => middle + (v - p) * scale;
    if (box) {
      const edge = [put(box.x1, point.x), put(box.y1, point.y), (box.x2 - box.x1) * scale, (box.y2 - box.y1) * scale];
      for (const [style, width] of [["#ffffff", 5], [colour, 3]]) {
        pen.strokeStyle = style;
        pen.lineWidth = width * sharp;
        pen.strokeRect(...edge);
      }
    }
    for (const [style, width] of [["#ffffff", 3], ["#000000", 1]]) {
      pen.strokeStyle = style;
      pen.lineWidth = width * sharp;
      pen.beginPath();
      pen.moveTo(middle - 12 * sharp, middle);
      pen.lineTo(middle + 12 * sharp, middle);
      pen.moveTo(middle, middle - 12 * sharp);
      pen.lineTo(middle, middle + 12 * sharp);
      pen.stroke();
    }
  }

  return { show, hide: () => { canvas.hidden = true; }, remove: () => canvas.remove() };
}
