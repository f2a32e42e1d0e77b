// The page: what is shown of the gateway's state, and what its buttons do. Everything that comes
// from files or from the server is set as text, never as markup.
import * as api from "/api.js";
import { bar, bars, bytes, duration, element, interval, percent } from "/figures.js";

const find = (id) => document.getElementById(id);
const show = (id, shown) => (find(id).hidden = !shown);
const say = (text) => (find("said").textContent = text);
const speak = (text) => (find("spoken").textContent = text);

const WAIT = 2000;
const UPLOADS = 4;

// What is known: images by id (newest first in `order`), pictures made from local files, the state.
const images = new Map();
const pictures = new Map();
let older = null;
let status = null;
let batches = [];
let open = null;

// ---- images

const named = (answer) => (answer.class ? `${answer.class} (${answer.label})` : String(answer.label));

const STATES = {
  waiting: (image) =>
    image.provisional ? ["provisional", `${named(image.provisional)}`, "Provisional: not verified yet"]
    : ["none", "…", image.provisional_given_up ? "No provisional answer; waits for its batch" : "Waits for a provisional answer"],
  running: (image) => ["provisional", image.provisional ? named(image.provisional) : "…", "Provisional: its batch is running"],
  verified: (image) => ["verified", named(image.verified), "Verified"],
  rejected: () => ["rejected", "No answer", "Rejected: this batch failed its test, so no answer of it is given"],
  inconclusive: () => ["inconclusive", "No answer", "Inconclusive: its copies were answered differently"],
  unfit: (image) => ["rejected", "No answer", `Does not fit the model: ${image.reason ?? ""}`],
};

function imageItem(image) {
  const [kind, label, meaning] = STATES[image.state](image);
  const differs = image.provisional_differs ? `The provisional answer was ${named(image.provisional)}: a near tie, or a trace of a cheating server.` : null;
  const removable = image.state !== "running";
  const remove = removable && element("button", { type: "button", class: "quiet", "aria-label": `Delete ${image.name}`, onclick: () => removeImage(image) }, "Delete");
  return element("li", { id: `image-${image.id}`, class: `image ${kind}`, "data-state": image.state },
    thumbnail(image),
    element("div", { class: "words" },
      element("span", { class: "name" }, image.name),
      element("span", { class: "label" }, label),
      element("span", { class: `tag ${kind}` }, meaning),
      differs && element("span", { class: "differs" }, differs)),
    remove || null);
}

function thumbnail(image) {
  const frame = element("span", { class: "frame" });
  const put = (url) => {
    const picture = element("img", { src: url, alt: "", width: 64, height: 64 });
    // A format that the browser does not know: the gateway can show it while it has it.
    picture.addEventListener("error", () => { picture.remove(); if (pictures.get(image.id)?.local) fetchPicture(image, put); });
    frame.replaceChildren(picture);
  };
  const known = pictures.get(image.id);
  if (known?.url) put(known.url);
  else if (image.has_picture && !known) fetchPicture(image, put);
  return frame;
}

async function fetchPicture(image, put) {
  pictures.set(image.id, {});
  try {
    const url = URL.createObjectURL(await api.picture(image.id));
    pictures.set(image.id, { url });
    put(url);
  } catch { /* It is gone, or cannot be shown: the frame stays empty. */ }
}

function takeImage(image, spoken) {
  const before = images.get(image.id);
  images.set(image.id, image);
  const item = imageItem(image);
  const old = find(`image-${image.id}`);
  if (old) {
    const focused = old.contains(document.activeElement);
    old.replaceWith(item);
    if (focused) item.querySelector("button")?.focus();
  } else {
    const next = [...find("images").children].find((other) => images.get(other.id.slice(6)).received_at <= image.received_at);
    find("images").insertBefore(item, next ?? null);
  }
  show("no-images", images.size === 0);
  const [, label, meaning] = STATES[image.state](image);
  if (spoken && (before?.state !== image.state || !before?.provisional !== !image.provisional)) speak(`${image.name}: ${label}. ${meaning}`);
}

function dropImage(id) {
  images.delete(id);
  if (pictures.get(id)?.url) URL.revokeObjectURL(pictures.get(id).url);
  pictures.delete(id);
  find(`image-${id}`)?.remove();
  show("no-images", images.size === 0);
}

