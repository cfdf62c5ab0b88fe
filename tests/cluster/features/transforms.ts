/** Transforms: what one node keeps or is given, the other uses. */
import assert from "node:assert/strict"
import type { TestNode } from "../../harness/nodes.js"
import { asked, type Feature } from "./scene.js"

const [BUCKET, KEY] = ["art", "a.svg"]
const SVG = `<svg xmlns="http://www.w3.org/2000/svg">   <rect width="8.000" height="8.000"/>   </svg>`
const RULES = `<TransformConfiguration><Rule><When>GET</When><Steps>svgmin</Steps></Rule></TransformConfiguration>`
/** Exports memory, allocate, and a transform that returns its parameters. */
const ECHO = Buffer.from(
  "0061736d01000000010e0260017f017f60047f7f7f7f017e03030200010503010002060701" +
    "7f014180080b072103066d656d6f7279020008616c6c6f636174650000097472616e73666f726d00010a1a020b0023" +
    "00230020006a24000b0c002002ad4220862003ad840b",
  "hex",
)

async function read(node: TestNode, query = "") {
  const answer = await node.rawClient.call("GET", { bucket: BUCKET, key: KEY, query })
  assert.equal(answer.status, 200, answer.text)
  return { text: answer.text, etag: answer.header("etag") }
}

async function madeBy(node: TestNode, outcome: string): Promise<number> {
  const text = await (await fetch(`${node.adminEndpoint}/metrics`)).text()
  return Number(new RegExp(`^hayloft_transforms_total\\{outcome="${outcome}"\\} (\\d+)$`, "m").exec(text)?.[1] ?? "0")
}

export const TRANSFORMS: Feature = {
  name: "a result that one node has made is kept for the others; a module is a step at all",
  run: async ({ nodes, oneDead }) => {
    const [one, two] = [nodes.at(1), nodes.at(2)]
    await one.client.createBucket(BUCKET)
    const headers = [["content-type", "image/svg+xml"]] as const
    await one.client.put({ bucket: BUCKET, key: KEY, body: Buffer.from(SVG), headers })
    await one.client.putSetting(BUCKET, "transforms", RULES)
    const first = await read(one)
    assert.ok(first.text.length < SVG.length)
    assert.deepEqual(await read(two), first)
    assert.deepEqual([await madeBy(one, "made"), await madeBy(two, "made"), await madeBy(two, "cached")], [1, 0, 1])
    await asked(two, admin => admin.putBytes("/v1/transforms/modules/echo", ECHO, "application/wasm"))
    const echoed = await read(one, "x-transform=echo,a=1")
    assert.equal(echoed.text, "a=1")
    await oneDead()
    assert.deepEqual(await read(two, "x-transform=echo,a=1"), echoed)
  },
}
