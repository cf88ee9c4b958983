// A stretch of audio over time: spectrogram, what was said, what a model makes of it.
//
// kwsTimeline(element, data) fills an element; called again, it starts anew. Colours are CSS
// variables of the page (--ink, --soft, --faint, --rule, --panel, --line-0, --line-1, --clip).
// Times are seconds from the beginning of the stretch, values 0 to 1. What is marked ? may be left out.
//
// data = {
//   seconds, start?               length; what its beginning is called on the axis
//   hop, first?                   seconds from posterior to posterior; time of the first
//   labels, posteriors            words; for each word its values
//   scores?, thresholds?          for each word its smoothed values; for each the least that triggers
//   detections                    [{time, label, score}]
//   spectrogram                   [{start, end, image}], URLs, time rightwards, bands upwards
//   said?, audio?                 [{start, end, text}]; a URL
// }
"use strict";

function kwsTimeline(element, data) {
  const first = data.first ?? 0, start = data.start ?? 0, said = data.said ?? [];
  const least = Math.min(data.seconds, Math.max(0.5, 5 * data.hop)); // of what can be seen at once
  const view = { from: 0, to: data.seconds };
  let cursor = 0, hover = null, drag = null, playing = false;

  function make(tag, properties, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }
  function button(text, label, action) {
    const made = make("button", { type: "button", textContent: text, title: label });
    made.style.cssText = "min-width: 40px; min-height: 36px; font: inherit; color: inherit; " +
      "cursor: pointer; background: var(--panel); border: 1px solid var(--faint); border-radius: 6px";
    made.setAttribute("aria-label", label);
    made.addEventListener("click", action);
    return made;
  }
  function row(...children) {
    const made = make("div", {}, ...children);
    made.style.cssText = "display: flex; flex-wrap: wrap; gap: 6px; align-items: center; margin: 8px 0";
    return made;
  }

  const canvas = make("canvas", { tabIndex: 0 });
  canvas.style.cssText = "display: block; width: 100%; touch-action: pan-y; cursor: crosshair";
  canvas.setAttribute("role", "slider");
  canvas.setAttribute("aria-label", "Time in the audio");
  canvas.setAttribute("aria-valuemin", start);
  canvas.setAttribute("aria-valuemax", start + data.seconds);
  const range = make("span"), reading = make("div");
  range.style.cssText = reading.style.cssText = "font-variant-numeric: tabular-nums";
  reading.style.cssText += "; min-height: 3.2em; font-size: 15px"; // room, so that nothing jumps
  const audio = data.audio ? make("audio", { controls: true, src: data.audio }) : null;
  if (audio) {
    audio.style.cssText = "display: block; width: 100%";
    audio.setAttribute("aria-label", "The stretch of audio");
  }
  const found = data.detections.map((one) => button(
    `${one.label} ${one.score.toFixed(2)} at ${clock(one.time, 2)}`, `Go to ${one.label}`,
    () => { seek(one.time); reveal(one.time); }));
  found.forEach((one) => { one.removeAttribute("aria-label"); one.style.padding = "0 8px"; });
  element.replaceChildren(
    row(button("−", "Zoom out", () => zoom(2, middle())), button("+", "Zoom in", () => zoom(0.5, middle())),
      button("◀", "Earlier", () => pan(-0.5)), button("▶", "Later", () => pan(0.5)),
      button("All", "Show all", () => show(0, data.seconds)), range),
    canvas, reading, ...(audio ? [audio] : []), row(...found));

  // --- Time.

  function clock(time, digits) {
    const all = Number((start + time).toFixed(digits)), minutes = Math.floor(all / 60);
    const rest = (all - 60 * minutes).toFixed(digits);
    return minutes ? `${minutes}:${rest.padStart(digits ? digits + 3 : 2, "0")}` : `${rest} s`;
  }
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const middle = () => cursor >= view.from && cursor <= view.to ? cursor : (view.from + view.to) / 2;
  function show(from, to) {
    const length = clamp(to - from, least, data.seconds);
    view.from = clamp(from, 0, data.seconds - length);
    view.to = view.from + length;
    draw();
  }
  function zoom(factor, at) {
    const length = clamp(factor * (view.to - view.from), least, data.seconds);
    const share = (at - view.from) / (view.to - view.from);
    show(at - share * length, at - share * length + length);
  }
  function pan(share) {
    const move = share * (view.to - view.from);
    show(view.from + move, view.to + move);
  }
  function reveal(time) {
    const length = view.to - view.from;
    if (time < view.from || time > view.to) show(time - length / 4, time + 3 * length / 4);
  }
  function seek(time) {
    cursor = clamp(time, 0, data.seconds);
    if (audio) audio.currentTime = cursor;
    draw();
  }

  // --- What is read aloud and shown below.

  function told(time) {
    const place = clamp(Math.floor((time - first) / data.hop + 1e-6), 0, (data.posteriors[0] ?? []).length - 1);
    const values = data.labels.map((label, k) => ({
      label, value: data.posteriors[k][place] ?? 0, score: data.scores?.[k][place] }));
    values.sort((a, b) => Math.max(b.value, b.score ?? 0) - Math.max(a.value, a.score ?? 0));
    const parts = values.slice(0, 3).filter((one) => Math.max(one.value, one.score ?? 0) >= 0.01).map((one) =>
      `${one.label} ${one.value.toFixed(2)}` + (one.score === undefined ? "" : ` (mean ${one.score.toFixed(2)})`));
    const words = said.filter((one) => one.start <= time && time < one.end).map((one) => `“${one.text}”`);
    return `${clock(time, 2)}: ${[...words, parts.join(", ") || "no word"].join(" ")}`;
  }

  // --- Drawing.

  const images = data.spectrogram.map((part) => {
    const image = make("img", { src: part.image });
    image.addEventListener("load", draw);
    return { ...part, image };
  });
  const paint = canvas.getContext("2d"), font = (size) => `${size}px system-ui, sans-serif`;
  const AXIS = 22, SPECTROGRAM = 110, SAID = said.length ? 26 : 0, LANE = data.labels.length > 12 ? 24 : 32;
  const height = AXIS + SPECTROGRAM + SAID + LANE * data.labels.length + 2;
  canvas.style.height = `${height}px`;
  let width = 0, gutter = 0;
  const x = (time) => gutter + (time - view.from) / (view.to - view.from) * (width - gutter);
  const timeAt = (event) => clamp(view.from + (event.offsetX - gutter) / (width - gutter) *
    (view.to - view.from), 0, data.seconds);

  function draw() {
    const scale = window.devicePixelRatio || 1, style = getComputedStyle(element);
    const colour = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
    const colours = {
      ink: colour("--ink", "#111"), soft: colour("--soft", "#555"), rule: colour("--rule", "#ddd"),
      panel: colour("--panel", "#f5f5f5"), mark: colour("--clip", "#c43d00"),
      value: colour("--line-0", "#0072b2"), score: colour("--ink", "#111") };
    width = canvas.clientWidth;
    if (!width) return;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    paint.setTransform(scale, 0, 0, scale, 0, 0);
    paint.font = font(13);
    const widest = Math.max(...data.labels.map((label) => paint.measureText(label).width), 30);
    gutter = Math.ceil(Math.min(widest + 10, width / 4));
    paint.textBaseline = "middle";
    drawAxis(colours);
    within(() => drawSpectrogram());
    within(() => drawSaid(colours));
    data.labels.forEach((label, k) => drawLane(label, k, colours));
    within(() => {
      line(x(cursor), AXIS, height, colours.mark, 2);
      if (hover !== null) line(x(hover), AXIS, height, colours.soft, 1);
    });
    range.textContent = `${clock(view.from, 1)} to ${clock(view.to, 1)}`;
    const text = told(hover ?? cursor);
    reading.textContent = text;
    canvas.setAttribute("aria-valuenow", (start + cursor).toFixed(2));
    canvas.setAttribute("aria-valuetext", told(cursor));
  }
  function within(action) {
    paint.save();
    paint.beginPath();
    paint.rect(gutter, 0, width - gutter, height);
    paint.clip();
    action();
    paint.restore();
  }
  function line(at, top, bottom, colour, thick) {
    paint.fillStyle = colour;
    paint.fillRect(at - thick / 2, top, thick, bottom - top);
  }
  function fitted(text, room) {
    if (paint.measureText(text).width <= room) return text;
    let length = text.length;
    while (length && paint.measureText(`${text.slice(0, length)}…`).width > room) length -= 1;
    return length ? `${text.slice(0, length)}…` : "";
  }
  function drawAxis(colours) {
    const wanted = 80 * (view.to - view.from) / (width - gutter);
    const power = 10 ** Math.floor(Math.log10(wanted));
    const step = wanted > 10 ? [15, 30, 60, 120].find((one) => one >= wanted) ?? 300
      : [1, 2, 5, 10].find((one) => one * power >= wanted) * power;
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    paint.font = font(12);
    paint.textAlign = "left";
    for (let k = Math.ceil((start + view.from) / step - 1e-9); k * step <= start + view.to + 1e-9; k += 1) {
      const at = x(k * step - start), text = clock(k * step - start, digits);
      line(at, AXIS - 6, AXIS, colours.soft, 1);
      paint.fillStyle = colours.soft;
      if (at + 4 + paint.measureText(text).width <= width) paint.fillText(text, at + 4, AXIS / 2);
    }
  }
  function drawSpectrogram() {
    paint.imageSmoothingEnabled = false;
    for (const part of images) {
      if (!part.image.complete || part.end < view.from || part.start > view.to) continue;
      paint.drawImage(part.image, x(part.start), AXIS, x(part.end) - x(part.start), SPECTROGRAM);
    }
  }
  function drawSaid(colours) {
    paint.font = font(13);
    paint.textAlign = "left";
    for (const one of said.filter((each) => each.end > view.from && each.start < view.to)) {
      const left = Math.max(x(one.start), gutter), right = Math.min(x(one.end), width);
      paint.fillStyle = colours.panel;
      paint.fillRect(left, AXIS + SPECTROGRAM + 3, right - left, SAID - 6);
      line(left, AXIS + SPECTROGRAM + 3, AXIS + SPECTROGRAM + SAID - 3, colours.soft, 1);
      paint.fillStyle = colours.ink;
      paint.fillText(fitted(one.text, right - left - 8), left + 4, AXIS + SPECTROGRAM + SAID / 2);
    }
  }
  function drawLane(label, k, colours) {
    const top = AXIS + SPECTROGRAM + SAID + k * LANE + 4, bottom = top + LANE - 4;
    const y = (value) => bottom - value * (LANE - 8);
    paint.font = font(13);
    paint.textAlign = "left";
    paint.fillStyle = colours.ink;
    paint.fillText(fitted(label, gutter - 8), 0, (top + bottom) / 2);
    paint.fillStyle = colours.rule;
    paint.fillRect(0, bottom, width, 1);
    within(() => {
      curve(data.posteriors[k], y, bottom, colours.value, true);
      if (data.scores) curve(data.scores[k], y, bottom, colours.score, false);
      if (data.thresholds) drawThreshold(y(data.thresholds[k]), colours);
      drawDetections(label, top, bottom, colours);
    });
  }
  function curve(values, y, bottom, colour, filled) {
    const from = Math.max(0, Math.floor((view.from - first) / data.hop) - 1);
    const to = Math.min(values.length - 1, Math.ceil((view.to - first) / data.hop) + 1);
    paint.beginPath();
    if (filled) paint.moveTo(x(first + from * data.hop), bottom);
    for (let k = from; k <= to; k += 1) { // a value holds until the next one
      paint.lineTo(x(first + k * data.hop), y(values[k]));
      paint.lineTo(x(first + (k + 1) * data.hop), y(values[k]));
    }
    if (filled) paint.lineTo(x(first + (to + 1) * data.hop), bottom);
    paint.globalAlpha = filled ? 0.55 : 1;
    paint.fillStyle = paint.strokeStyle = colour;
    paint.lineWidth = 1.2;
    if (filled) paint.fill(); else paint.stroke();
    paint.globalAlpha = 1;
  }
  function drawThreshold(at, colours) {
    paint.strokeStyle = colours.mark;
    paint.lineWidth = 1;
    paint.setLineDash([4, 4]);
    paint.beginPath();
    paint.moveTo(gutter, at);
    paint.lineTo(width, at);
    paint.stroke();
    paint.setLineDash([]);
  }
  function drawDetections(label, top, bottom, colours) {
    paint.font = `600 ${font(12)}`;
    let free = -Infinity;
    for (const one of data.detections.filter((each) => each.label === label)) {
      const at = x(one.time), text = one.score.toFixed(2), room = paint.measureText(text).width + 10;
      line(at, top - 2, bottom, colours.mark, 2);
      paint.beginPath();
      paint.moveTo(at - 5, top - 3);
      paint.lineTo(at + 5, top - 3);
      paint.lineTo(at, top + 5);
      paint.fill();
      const left = at + room > width ? at - room : at + 6; // on the other side at the end
      if (left < free) continue;
      free = left + room;
      paint.textAlign = "left";
      paint.lineWidth = 3;
      paint.strokeStyle = getComputedStyle(element).getPropertyValue("--paper").trim() || "#fff";
      paint.strokeText(text, left, (top + bottom) / 2);
      paint.fillText(text, left, (top + bottom) / 2);
    }
  }

  // --- Pointer, wheel, keys, sound.

  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.offsetX, from: view.from, to: view.to, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    hover = timeAt(event);
    if (drag) {
      const move = (drag.x - event.offsetX) / (width - gutter) * (drag.to - drag.from);
      drag.moved ||= Math.abs(event.offsetX - drag.x) > 4;
      if (drag.moved) return show(drag.from + move, drag.to + move);
    }
    draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved) seek(timeAt(event));
    drag = null;
  });
  canvas.addEventListener("pointercancel", () => { drag = null; });
  canvas.addEventListener("pointerleave", () => { hover = null; draw(); });
  canvas.addEventListener("wheel", (event) => {
    const sideways = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
    if (event.ctrlKey || event.metaKey) zoom(2 ** (event.deltaY / 200), timeAt(event));
    else if (Math.abs(sideways) >= Math.abs(event.deltaY) && sideways) pan(sideways / width);
    else return; // the page scrolls
    event.preventDefault();
  }, { passive: false });
  const step = (count) => { seek(cursor + count * data.hop); reveal(cursor); };
  const keys = {
    ArrowLeft: () => step(-1), ArrowRight: () => step(1), ArrowDown: () => step(-1), ArrowUp: () => step(1),
    PageUp: () => pan(-0.5), PageDown: () => pan(0.5),
    Home: () => { seek(0); reveal(0); }, End: () => { seek(data.seconds); reveal(data.seconds); },
    "+": () => zoom(0.5, middle()), "=": () => zoom(0.5, middle()), "-": () => zoom(2, middle()),
    0: () => show(0, data.seconds), " ": () => { if (audio) audio.paused ? audio.play() : audio.pause(); },
  };
  canvas.addEventListener("keydown", (event) => {
    const action = event.ctrlKey || event.metaKey || event.altKey ? null : keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  function follow() {
    cursor = Math.min(audio.currentTime, data.seconds);
    reveal(cursor);
    draw();
    if (playing) requestAnimationFrame(follow);
  }
  if (audio) {
    audio.addEventListener("play", () => { playing = true; requestAnimationFrame(follow); });
    for (const name of ["pause", "ended"]) audio.addEventListener(name, () => { playing = false; });
    audio.addEventListener("seeked", () => { if (!playing) follow(); });
  }
  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
}