async function removeImage(image) {
  try {
    await api.remove(image.id);
    dropImage(image.id);
    speak(`${image.name} is deleted`);
    find("files").focus();
  } catch (error) { failed(error); }
}

async function loadImages(before) {
  const { images: found, next } = await api.images(before);
  if (!before) {
    const kept = new Set(found.map((image) => image.id));
    for (const id of [...images.keys()]) if (!kept.has(id) && !next) dropImage(id);
  }
  found.forEach((image) => takeImage(image, false));
  if (before || !older) older = next;
  show("more", older !== null);
}

async function send(files) {
  const queue = [...files];
  const refused = find("refused");
  refused.replaceChildren();
  let taken = 0;
  const one = async () => {
    for (let file = queue.shift(); file; file = queue.shift()) {
      try {
        const image = await api.upload(file);
        pictures.set(image.id, { url: URL.createObjectURL(file), local: true });
        if (!images.has(image.id) || !images.get(image.id).provisional) takeImage(images.get(image.id) ?? image, false);
        taken += 1;
      } catch (error) {
        if (error instanceof api.Unauthorized) return failed(error);
        refused.append(element("li", {}, `${file.name}: ${error.message}`));
      }
    }
  };
  await Promise.all(Array.from({ length: UPLOADS }, one));
  refused.hidden = refused.children.length === 0;
  say(`${taken} ${taken === 1 ? "image" : "images"} taken in.${refused.hidden ? "" : ` ${refused.children.length} not: see above.`}`);
}

// ---- the state of things

const SERVERS = {
  connecting: "Looking for the server …",
  connected: "Connected to the server",
  away: "The server is away; the gateway keeps trying, and images wait",
  refused: "The server cannot be used",
};

function takeStatus(next) {
  status = next;
  const reason = status.reason && status.server !== "connected" ? `: ${status.reason}` : "";
  const model = status.model ? ` (${status.model})` : "";
  const words = `${SERVERS[status.server]}${status.server === "connected" ? model : reason}`;
  // Said again only if it changed.
  if (find("server").textContent !== words) find("server").textContent = words;
  find("server").className = status.server;
  const running = status.running !== null;
  const fill = running ? status.progress?.done ?? 0 : status.waiting / status.batch;
  const words2 = running
    ? `A batch is running: ${percent(fill)} done.${status.waiting ? ` ${status.waiting} more wait for the next one.` : ""}`
    : `${status.waiting} of the ${status.batch} images that fill a batch wait.`;
  find("fill").textContent = words2;
  find("fill-bar").replaceChildren(bar(fill, words2));
  find("verify").disabled = running || status.waiting === 0 || status.held_by !== null;
  const forget = status.forget_after ? ` What has ended is forgotten after ${duration(1000 * status.forget_after)}.` : "";
  find("retention").textContent = (status.keep_images ? "Images are kept after their batch." : "Images are erased here as soon as their batch has ended.") + forget;
  show("alarm", status.held_by !== null);
  if (status.held_by) {
    find("alarm-text").textContent = "The server cheated, or somebody sent images on the border between two classes, whose copies disagree by themselves: the evidence says which samples failed. The images of that batch get no verified answer, and their provisional ones are not to be relied on. The server is asked nothing more until somebody decides; images that come now wait.";
  }
  tick();
}

function tick() {
  if (!status) return;
  const left = status.next_batch_at === null ? null : status.next_batch_at - Date.now();
  find("countdown").textContent = status.held_by ? "No batch begins until the rejected one is acknowledged."
    : left === null || status.running ? "" : left > 0 ? `It begins in ${duration(left)} at the latest.` : "It begins as soon as the server can be used.";
}

// ---- batches

const VERDICTS = { running: "Running", accepted: "Accepted", rejected: "Rejected", unavailable: "Came to no end" };
const when = (time) => new Date(time).toLocaleString();

