// A stretch of audio over time: spectrogram, what was said, what a model makes of it.
//
// new KwsTimeline(element, data) fills an element; a second one in it takes the first one's place.
// Colours are the page's CSS variables (--ink, --soft, --faint, --rule, --panel, --paper, --line-0,
// --clip). Times are seconds from the beginning of the stretch, values 0 to 1; ? may be left out.
//
// data = {
//   seconds, start?         length; what its beginning is called on the axis
//   hop, first?             seconds from posterior to posterior; time of the first
//   labels, posteriors      words; of each word its values
//   scores?, thresholds?    of each word its smoothed values; of each the least one that triggers
//   detections              [{time, label, score}]
//   spectrogram             [{start, end, image}], URLs; time rightwards, bands upwards
//   said?, audio?           [{start, end, text}]; a URL
// }
"use strict";

class KwsTimeline {
  static AXIS = 22; // heights, CSS pixels
  static SPECTROGRAM = 110;
  static SAID = 26;

  constructor(element, data) {
    this.element = element;
    this.data = { start: 0, first: 0, said: [], ...data };
    this.least = Math.min(data.seconds, Math.max(0.5, 5 * data.hop)); // that fills the width
    this.from = 0; // what is seen
    this.to = data.seconds;
    this.cursor = 0;
    this.hover = this.drag = null;
    this.lane = data.labels.length > 12 ? 24 : 32;
    this.lanesTop = KwsTimeline.AXIS + KwsTimeline.SPECTROGRAM + (this.data.said.length ? KwsTimeline.SAID : 0);
    this.height = this.lanesTop + this.lane * data.labels.length + 2;
    this.build();
    this.listen();
    this.images = data.spectrogram.map((part) => {
      const image = KwsTimeline.make("img", { src: part.image }, "");
      image.addEventListener("load", () => this.draw());
      return { ...part, image };
    });
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.draw();
  }

  // --- What there is on the page.

  static make(tag, properties, style, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.style.cssText = style;
    made.append(...children);
    return made;
  }

  button(text, label, action) {
    const made = KwsTimeline.make("button", { type: "button", textContent: text, title: label },
      "min-width: 40px; min-height: 36px; padding: 0 8px; font: inherit; color: inherit; cursor: pointer; " +
      "background: var(--panel); border: 1px solid var(--faint); border-radius: 6px");
    made.addEventListener("click", action);
    return made;
  }

  build() {
    const make = KwsTimeline.make, row = "display: flex; flex-wrap: wrap; gap: 6px; align-items: center; margin: 8px 0";
    this.canvas = make("canvas", { tabIndex: 0 },
      `display: block; width: 100%; height: ${this.height}px; touch-action: pan-y; cursor: crosshair; outline-offset: 3px`);
    const { start, seconds, detections, audio } = this.data;
    const attributes = { role: "slider", "aria-label": "Time in the audio", "aria-valuemin": start, "aria-valuemax": start + seconds };
    for (const [name, value] of Object.entries(attributes)) this.canvas.setAttribute(name, value);
    this.range = make("span", {}, "font-variant-numeric: tabular-nums");
    // Room for two lines, so that nothing jumps.
    this.reading = make("div", {}, "min-height: 3em; margin: 6px 0; font-size: 15px; font-variant-numeric: tabular-nums");
    this.audio = audio ? make("audio", { controls: true, src: audio }, "display: block; width: 100%") : null;
    this.audio?.setAttribute("aria-label", "The stretch of audio");
    const buttons = [["−", "Zoom out", () => this.zoom(2)], ["+", "Zoom in", () => this.zoom(0.5)],
      ["◀", "Earlier", () => this.pan(-0.5)], ["▶", "Later", () => this.pan(0.5)], ["All", "Show all", () => this.show(0, seconds)]];
    const tools = buttons.map(([text, label, action]) => {
      const made = this.button(text, label, action);
      made.setAttribute("aria-label", label);
      return made;
    });
    const found = detections.map((one) => this.button(
      `${one.label} ${one.score.toFixed(2)} at ${this.clock(one.time, 2)}`, "Go there", () => this.seek(one.time)));
    this.element.replaceChildren(make("div", {}, row, ...tools, this.range), this.canvas, this.reading,
      ...(this.audio ? [this.audio] : []), make("div", {}, row, ...found));
  }

  // --- Time.

  static clamp(value, low, high) {
    return Math.min(Math.max(value, low), high);
  }

