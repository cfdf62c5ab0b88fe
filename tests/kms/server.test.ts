/** A server whose keys are in Vault: objects under them, and everything else while Vault does not respond. */
import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { test } from "node:test"
import { run } from "../harness/commands.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { HAYLOFT, withServer } from "../harness/server.js"
import { hangs, listen } from "./stand-in.js"
import { VaultStandIn } from "./vault.js"

test("while Vault hangs, objects under its keys are refused with 503 in time, and all others go on", () =>
  withFolder(async folder => {
    const vault = new VaultStandIn()
    vault.addKey("photos")
    const listening = await listen(vault)
    const tokenFile = `${folder}/token`
    await writeFile(tokenFile, vault.token)
    const folders = dataFolders(folder, 1)
    const settings = ["--kms-vault-url", listening.origin, "--kms-vault-token-file", tokenFile]
    try {
      await withServer({ folders, args: [...settings, "--kms-cache-seconds", "0"] }, async server => {
        const added = await run(HAYLOFT, ["kms", "add", "photos", "--vault", "photos", "--data", folders[0] ?? ""])
        assert.equal(added.code, 0, added.stderr)
        const client = server.client()
        const sealed = {
          "x-amz-server-side-encryption": "aws:kms",
          "x-amz-server-side-encryption-aws-kms-key-id": "alias/photos",
        }
        const put = (key: string, headers: Record<string, string>) =>
          client.call("PUT", { bucket: "pictures", key, body: "bytes", headers })
        const get = (key: string) => client.call("GET", { bucket: "pictures", key })
        assert.equal((await client.call("PUT", { bucket: "pictures" })).status, 200)
        assert.equal((await put("cat", sealed)).status, 200)
        assert.equal((await get("cat")).body.toString(), "bytes")

        vault.trouble = hangs
        for (const work of [put("dog", sealed), get("cat")]) {
          const answer = await work
          assert.equal(answer.status, 503)
          assert.ok(answer.header("retry-after") !== undefined)
          assert.match(answer.text, /the key service vault cannot be reached/)
        }
        assert.equal((await put("plain", {})).status, 200)
        assert.equal((await get("plain")).body.toString(), "bytes")
        assert.equal((await client.call("HEAD", { bucket: "pictures", key: "cat" })).status, 200)
        assert.equal((await client.call("DELETE", { bucket: "pictures", key: "cat" })).status, 204)
      })
    } finally {
      await listening.close()
    }
  }))