function showHistory() {
  const models = new Map();
  for (const batch of batches) models.set(batch.hint_digest, [...(models.get(batch.hint_digest) ?? []), batch]);
  const tables = [...models].map(([digest, of]) => {
    const rows = of.map((batch) => {
      const known = batch.public?.total ? `${batch.public.correct} of ${batch.public.total}` : "–";
      const button = element("button", { type: "button", "aria-label": `Report of the batch of ${when(batch.begun_at)}`, onclick: () => showReport(batch.id, true) }, "Report");
      return element("tr", { "data-batch": batch.id },
        element("td", {}, when(batch.begun_at)), element("td", { class: "number" }, String(batch.images)),
        element("td", {}, element("span", { class: `tag ${batch.state}` }, VERDICTS[batch.state])),
        element("td", { class: "number" }, known),
        element("td", { class: "number" }, batch.cost_per_image ? batch.cost_per_image.toFixed(1) : "–"), element("td", {}, button));
    });
    const heads = ["Begun", "Images", "Verdict", "Known answers right", "Inferences per image", ""];
    return element("div", { class: "scroll" }, element("table", { class: "history" },
      element("caption", {}, `Model ${of[0].model}, digest `, element("code", {}, `${digest.slice(0, 16)}…`)),
      element("thead", {}, element("tr", {}, ...heads.map((text) => (text ? element("th", { scope: "col" }, text) : element("td"))))),
      element("tbody", {}, ...rows)));
  });
  find("history").replaceChildren(...tables);
  show("no-batches", batches.length === 0);
}

const paragraph = (text, kind) => element("p", kind ? { class: kind } : {}, text);
const details = (title, ...content) => element("details", {}, element("summary", {}, title), ...content);

function evidence(report) {
  const { evidence: found, plan } = report;
  const wrong = found.wrong_publics;
  const parts = [
    element("h3", {}, "Evidence"),
    paragraph(`${wrong.length} of ${found.publics} public samples, whose answers are known, were answered wrongly; at most ${plan.tau} are tolerated. The copies of ${report.all_disagreements} of ${plan.R} images were answered differently; at most ${plan.max_inconclusive} are tolerated.`),
  ];
  if (wrong.length > 0) {
    const rows = wrong.slice(0, 200).map((one) => element("tr", {}, element("td", { class: "number" }, String(one.id)), element("td", { class: "number" }, String(one.expected)), element("td", { class: "number" }, String(one.answered))));
    parts.push(details(wrong.length === 1 ? "The wrong answer" : `The ${wrong.length} wrong answers`, element("div", { class: "scroll" }, element("table", { class: "evidence" },
      element("thead", {}, element("tr", {}, ...["Public sample", "Known label", "Answered"].map((text) => element("th", { scope: "col" }, text)))),
      element("tbody", {}, ...rows)))));
  }
  const own = found.disagreements.map(({ image, split }) => element("li", {}, `${images.get(image)?.name ?? image}: ${split.join(" against ")} copies`));
  if (own.length > 0) parts.push(paragraph("Of your images:"), element("ul", {}, ...own));
  return parts;
}

function guarantees(report) {
  const said = report.guarantees;
  if (!said) return [];
  return [
    element("h3", {}, "What that guarantees"),
    element("ol", { class: "guarantees" },
      element("li", {}, element("strong", {}, "Against cheating on some samples. "), said.in_words),
      element("li", {}, element("strong", {}, "About the model as a whole. "), said.function_dependent)),
    details("The small print", paragraph(said.position_dependent), paragraph(said.partly_firing), said.over_batches ? paragraph(said.over_batches) : null, element("ul", {}, ...said.assumptions.map((text) => element("li", {}, text)))),
  ];
}

function accuracy(report) {
  const { correct, total, interval: ends, labels } = report.public;
  if (!ends) return [];
  const right = labels === "ground-truth" ? "right" : "as was known beforehand";
  return [
    element("h3", {}, "Accuracy"),
    paragraph(`${correct} of ${total} public samples were answered ${right}. With ${percent(ends.confidence)} confidence the rate lies between ${percent(ends.low)} and ${percent(ends.high)}.`),
    interval(ends, total ? correct / total : 0, report.plan.labels?.claimed_accuracy),
  ];
}

function costs(report) {
  if (!report.bytes) return [];
  const phases = Object.entries(report.bytes.by_phase).filter(([, count]) => count > 0);
  const times = Object.entries(report.seconds.by_phase).filter(([, seconds]) => seconds >= 0.05);
  return [
    element("h3", {}, "What it cost"),
    paragraph(`${report.plan.R} images in ${report.plan.B} copies and ${report.plan.T} public samples: ${report.plan.overhead.toFixed(2)} inferences for each image, and one for its provisional answer. ${report.seconds.total.toFixed(0)} s since the batch was begun or resumed.`),
    element("h4", {}, "Bytes by phase"), bars(phases.map(([name, count]) => [name, count, bytes(count)])),
    element("h4", {}, "Seconds by phase, summed over lanes"), bars(times.map(([name, seconds]) => [name, seconds, `${seconds.toFixed(1)} s`])),
  ];
}

