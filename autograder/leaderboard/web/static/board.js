// Two things that a page cannot do alone: sending a file in parts (tus 1.0), and following the queue.
"use strict";
const csrf = document.body.dataset.csrf || "";
const PART = 4 << 20;
const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

async function reasonOf(answer) {
  try { return (await answer.json()).reason; } catch { return `${answer.status}`; }
}

async function send(file, form) {
  const said = document.getElementById("said");
  const bar = document.getElementById("how-far");
  const headers = { "Tus-Resumable": "1.0.0", "X-CSRF-Token": csrf, "Accept": "application/json" };
  const key = `upload ${file.name} ${file.size} ${file.lastModified}`;
  const coded = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
  const note = document.getElementById("note").value;
  const metadata = `filename ${coded(file.name)}${note ? `,note ${coded(note)}` : ""}`;
  let place = localStorage.getItem(key), offset = -1, entry = null, tries = 0;
  bar.hidden = false;
  while (entry === null) {
    let answer;
    try {
      if (!place) {
        const about = { ...headers, "Upload-Length": file.size, "Upload-Metadata": metadata };
        answer = await fetch("/uploads", { method: "POST", headers: about });
        if (answer.ok) { place = answer.headers.get("Location"); offset = 0; localStorage.setItem(key, place); }
      } else if (offset < 0) {
        answer = await fetch(place, { method: "HEAD", headers });
        if (answer.status === 404 || answer.status === 410) { localStorage.removeItem(key); place = null; continue; }
        if (answer.ok) { offset = Number(answer.headers.get("Upload-Offset")); entry = answer.headers.get("Entry-Location"); }
      } else {
        const part = { ...headers, "Upload-Offset": offset, "Content-Type": "application/offset+octet-stream" };
        answer = await fetch(place, { method: "PATCH", headers: part, body: file.slice(offset, offset + PART) });
        if (answer.ok) { offset = Number(answer.headers.get("Upload-Offset")); entry = answer.headers.get("Entry-Location"); }
      }
    } catch { answer = null; }
    if (answer && answer.ok) {
      tries = 0;
      bar.value = 100 * Math.max(0, offset) / file.size;
      said.textContent = `${form.dataset.uploading} ${Math.round(bar.value)} %`;
    } else if (!answer || answer.status === 409 || answer.status === 502 || answer.status === 503) {
      offset = -1;
      said.textContent = form.dataset.broken;
      await pause(Math.min(30, 2 ** tries++));
    } else {
      if (answer.status === 422) localStorage.removeItem(key);
      said.textContent = await reasonOf(answer);
      said.className = "note bad";
      bar.hidden = true;
      return;
    }
  }
  localStorage.removeItem(key);
  said.textContent = form.dataset.uploaded;
  location.assign(entry);
}

const form = document.getElementById("upload");
if (form) form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  document.getElementById("said").className = "";
  button.disabled = true;
  try { await send(document.getElementById("file").files[0], form); } finally { button.disabled = false; }
});

async function follow() {
  const shown = [...document.querySelectorAll("[data-entry]")];
  if (!shown.some((one) => ["queued", "scoring"].includes(one.dataset.state))) return;
  for (let again = 2; again; await pause(again)) {
    if (document.hidden) { again = 5; continue; }
    let answer;
    try { answer = await (await fetch("/live", { headers: { "Accept": "application/json" } })).json(); } catch { again = 10; continue; }
    for (const entry of answer.entries || []) {
      const place = shown.find((one) => Number(one.dataset.entry) === entry.id);
      if (!place) continue;
      if (place.dataset.state !== entry.state && !["queued", "scoring"].includes(entry.state)) { location.reload(); return; }
      place.dataset.state = entry.state;
      place.className = `state ${entry.state}`;
      if (place.textContent !== entry.text) place.textContent = entry.text;
    }
    again = answer.again;
  }
}
follow();
