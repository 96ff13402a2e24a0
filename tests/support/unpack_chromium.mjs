// Unpacks the Chromium of the npm package below TMPDIR, with its fonts and, in case the machine
// has none, the libraries that it is linked with. Prints where the program is.

import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import chromium, { inflate } from "@sparticuz/chromium";

const packageFolder = dirname(dirname(fileURLToPath(import.meta.resolve("@sparticuz/chromium"))));
const { version } = JSON.parse(await readFile(join(packageFolder, "package.json"), "utf8"));
await inflate(join(packageFolder, "bin", "al2023.tar.br"));
console.log(JSON.stringify({ version, program: await chromium.executablePath() }));
