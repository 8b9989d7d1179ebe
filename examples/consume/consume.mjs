// Prints id and family name of each patient in exported NDJSON, line by line.
//
//   node consume.mjs FILE|FOLDER…
//
// Memory stays the same however long a file is: one line is held at a time.
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";

async function* ndjsonFiles(paths) {
  for (const path of paths) {
    if (!(await stat(path)).isDirectory()) {
      yield path;
      continue;
    }
    for (const name of (await readdir(path)).sort()) {
      if (name.endsWith(".ndjson")) yield join(path, name);
    }
  }
}

const paths = process.argv.slice(2);
if (paths.length === 0) {
  console.error("usage: node consume.mjs FILE|FOLDER...");
  process.exit(2);
}
for await (const file of ndjsonFiles(paths)) {
  // crlfDelay joins \r\n even where a chunk ends between the two.
  const lines = createInterface({ input: createReadStream(file), crlfDelay: Infinity });
  for await (const line of lines) {
    if (line === "") continue;
    const resource = JSON.parse(line);
    if (resource.resourceType !== "Patient") continue;
    const family = resource.name?.find((name) => name.family)?.family ?? "";
    if (!process.stdout.write(`${resource.id}\t${family}\n`)) {
      // Whoever reads our output is slower than we are: wait, do not pile up.
      await new Promise((resolve) => process.stdout.once("drain", resolve));
    }
  }
}
