/**
 * `npm run dev`: a store to work against, in .cache/dev: seven folders, every log line, a bucket with
 * a few objects. Data stays between runs; `rm -rf .cache/dev` starts over. Ctrl-C ends it.
 */
import { mkdirSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { ensure } from "./ensure.mjs"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const BUCKET = "seed"

await ensure({ dev: true })
const { StoreProcess } = await import("../dist/src/client/testing-store-process.js")
const { S3Client } = await import("../dist/src/client/s3-client.js")
const { RealClock } = await import("../dist/src/seams/clock/real.js")

const clock = new RealClock()
const stop = new AbortController()
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => stop.abort())

async function seed(access) {
  const client = new S3Client(access, clock, stop.signal)
  await client.createBucket(BUCKET)
  for (const [key, text] of [
    ["hello.txt", "hello\n"],
    ["folder/one", "1"],
    ["folder/two", "2"],
    ["names/caf\u00e9 + 100%.txt", "a name with everything\n"],
  ]) {
    await client.put({ bucket: BUCKET, key, body: Buffer.from(text), contentType: "text/plain; charset=utf-8" })
  }
  await client.put({ bucket: BUCKET, key: "large.bin", body: Buffer.alloc(20 * 1024 * 1024, "x") })
  client.close()
}

const folder = join(ROOT, ".cache", "dev")
const dataFolders = Array.from({ length: 7 }, (_, i) => join(folder, `disk${i + 1}`))
for (const path of dataFolders) mkdirSync(path, { recursive: true })
const args = ["--log-level", "debug", "--log-format", "text"]
const listen = { listen: "127.0.0.1:9000", adminListen: "127.0.0.1:9001" }
const store = StoreProcess.spawn({ dataFolders, args, ...listen, inheritOutput: true }, clock)
stop.signal.addEventListener("abort", () => store.kill("SIGTERM"))
try {
  await seed(await store.access())
  process.stderr.write(
    `seeded s3://${BUCKET}; try: HAYLOFT_DATA='${folder}/disk{1...7}' ./bin/hayloft ls -r s3://${BUCKET}\n`,
  )
} catch (error) {
  if (!stop.signal.aborted) process.stderr.write(`dev: ${error instanceof Error ? error.message : error}\n`)
}
process.exit((await store.exited) ?? 1)
