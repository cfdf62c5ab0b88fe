/** Container sync: one of the nodes sends, and another goes on when it is gone; each sees the timestamps of all. */
import assert from "node:assert/strict"
import type { RawResponse } from "../../../conformance/raw-client.js"
import { ROOT_KEY } from "@hayloft/client/testing-store-process.js"
import { SwiftUser } from "../../swift/world.js"
import { eventually, type Feature } from "./scene.js"

const KEY = "key of both"
const OBJECTS = 6
const BOTH = ["source", "target"]

async function userOf(port = 0): Promise<SwiftUser> {
  const headers = { "X-Auth-User": ROOT_KEY.accessKeyId, "X-Auth-Key": ROOT_KEY.secretAccessKey }
  const signedIn = await fetch(`http://127.0.0.1:${port}/auth/v1.0`, { headers })
  const url = new URL(signedIn.headers.get("x-storage-url") ?? "")
  return new SwiftUser(port, signedIn.headers.get("x-auth-token") ?? "", url.pathname)
}

/** Waits until the other container has what this one has. */
const arrived = (user: SwiftUser, names: readonly string[]): Promise<void> =>
  eventually(`containers have ${names.join()}`, async () => {
    const pages = await Promise.all(BOTH.map(name => user.call("GET", `/${name}`)))
    return pages.every(({ text }) => text.trim() === names.join("\n"))
  })

export const CONTAINER_SYNC: Feature = {
  name: "one node sends the changes of all to a container, and another goes on",
  run: async ({ swiftPorts, oneDead }) => {
    const [one, two, three] = await Promise.all(swiftPorts.map(userOf))
    assert.ok(one && two && three)
    const account = three.account.slice("/v1/".length)
    assert.equal((await three.call("PUT", "/target", { headers: { "X-Container-Sync-Key": KEY } })).status, 201)
    const headers = { "X-Container-Sync-Key": KEY, "X-Container-Sync-To": `//all/here/${account}/target` }
    assert.equal((await one.call("PUT", "/source", { headers })).status, 201)
    // Two nodes change the same object, and others.
    const names = Array.from({ length: OBJECTS }, (_, number) => `object ${number}`)
    const paths = names.map(name => `/source/${encodeURIComponent(name)}`)
    await Promise.all(
      paths.flatMap(path => [one, two].map(user => user.call("PUT", path, { body: `of ${user.token}` }))),
    )
    await arrived(three, names)
    await oneDead()
    await two.call("DELETE", paths[0] ?? "")
    await two.call("PUT", "/source/zz", { body: "after the crash" })
    const left = [...names.slice(1), "zz"]
    await arrived(three, left)
    for (const name of left) {
      const read = (container: string): Promise<RawResponse> =>
        three.call("GET", `/${container}/${encodeURIComponent(name)}`)
      const [from, to] = [await read("source"), await read("target")]
      assert.equal(to.text, from.text, name)
      assert.equal(to.header("x-timestamp"), from.header("x-timestamp"), name)
    }
  },
}
