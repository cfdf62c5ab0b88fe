/** Transforms in a store of two nodes: what one node keeps or is given, the other uses. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { quietParent, withFolder } from "../harness/folders.js"
import { TestNodes, type TestNode } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"

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
  const answer = await node.rawClient.call("GET", { bucket: "art", key: "a.svg", query })
  assert.equal(answer.status, 200, answer.text)
  return { text: answer.text, etag: answer.header("etag") }
}

async function madeBy(node: TestNode, outcome: string): Promise<number> {
  const text = await (await fetch(`${node.adminEndpoint}/metrics`)).text()
  return Number(new RegExp(`^hayloft_transforms_total\\{outcome="${outcome}"\\} (\\d+)$`, "m").exec(text)?.[1] ?? "0")
}

test("a result that one node has made is kept for the other; a module is a step at both", { skip: noPostgres }, () =>
  withFolder(async folder => {
    const args = ["--redundancy", "replica:2", "--transforms"]
    const nodes = await TestNodes.start(folder, { nodes: 2, foldersEach: 1, args })
    try {
      const [one, two] = [nodes.at(1), nodes.at(2)]
      await one.client.createBucket("art")
      await one.client.put({
        bucket: "art",
        key: "a.svg",
        body: Buffer.from(SVG),
        headers: [["content-type", "image/svg+xml"]],
      })
      await one.client.putSetting("art", "transforms", RULES)
      const first = await read(one)
      assert.ok(first.text.length < SVG.length)
      assert.deepEqual(await read(two), first)
      assert.deepEqual([await madeBy(one, "made"), await madeBy(two, "made"), await madeBy(two, "cached")], [1, 0, 1])
      const admin = await two.admin()
      await admin.putBytes("/v1/transforms/modules/echo", ECHO, "application/wasm")
      const echoed = await read(one, "x-transform=echo,a=1")
      assert.equal(echoed.text, "a=1")
      assert.deepEqual(await read(two, "x-transform=echo,a=1"), echoed)
    } finally {
      await nodes.stop()
    }
  }, quietParent()),
)
