// Calls of the gateway, and its stream of events.

const TOKEN = "fusion-token";

export class Unauthorized extends Error {}

export const token = () => sessionStorage.getItem(TOKEN);
export const keepToken = (text) => sessionStorage.setItem(TOKEN, text);
export const forgetToken = () => sessionStorage.removeItem(TOKEN);

// A token is sent as a header: nothing is sent that a page of another site could make a browser send.
async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (token()) headers.authorization = `Bearer ${token()}`;
  const response = await fetch(path, { ...options, headers, redirect: "error", credentials: "omit" });
  if (response.status === 401) throw new Unauthorized("The token is not known here.");
  if (!response.ok) {
    const body = await response.json().catch(() => null);
    throw new Error(body?.error?.message ?? body?.message ?? `The gateway answered ${response.status}.`);
  }
  return response;
}

const json = async (path, options) => (await call(path, options)).json();

export const status = () => json("/v1/status");
export const images = (before) => json(`/v1/images?limit=100${before ? `&before=${encodeURIComponent(before)}` : ""}`);
export const batches = () => json("/v1/batches");
export const report = (id) => json(`/v1/batches/${encodeURIComponent(id)}`);
export const verify = () => json("/v1/batches", { method: "POST" });
export const acknowledge = (id) => call(`/v1/batches/${encodeURIComponent(id)}/acknowledge`, { method: "POST" });
export const remove = (id) => call(`/v1/images/${encodeURIComponent(id)}`, { method: "DELETE" });
export const picture = async (id) => (await call(`/v1/images/${encodeURIComponent(id)}/picture`)).blob();

export const upload = (file) =>
  json(`/v1/images?name=${encodeURIComponent(file.name)}`, {
    method: "POST",
    headers: { "content-type": file.type || "application/octet-stream" },
    body: file,
  });

// Reads events until the stream ends, which it does with an error or without. EventSource cannot
// send a token.
export async function events(told) {
  const reader = (await call("/v1/events")).body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const event = { name: "message", data: "" };
      for (const line of part.split("\n")) {
        if (line.startsWith("event:")) event.name = line.slice(6).trim();
        if (line.startsWith("data:")) event.data += line.slice(5).trim();
      }
      if (event.data) told(event.name, JSON.parse(event.data));
    }
  }
}