async function showReport(id, move) {
  try {
    const { batch, report, disagreements, own_images: own } = await api.report(id);
    const same = open?.id === id && open.state === batch.state;
    open = { id, state: batch.state };
    const head = { running: "The batch is running.", accepted: "Accepted: the server passed the test.", rejected: "Rejected: the server did not pass the test.", unavailable: "The batch came to no end; nothing was compared." }[batch.state];
    const parts = [paragraph(head, `verdict ${batch.state}`), paragraph(`${batch.images} images, ${own.length} of them yours. Begun ${when(batch.begun_at)}${batch.ended_at ? `, ended ${when(batch.ended_at)}` : ""}.`, "note")];
    if (batch.reason) parts.push(paragraph(batch.reason));
    if (batch.state === "rejected") parts.push(paragraph("All answers of the batch are withheld: they may be wrong on purpose. Treat the provisional answers of this server alike."));
    if (report) {
      report.all_disagreements = disagreements;
      if (report.warnings.length > 0) parts.push(details(report.warnings.length === 1 ? "A warning" : `${report.warnings.length} warnings`, element("ul", {}, ...report.warnings.map((text) => element("li", {}, text)))));
      parts.push(...(batch.state === "rejected" ? evidence(report) : guarantees(report)), ...accuracy(report), ...costs(report));
      if (batch.state === "accepted") parts.push(...evidence(report));
    }
    // One that is read is not closed under its reader's eyes.
    if (!same) find("report-body").replaceChildren(...parts.filter((part) => part));
    show("report", true);
    if (move) { find("report").focus(); find("report").scrollIntoView({ block: "start" }); }
  } catch (error) { failed(error); }
}

async function loadBatches() {
  batches = await api.batches();
  showHistory();
}

// ---- the beginning, and what goes on

function failed(error) {
  if (error instanceof api.Unauthorized) return signIn(error.message);
  say(error.message);
}

function signIn(message) {
  api.forgetToken();
  show("signed-in", false);
  show("sign-in", true);
  find("token-error").textContent = message ?? "";
  find("token").focus();
}

async function load() {
  takeStatus(await api.status());
  await Promise.all([loadImages(), loadBatches()]);
  show("sign-in", false);
  show("signed-in", true);
}

async function told(name, data) {
  if (name === "status") return takeStatus(data);
  if (name === "image") return data.state ? takeImage(data, true) : dropImage(data.id);
  if (name === "batch") {
    await Promise.all([loadImages(), loadBatches()]);
    say("");
    if (data.state && data.state !== "running") speak(`A batch ended: ${VERDICTS[data.state]}`);
    if (open?.id === data.id || data.state === "accepted" || data.state === "rejected") await showReport(data.id, false);
    return undefined;
  }
  return load();
}

async function follow() {
  let known = true;
  for (;;) {
    try {
      await load();
      await api.events((name, data) => told(name, data).catch(failed));
    } catch (error) {
      if (error instanceof api.Unauthorized) return signIn(known && api.token() ? error.message : "");
    }
    known = false;
    find("server").textContent = "The gateway does not answer; trying again …";
    find("server").className = "away";
    await new Promise((done) => setTimeout(done, WAIT));
  }
}

find("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  api.keepToken(find("token").value.trim());
  find("token").value = "";
  follow();
});
find("files").addEventListener("change", async () => { await send(find("files").files); find("files").value = ""; });
find("verify").addEventListener("click", async () => {
  try { const { waiting } = await api.verify(); say(`A batch of ${waiting} images begins.`); } catch (error) { failed(error); }
});
find("acknowledge").addEventListener("click", async () => {
  try { await api.acknowledge(status.held_by); say("Acknowledged: the server is asked again."); find("files").focus(); } catch (error) { failed(error); }
});
find("show-evidence").addEventListener("click", () => showReport(status.held_by, true));
find("more").addEventListener("click", () => loadImages(older).catch(failed));
const drop = find("drop");
for (const name of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name === "drop") send(event.dataTransfer.files);
  });
}
// A file that misses must not open in place of the page.
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
setInterval(tick, 1000);
follow();