  clock(time, digits) {
    const all = Number((this.data.start + time).toFixed(digits)), minutes = Math.floor(all / 60);
    const rest = (all - 60 * minutes).toFixed(digits);
    return minutes ? `${minutes}:${rest.padStart(digits ? digits + 3 : 2, "0")}` : `${rest} s`;
  }

  show(from, to) {
    const length = KwsTimeline.clamp(to - from, this.least, this.data.seconds);
    this.from = KwsTimeline.clamp(from, 0, this.data.seconds - length);
    this.to = this.from + length;
    this.draw();
  }

  zoom(factor, at) {
    const seen = this.cursor >= this.from && this.cursor <= this.to;
    at ??= seen ? this.cursor : (this.from + this.to) / 2;
    const length = KwsTimeline.clamp(factor * (this.to - this.from), this.least, this.data.seconds);
    const from = at - (at - this.from) / (this.to - this.from) * length;
    this.show(from, from + length);
  }

  pan(share) {
    const move = share * (this.to - this.from);
    this.show(this.from + move, this.to + move);
  }

  moveCursor(time) { // and what is seen with it
    this.cursor = KwsTimeline.clamp(time, 0, this.data.seconds);
    const length = this.to - this.from;
    if (this.cursor >= this.from && this.cursor <= this.to) this.draw();
    else this.show(this.cursor - length / 4, this.cursor + 3 * length / 4);
  }

  seek(time) {
    this.moveCursor(time);
    if (this.audio) this.audio.currentTime = this.cursor;
  }

  told(time) { // what is read aloud, and shown below
    const { posteriors, scores, labels, first, hop, said } = this.data;
    const place = KwsTimeline.clamp(Math.floor((time - first) / hop + 1e-6), 0, (posteriors[0] ?? []).length - 1);
    const values = labels.map((label, k) => ({ label, value: posteriors[k][place] ?? 0, score: scores?.[k][place] }));
    const highest = (one) => Math.max(one.value, one.score ?? 0);
    const parts = values.sort((a, b) => highest(b) - highest(a)).slice(0, 3).filter((one) => highest(one) >= 0.01).map(
      (one) => `${one.label} ${one.value.toFixed(2)}` + (one.score === undefined ? "" : ` (mean ${one.score.toFixed(2)})`));
    const words = said.filter((one) => one.start <= time && time < one.end).map((one) => `“${one.text}”`);
    return `${this.clock(time, 2)}: ${[...words, parts.join(", ") || "no word"].join(" ")}`;
  }

  // --- Drawing.

  colours() {
    const style = getComputedStyle(this.element);
    const colour = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
    return {
      ink: colour("--ink", "#111"), soft: colour("--soft", "#555"), rule: colour("--rule", "#ddd"), paper: colour("--paper", "#fff"),
      panel: colour("--panel", "#f5f5f5"), mark: colour("--clip", "#c43d00"), value: colour("--line-0", "#0072b2") };
  }

  draw() {
    const { canvas, data } = this, scale = window.devicePixelRatio || 1;
    this.width = canvas.clientWidth;
    if (!this.width) return;
    canvas.width = Math.round(this.width * scale);
    canvas.height = Math.round(this.height * scale);
    const paint = this.paint = canvas.getContext("2d"), colours = this.colours();
    paint.setTransform(scale, 0, 0, scale, 0, 0);
    paint.textBaseline = "middle";
    this.font(13);
    const widest = Math.max(...data.labels.map((label) => paint.measureText(label).width), 30);
    this.gutter = Math.ceil(Math.min(widest + 10, this.width / 4));
    this.drawAxis(colours);
    data.labels.forEach((label, k) => this.drawLabel(label, k, colours));
    paint.beginPath();
    paint.rect(this.gutter, 0, this.width - this.gutter, this.height);
    paint.clip();
    this.drawSpectrogram();
    this.drawSaid(colours);
    data.labels.forEach((label, k) => this.drawLane(label, k, colours));
    this.line(this.x(this.cursor), KwsTimeline.AXIS, this.height, colours.mark, 2);
    if (this.hover !== null) this.line(this.x(this.hover), KwsTimeline.AXIS, this.height, colours.soft, 1);
    this.range.textContent = `${this.clock(this.from, 1)} to ${this.clock(this.to, 1)}`;
    this.reading.textContent = this.told(this.hover ?? this.cursor);
    canvas.setAttribute("aria-valuenow", (data.start + this.cursor).toFixed(2));
    canvas.setAttribute("aria-valuetext", this.told(this.cursor));
  }

