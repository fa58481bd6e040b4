// A photo before it leaves the phone: its size in words, and shrinking on a canvas. Knows neither the page nor the network.

// A key for one photo: the same on each try, so that the service counts it once. Random, not from the photo: the same leaf
// may well be asked about twice.
export function keyFor() {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID is missing where the page came by plain http
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function size(bytes, say) {
  return bytes < 1e6 ? say("kilobytes", { n: Math.max(1, Math.round(bytes / 1e3)) }) : say("megabytes", { n: (bytes / 1e6).toFixed(1) });
}

// {blob, name, shrinking: null | "shrunk" | "small" | "failed"}, and width and height of what was shrunk.
// `to`: {longest, quality}, or false to leave the photo as it is.
export async function prepare(file, to) {
  const whole = { blob: file, name: file.name, shrinking: null };
  if (!to) return whole;
  const bitmap = await decode(file);
  if (!bitmap) return { ...whole, shrinking: "failed" };
  const made = await shrink(whole, bitmap, to);
  bitmap.close(); // tens of megabytes on a phone that has few
  return made;
}

async function shrink(whole, bitmap, { longest, quality }) {
  const scale = longest / Math.max(bitmap.width, bitmap.height);
  if (scale >= 1) return { ...whole, shrinking: "small" };
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(bitmap.width * scale);
  canvas.height = Math.round(bitmap.height * scale);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high"; // averages over the pixels; the default may skip some
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", quality));
  if (!blob) return { ...whole, shrinking: "failed" };
  if (blob.size >= whole.blob.size) return { ...whole, shrinking: "small" };
  return { blob, name: whole.name.replace(/\.\w+$/, "") + ".jpg", width: canvas.width, height: canvas.height, shrinking: "shrunk" };
}

async function decode(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return null; // not a picture, or one that this browser cannot read: the service will say
  }
}
