/**
 * Traces of a real server, as a collector receives them: the spans of a write, a read and a degraded read are the steps that
 * docs/operate/tracing.md lists, no more and no fewer.
 */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { rename } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { spanCollector, traceIdIn, type CollectedSpan } from "../harness/collector.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { ROOT, ServerProcess } from "../harness/server.js"

const TIMEOUT_MS = 240_000
const READS_MAX = 10
/** Names of spans in the table after a heading of the page. */
function documented(heading: string): readonly string[] {
  const page = readFileSync(join(ROOT, "docs/operate/tracing.md"), "utf8")
  const section = page.slice(page.indexOf(`## ${heading}\n`)).split("\n## ")[0] ?? ""
  return [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name = ""]) => name).sort()
}

const namesOf = (spans: readonly CollectedSpan[]): readonly string[] =>
  [...new Set(spans.map(({ name }) => name))].sort()

test("the spans of a write, a read and a degraded read are the documented steps", { timeout: TIMEOUT_MS }, () =>
  withFolder(async folder => {
    const folders = dataFolders(folder, 3)
    const { spans, traceOf, url, close } = await spanCollector()
    const args = ["--redundancy", "ec:2+1", "--trace-endpoint", url, "--trace-one-in", "1000000"]
    const server = await ServerProcess.start({ folders, args })
    try {
      const client = server.client()
      await client.call("PUT", { bucket: "traced" })
      const asked = { "x-hayloft-trace": "1" }
      const body = Buffer.alloc(300_000, "x")
      const put = await client.call("PUT", { bucket: "traced", key: "k", body, headers: asked })
      assert.equal(put.status, 200)
      const written = await traceOf(traceIdIn(put) ?? "")
      assert.deepEqual(namesOf(written), ["PUT", ...documented("A write")].sort())
      assert.equal(written.filter(({ name }) => name === "shard write").length, 3)
      const readOnce = async (traceId: string) => {
        const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01`, tracestate: "a=1" }
        const got = await client.call("GET", { bucket: "traced", key: "k", headers })
        assert.equal(got.body.length, body.length)
        assert.equal(traceIdIn(got), undefined, "the id is for those who ask")
        return traceOf(traceId)
      }
      // While this machine is busy a shard may be slow, which is then decoded from others.
      let read = await readOnce("4bf92f3577b34da6a3ce929d0e0e4730")
      for (let next = 1; next < READS_MAX && namesOf(read).includes("decode"); next += 1) {
        read = await readOnce(`4bf92f3577b34da6a3ce929d0e0e473${next}`)
      }
      assert.deepEqual(namesOf(read), ["GET", ...documented("A read")].sort())
      assert.equal(read.find(({ name }) => name === "GET")?.parentSpanId, "00f067aa0ba902b7")
      const [root] = read.filter(({ name }) => name === "GET")
      assert.ok(read.every(({ name, parentSpanId }) => name === "GET" || parentSpanId === root?.spanId))
      const untraced = `00-${"1".repeat(32)}-00f067aa0ba902b7-00`
      await client.call("GET", { bucket: "traced", key: "k", headers: { traceparent: untraced } })
      for (let number = 0; number < READS_MAX; number += 1) {
        await client.call("PUT", { bucket: "traced", key: `degraded ${number}`, body })
      }
      await server.stop()
      await rename(folders[0] ?? "", `${folder}/away`)
      await server.launch()
      // The folder's shards of an object may have been parity, which a read does not miss.
      let rebuilt: readonly CollectedSpan[] = []
      for (let number = 0; number < READS_MAX && !namesOf(rebuilt).includes("decode"); number += 1) {
        const key = `degraded ${number}`
        const degraded = await client.call("GET", { bucket: "traced", key, headers: asked })
        assert.equal(degraded.body.length, body.length)
        rebuilt = await traceOf(traceIdIn(degraded) ?? "")
      }
      const steps = documented("A read of a block that lacks shards")
      assert.deepEqual(namesOf(rebuilt), ["GET", ...documented("A read"), ...steps].sort())
      const decode = rebuilt.find(({ name }) => name === "decode")
      assert.ok(rebuilt.some(({ name, parentSpanId }) => name === "shard read" && parentSpanId === decode?.spanId))
      await server.stop()
      assert.ok(!spans.some(span => span.traceId === "1".repeat(32)), "the caller does not trace it")
    } finally {
      await server.kill()
      close()
    }
  }),
)