  font(size, weight = 400) {
    this.paint.font = `${weight} ${size}px system-ui, sans-serif`;
  }

  x(time) {
    return this.gutter + (time - this.from) / (this.to - this.from) * (this.width - this.gutter);
  }

  line(at, top, bottom, colour, thick) {
    this.paint.fillStyle = colour;
    this.paint.fillRect(at - thick / 2, top, thick, bottom - top);
  }

  write(text, left, middle, colour, room = Infinity) {
    let length = text.length;
    const cut = () => length < text.length ? `${text.slice(0, length)}…` : text;
    while (length && this.paint.measureText(cut()).width > room) length -= 1;
    this.paint.fillStyle = colour;
    if (length > 1 || length === text.length) this.paint.fillText(cut(), left, middle);
  }

  drawAxis(colours) {
    const { AXIS } = KwsTimeline, { start } = this.data;
    const wanted = 80 * (this.to - this.from) / (this.width - this.gutter), power = 10 ** Math.floor(Math.log10(wanted));
    const step = wanted > 10 ? [15, 30, 60, 120].find((one) => one >= wanted) ?? 300
      : [1, 2, 5, 10].find((one) => one * power >= wanted) * power;
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    this.font(12);
    for (let k = Math.ceil((start + this.from) / step - 1e-9); k * step <= start + this.to + 1e-9; k += 1) {
      const at = this.x(k * step - start), text = this.clock(k * step - start, digits);
      this.line(at, AXIS - 6, AXIS, colours.soft, 1);
      if (at + 4 + this.paint.measureText(text).width <= this.width) this.write(text, at + 4, AXIS / 2, colours.soft);
    }
  }

  drawSpectrogram() {
    this.paint.imageSmoothingEnabled = false;
    for (const { image, start, end } of this.images ?? []) {
      if (!image.complete || end < this.from || start > this.to) continue;
      this.paint.drawImage(image, this.x(start), KwsTimeline.AXIS, this.x(end) - this.x(start), KwsTimeline.SPECTROGRAM);
    }
  }

  drawSaid(colours) {
    const top = KwsTimeline.AXIS + KwsTimeline.SPECTROGRAM + 3, bottom = this.lanesTop - 3;
    this.font(13);
    const shown = this.data.said.filter((each) => each.end > this.from && each.start < this.to);
    shown.forEach((one, k) => { // a text may run on to the next one
      const left = Math.max(this.x(one.start), this.gutter), right = Math.min(this.x(one.end), this.width);
      const free = k + 1 < shown.length ? this.x(shown[k + 1].start) : this.width;
      this.paint.fillStyle = colours.rule;
      this.paint.fillRect(left, top, right - left, bottom - top);
      this.line(left, top, bottom, colours.soft, 1);
      this.write(one.text, left + 4, (top + bottom) / 2, colours.ink, Math.max(right, free) - left - 6);
    });
  }

  laneEnds(k) {
    const top = this.lanesTop + k * this.lane + 4;
    return [top, top + this.lane - 4];
  }

  drawLabel(label, k, colours) {
    const [top, bottom] = this.laneEnds(k);
    this.font(13);
    this.write(label, 0, (top + bottom) / 2, colours.ink, this.gutter - 8);
    this.paint.fillStyle = colours.rule;
    this.paint.fillRect(0, bottom, this.width, 1);
  }

  drawLane(label, k, colours) {
    const { posteriors, scores, thresholds, detections } = this.data, { paint } = this;
    const [top, bottom] = this.laneEnds(k), y = (value) => bottom - value * (this.lane - 8);
    this.drawCurve(posteriors[k], y, bottom, colours.value, true);
    if (scores) this.drawCurve(scores[k], y, bottom, colours.ink, false);
    if (thresholds) {
      paint.strokeStyle = colours.mark;
      paint.lineWidth = 1;
      paint.setLineDash([4, 4]);
      paint.beginPath();
      paint.moveTo(this.gutter, y(thresholds[k]));
      paint.lineTo(this.width, y(thresholds[k]));
      paint.stroke();
      paint.setLineDash([]);
    }
    this.drawDetections(detections.filter((one) => one.label === label), top, bottom, colours);
  }

