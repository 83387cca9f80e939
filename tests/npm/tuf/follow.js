// SPDX-License-Identifier: GPL-2.0-or-later
// Follows a feed with tuf-js, a client of The Update Framework that shares no code with ours:
//
//   follow.js STATE URL FEED TARGET…
//
// STATE is a folder with the root.json to trust, and keeps what was accepted. Refreshes, fetches each target list, and the
// first patch file of each; prints {"root": N, "targets": {TARGET: {"levels": […], "blob": SHA256}}}, or ends with code 1
// and {"error": NAME, "message": …}.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const { createRequire } = require('module');

// the modules lie where the test put them, not here
const { Updater } = createRequire(path.join(process.env.KCARE_NODE_MODULES, 'x.js'))('tuf-js');

async function fetchBlob(url, entry) {
  const hash = entry.sha256;
  const answer = await fetch(`${url}/blobs/${hash.slice(0, 2)}/${hash}.kpatch`);
  if (!answer.ok) throw new Error(`blob ${hash}: HTTP ${answer.status}`);
  const data = Buffer.from(await answer.arrayBuffer());
  const found = crypto.createHash('sha256').update(data).digest('hex');
  if (found !== hash || data.length !== entry.size) throw new Error(`blob ${hash}: has ${found}, ${data.length} bytes`);
  return hash;
}

async function followTarget(updater, url, state, target) {
  const info = await updater.getTargetInfo(target);
  if (!info) throw new Error(`no target ${target}`);
  const file = await updater.downloadTarget(info, path.join(state, 'list'));
  const list = JSON.parse(fs.readFileSync(file, 'utf8'));
  const levels = list.entries.map((entry) => entry.level).sort((a, b) => a - b);
  return { levels, blob: await fetchBlob(url, list.entries[0]) };
}

async function main([state, url, feed, ...targets]) {
  const updater = new Updater({
    metadataDir: state,
    metadataBaseUrl: `${url}/feeds/${feed}/metadata`,
    targetDir: state,
    targetBaseUrl: `${url}/feeds/${feed}/targets`,
    config: { fetchRetry: 0 },
  });
  await updater.refresh();
  const found = {};
  for (const target of targets) found[target] = await followTarget(updater, url, state, target);
  const root = JSON.parse(fs.readFileSync(path.join(state, 'root.json'), 'utf8')).signed.version;
  console.log(JSON.stringify({ root, targets: found }));
}

main(process.argv.slice(2)).catch((error) => {
  console.log(JSON.stringify({ error: error.constructor.name, message: String(error.message) }));
  process.exitCode = 1;
});