  drawCurve(values, y, bottom, colour, filled) {
    const { first, hop } = this.data, { paint } = this, at = (k) => this.x(first + k * hop);
    const from = Math.max(0, Math.floor((this.from - first) / hop) - 1);
    const to = Math.min(values.length - 1, Math.ceil((this.to - first) / hop) + 1);
    paint.beginPath();
    if (filled) paint.moveTo(at(from), bottom);
    for (let k = from; k <= to; k += 1) { // a value holds until the next one
      paint.lineTo(at(k), y(values[k]));
      paint.lineTo(at(k + 1), y(values[k]));
    }
    if (filled) paint.lineTo(at(to + 1), bottom);
    paint.globalAlpha = filled ? 0.55 : 1;
    paint.fillStyle = paint.strokeStyle = colour;
    paint.lineWidth = 1.2;
    if (filled) paint.fill();
    else paint.stroke();
    paint.globalAlpha = 1;
  }

  drawDetections(detections, top, bottom, colours) {
    const { paint } = this;
    this.font(12, 600);
    let free = -Infinity; // of another's score
    for (const one of detections) {
      const at = this.x(one.time), text = one.score.toFixed(2), room = paint.measureText(text).width + 10;
      this.line(at, top - 2, bottom, colours.mark, 2);
      paint.beginPath();
      paint.moveTo(at - 5, top - 3);
      paint.lineTo(at + 5, top - 3);
      paint.lineTo(at, top + 5);
      paint.fill();
      const left = at + room > this.width ? at - room : at + 6; // on the other side at the end
      if (left < free) continue;
      free = left + room;
      paint.lineWidth = 3;
      paint.strokeStyle = colours.paper;
      paint.strokeText(text, left, (top + bottom) / 2);
      this.write(text, left, (top + bottom) / 2, colours.mark);
    }
  }

  // --- Pointer, wheel, keys, sound.

  listen() {
    const on = (name, action) => this.canvas.addEventListener(name, action, { passive: false });
    on("pointerdown", (event) => {
      this.drag = { x: event.offsetX, from: this.from, to: this.to, moved: false };
      this.canvas.setPointerCapture(event.pointerId);
    });
    on("pointermove", (event) => this.moved(event));
    on("pointerup", (event) => {
      if (this.drag && !this.drag.moved) this.seek(this.timeAt(event));
      this.drag = null;
    });
    on("pointercancel", () => { this.drag = null; });
    on("pointerleave", () => { this.hover = null; this.draw(); });
    on("wheel", (event) => this.wheeled(event));
    on("keydown", (event) => this.pressed(event));
    this.audio?.addEventListener("play", () => requestAnimationFrame(() => this.follow()));
    this.audio?.addEventListener("seeked", () => this.moveCursor(this.audio.currentTime));
  }

  timeAt(event) {
    const share = (event.offsetX - this.gutter) / (this.width - this.gutter);
    return KwsTimeline.clamp(this.from + share * (this.to - this.from), 0, this.data.seconds);
  }

  moved(event) {
    const { drag } = this;
    this.hover = this.timeAt(event);
    if (drag) drag.moved ||= Math.abs(event.offsetX - drag.x) > 4;
    if (!drag?.moved) return this.draw();
    const move = (drag.x - event.offsetX) / (this.width - this.gutter) * (drag.to - drag.from);
    this.show(drag.from + move, drag.to + move);
  }

  wheeled(event) {
    const sideways = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
    if (event.ctrlKey || event.metaKey) this.zoom(2 ** (event.deltaY / 200), this.timeAt(event));
    else if (sideways && Math.abs(sideways) >= Math.abs(event.deltaY)) this.pan(sideways / this.width);
    else return; // the page scrolls
    event.preventDefault();
  }

  pressed(event) {
    const { seconds, hop } = this.data, step = (count) => () => this.seek(this.cursor + count * hop);
    const action = {
      ArrowLeft: step(-1), ArrowRight: step(1), ArrowDown: step(-1), ArrowUp: step(1),
      PageUp: () => this.pan(-0.5), PageDown: () => this.pan(0.5), Home: () => this.seek(0), End: () => this.seek(seconds),
      "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), 0: () => this.show(0, seconds),
      " ": () => this.audio && (this.audio.paused ? this.audio.play() : this.audio.pause()),
    }[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  }

  follow() {
    this.moveCursor(this.audio.currentTime);
    if (!this.audio.paused) requestAnimationFrame(() => this.follow());
  }
}
